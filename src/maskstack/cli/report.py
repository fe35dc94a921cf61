"""``maskstack report``: the results of runs as tables, a CSV file and a page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from maskstack.cli.console import names_in, plain_console, plural, print_table
from maskstack.cli.options import AllowCode, AsJson
from maskstack.files import json_text
from maskstack.leaderboard.comparison import Comparison, MethodOnMetric, is_control
from maskstack.leaderboard.page import count, number
from maskstack.leaderboard.report import WrittenReport, make_report
from maskstack.leaderboard.summary import cost, lines
from maskstack.leaderboard.verdict import FEWEST, Verdict, judge


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders that 'maskstack bench --out' wrote.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the report; RUN/report by default.")] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="The method that the others are compared with; mdm, or a variant of it, if not given."),
    ] = None,
    methods: Annotated[
        str, typer.Option(help="Names of the methods to show, separated by commas; all by default.")
    ] = "",
    only_common: Annotated[
        bool, typer.Option("--only-common", help="Use only images on which all methods have a value.")
    ] = False,
    as_json: AsJson = False,
    allow_code: AllowCode = False,
) -> None:
    """Compare the methods of one or more runs: tables, summary.csv and report.html."""
    written = make_report(
        runs, out, reference=reference, methods=names_in(methods), only_common=only_common, allow_code=allow_code
    )
    if as_json:
        typer.echo(json_text(_document(written)))
        return
    console = plain_console()
    for comparison in written.comparisons:
        print_table(console, _table(comparison))
        console.print(_sentence(comparison, judge(comparison)), "\n")
    console.print(f"wrote {written.page} and {written.summary}", soft_wrap=True)


def _table(comparison: Comparison) -> Table:
    """A table of the metrics that fit in a terminal; the page has all metrics."""
    images = plural(len(comparison.network.images), "image")
    if comparison.measured < len(comparison.network.images):
        images = f"{comparison.measured} of {images}"
    table = Table(
        title=Text(f"{comparison.network.model}, {images}, rank: mean rank over metrics", style="bold"),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    shown = [column for column in comparison.columns if column.short]
    table.add_column("method", overflow="fold", min_width=10)
    for heading in (*(f"{column.short} {column.arrow}" for column in shown), "rank ↓", "passes ↓"):
        # Rich would count a heading as several words, although it may not be broken.
        table.add_column(heading, justify="right", no_wrap=True, min_width=max(len(heading), 7))
    for method in comparison.methods:
        cells = [_cell(comparison.cells[column.metric].get(method)) for column in shown]
        rank = comparison.mean_ranks.get(method)
        placed = f"{rank[0]:.1f}" if rank and rank[1] else "–"
        style = "dim" if is_control(method) else "bold" if method == comparison.reference else ""
        table.add_row(Text(method), *cells, placed, count(cost(comparison, method).passes), style=style)
    return table


def _cell(cell: MethodOnMetric | None) -> Text:
    if cell is None:
        return Text("–")
    text = Text(number(cell.mean), style="bold green" if cell.first else "underline" if cell.tied else "")
    return text.append(" " if cell.whole else "*")


def _sentence(comparison: Comparison, verdict: Verdict) -> Text:
    lost = ", ".join(f"{loss.column.label.lower()} ({', '.join(loss.best)})" for loss in verdict.behind)
    sentence = (
        f"{comparison.reference} on {verdict.counted} metrics of quality: first on "
        f"{len(verdict.ahead) + len(verdict.first)} ({len(verdict.ahead)} significantly), tied with the best on "
        f"{len(verdict.tied)}, behind on {len(verdict.behind)}"
    )
    text = Text(f"{sentence}: {lost}" if lost else sentence)
    if verdict.empty:
        text = Text("no metric of quality was measured: add --metrics faithfulness to the bench", style="yellow")
    if verdict.too_few:
        common = " in common" if verdict.images < len(comparison.network.images) else ""
        few = f"{plural(verdict.images, 'image')}{common}: too few to tell methods apart"
        text = Text(f"{few}; measure at least {FEWEST}, better 50", style="yellow")
    if any(not cell.whole for cells in comparison.cells.values() for cell in cells.values()):
        text.append("\n* measured on fewer images than other methods; the page says on how many", style="dim")
    failed = sum(failure.images for failure in comparison.network.failures)
    return text.append(f"\n{failed} measurements failed; the page lists them", style="yellow") if failed else text


def _document(written: WrittenReport) -> dict[str, Any]:
    networks = []
    for comparison in written.comparisons:
        verdict = judge(comparison)
        networks.append(
            {
                "model": comparison.network.model,
                "reference": comparison.reference,
                "images": comparison.measured,
                "images_in_common": verdict.images,
                "too_few_images": verdict.too_few,
                "mean_ranks": {method: rank for method, (rank, placed) in comparison.mean_ranks.items() if placed},
                "ahead": [column.metric for column in verdict.ahead],
                "first": [column.metric for column in verdict.first],
                "tied": [column.metric for column in verdict.tied],
                "behind": {loss.column.metric: list(loss.best) for loss in verdict.behind},
                "failures": [asdict(failure) for failure in comparison.network.failures],
                "lines": [asdict(line) for line in lines(comparison)],
            }
        )
    return {"networks": networks, "files": {"page": str(written.page), "summary": str(written.summary)}}
