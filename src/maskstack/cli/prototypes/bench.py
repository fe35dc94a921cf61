"""``maskstack prototypes bench``: measure methods that find the regions of prototypes."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from maskstack.cli.console import RunReporter, names_in, plural, print_table
from maskstack.cli.options import AllowCode, RetryFailed, RunFolder
from maskstack.files import write_whole
from maskstack.prototypes.bench import METHODS, PrototypeBenchRequest
from maskstack.prototypes.bench import bench as run_bench
from maskstack.prototypes.checkpoint import load
from maskstack.prototypes.standings import METRICS, Standing, as_csv, reference_of, standings
from maskstack.runs.rows import FAILED
from maskstack.runs.statistics import SIGNIFICANT

WIDE = 240
"""Width of the table in characters if stdout is not a terminal."""


def bench(
    checkpoint: Annotated[Path, typer.Argument(help="Folder that 'prototypes train' wrote.")],
    data: Annotated[Path, typer.Option(help="Folder of annotated images of the network's classes.")],
    out: RunFolder,
    split: Annotated[str, typer.Option(help="Split of the data; 'all' for all images.")] = "test",
    methods: Annotated[
        str, typer.Option(help="Names of methods, with options, separated by commas; native is the network's own.")
    ] = ",".join(METHODS),
    per_class: Annotated[
        int, typer.Option(help="Number of prototypes of each class, those with the largest weights first.")
    ] = 2,
    images: Annotated[int, typer.Option(help="Maximum number of images of each class.")] = 5,
    half: Annotated[str, typer.Option(help="Which half of the images: all, tuning or reporting.")] = "all",
    stability: Annotated[
        bool, typer.Option("--stability", help="Search again on images with noise; doubles the cost.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the choice of images and of the noise.")] = 0,
    retry_failed: RetryFailed = False,
    allow_code: AllowCode = False,
) -> None:
    """Measure methods of prototype search on images, and print the table."""
    request = PrototypeBenchRequest(
        checkpoint=str(checkpoint),
        data=str(data),
        split=None if split == "all" else split,
        methods=names_in(methods),
        per_class=per_class,
        images=images,
        half=half,
        stability=stability,
        seed=seed,
    )
    prototypes = load(checkpoint, allow_code=allow_code)
    reporter = RunReporter(width=WIDE)
    with reporter:
        rows = run_bench(request, prototypes, out, reporter, retry_failed=retry_failed)
    table = standings(rows)
    path = write_whole(out / "standings.csv", lambda file: file.write_text(as_csv(table), encoding="utf-8"))
    print_table(reporter.out, _printed(table))
    tested = any(isfinite(one.p_value) for one in table)
    test = (
        f"* differs from {reference_of(rows)} (paired Wilcoxon test, Holm correction over the whole table)"
        if tested
        else "No test was made: it needs mdm and another method"
    )
    reporter.say(
        f"Means with 95% intervals. {test}. "
        "Arrows show which direction is better. ~ is the median, because shares of an activation near 0 are unbounded."
    )
    if failed := sum(row.metric == FAILED for row in rows):
        reporter.say(f"{plural(failed, 'map')} failed (--retry-failed tries them again)")
    reporter.say(f"wrote {path}")


def _printed(table: list[Standing]) -> Table:
    methods = list(dict.fromkeys(one.method for one in table))
    cells = {(one.metric, one.method): one for one in table}
    printed = Table("", Column("n", justify="right"), *methods, box=None, pad_edge=False)
    for metric, sign in METRICS.items():
        own = [cells.get((metric, method)) for method in methods]
        units = {one.units for one in own if one is not None}
        if units:
            arrow = {1: " ↑", -1: " ↓"}.get(sign, "")
            printed.add_row(metric + arrow, "/".join(map(str, sorted(units))), *map(_cell, own))
    return printed


def _cell(one: Standing | None) -> str:
    if one is None:
        return "-"
    star = "*" if one.p_value < SIGNIFICANT else ""
    failed = f" ({one.failed} failed)" if one.failed else ""
    median = f" ~{one.median:.3f}" if one.metric.endswith(("_anew", "_fixed")) else ""
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]{star}{median}{failed}"
