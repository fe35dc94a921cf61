"""From runs to a report: the numbers as a CSV file, and everything on one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskstack.files import tidy, write_whole
from maskstack.leaderboard.comparison import Comparison, compare
from maskstack.leaderboard.page import render
from maskstack.leaderboard.pictures import gallery
from maskstack.leaderboard.results import NetworkResults, read_results
from maskstack.leaderboard.sections import section
from maskstack.leaderboard.summary import write_summary
from maskstack.runs.statistics import Bootstrap

REFERENCE = "mdm"
"""The method that the others are compared with if no other is named."""


@dataclass(frozen=True)
class WrittenReport:
    """A written report.

    Attributes:
        comparisons: One for each network.
        summary: The CSV file with the numbers.
        page: The HTML file.
    """

    comparisons: tuple[Comparison, ...]
    summary: Path
    page: Path


def make_report(
    runs: Sequence[Path],
    out: Path | None = None,
    *,
    reference: str | None = None,
    methods: Sequence[str] = (),
    only_common: bool = False,
    allow_code: bool = False,
) -> WrittenReport:
    """Compare the results of runs and write a report.

    Args:
        runs: Folders of runs.
        out: Folder for the report; ``report`` in the first run if None.
        reference: The method that all others are compared with; by default ``mdm``, or the first variant of it that all
            networks were measured with.
        methods: Only these methods; all if empty.
        only_common: Whether a metric uses only the images on which all of its methods have a value.
        allow_code: Whether a run may name code as its network (``python:module:function``), which is then run to draw
            pictures. Without it, the report of such a run has no pictures.

    Raises:
        InputError: A run is missing, empty or damaged, two runs cannot be compared, or the reference was not measured.
        OutputError: The report cannot be written.
        MissingExtraError: A package of the extra ``bench`` is not installed.
    """
    bootstrap = Bootstrap()
    networks = read_results(runs, methods=methods, only_common=only_common)
    reference = reference or _reference_of(networks)
    comparisons = tuple(compare(network, reference, bootstrap=bootstrap) for network in networks)
    sections = [
        section(comparison, gallery(comparison, allow_code=allow_code), bootstrap) for comparison in comparisons
    ]
    text = render(sections, only_common=only_common)
    folder = runs[0] / "report" if out is None else out
    tidy(folder, below=False)
    summary = write_summary(folder / "summary.csv", comparisons)
    page = write_whole(folder / "report.html", lambda beside: beside.write_text(text, encoding="utf-8"))
    return WrittenReport(comparisons, summary, page)


def _reference_of(networks: Sequence[NetworkResults]) -> str:
    shared = set(networks[0].methods).intersection(*(network.methods for network in networks))
    return min((method for method in shared if method.partition(":")[0] == REFERENCE), default=REFERENCE)
