"""From runs to a report: the numbers as CSV and everything as one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskstack.files import write_whole
from maskstack.leaderboard.comparison import Comparison, compare
from maskstack.leaderboard.page import render, section
from maskstack.leaderboard.pictures import gallery
from maskstack.leaderboard.results import read_results
from maskstack.runs.statistics import Bootstrap
from maskstack.leaderboard.summary import write_summary


@dataclass(frozen=True)
class Report:
    """A written report.

    Attributes:
        comparisons: The networks.
        summary: The numbers, as CSV.
        page: Everything, as HTML.
    """

    comparisons: tuple[Comparison, ...]
    summary: Path
    page: Path


def make_report(
    runs: Sequence[Path],
    out: Path | None = None,
    *,
    reference: str = "mdm",
    methods: Sequence[str] = (),
    only_common: bool = False,
) -> Report:
    """Compare what runs found and write it down.

    Args:
        runs: Folders of runs.
        out: Folder for the report; ``report`` in the first run if None.
        reference: The method the others are compared with.
        methods: Only these, where not empty.
        only_common: Whether a metric keeps only those images on which all methods that have it have a value.

    Raises:
        InputError: A run is missing, empty or damaged, two do not fit together, or the reference was not measured.
        OutputError: The report cannot be written.
        MissingExtraError: A package of the extra ``bench`` is not installed.
    """
    bootstrap = Bootstrap()
    networks = read_results(runs, methods=methods, only_common=only_common)
    comparisons = tuple(compare(network, reference, bootstrap=bootstrap) for network in networks)
    sections = [section(comparison, gallery(comparison), bootstrap) for comparison in comparisons]
    text = render(sections, only_common=only_common)
    folder = runs[0] / "report" if out is None else out
    summary = write_summary(folder / "summary.csv", comparisons)
    page = write_whole(folder / "report.html", lambda beside: beside.write_text(text, encoding="utf-8"))
    return Report(comparisons, summary, page)
