"""``maskstack prototypes bench``: which method finds what prototypes stand for?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from maskstack.files import write_whole
from maskstack.runs.statistics import SIGNIFICANT
from maskstack.prototypes.bench import METHODS, Request
from maskstack.prototypes.bench import bench as run_bench
from maskstack.prototypes.checkpoint import load
from maskstack.prototypes.standings import METRICS, Standing, as_csv, standings

WIDE = 240
"""Columns of the table where no terminal says how many there are."""


def bench(
    checkpoint: Annotated[Path, typer.Argument(help="What 'prototypes train' wrote.")],
    data: Annotated[Path, typer.Option(help="Folder of annotated images of the network's classes.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier one goes on where it was.")],
    split: Annotated[str, typer.Option(help="Of the data; 'all' for the whole of it.")] = "test",
    methods: Annotated[str, typer.Option(help="Methods with options, and native.")] = ",".join(METHODS),
    per_class: Annotated[int, typer.Option(help="Prototypes of each class, the most weighty first.")] = 2,
    images: Annotated[int, typer.Option(help="Images of each class at most.")] = 5,
    half: Annotated[str, typer.Option(help="tuning, reporting or all of the images.")] = "all",
    stability: Annotated[bool, typer.Option("--stability", help="Search again under noise; twice the cost.")] = False,
    seed: Annotated[int, typer.Option(help="Of the choice of images and of the noise.")] = 0,
) -> None:
    """Measure methods of prototype search on images, and print the table."""
    request = Request(
        checkpoint=str(checkpoint),
        data=str(data),
        split=None if split == "all" else split,
        methods=tuple(name.strip() for name in methods.split(",") if name.strip()),
        per_class=per_class,
        images=images,
        half=half,
        stability=stability,
        seed=seed,
    )
    prototypes = load(checkpoint)
    talk = _Talk()
    with talk.progress:
        rows = run_bench(request, prototypes, out, talk)
    table = standings(rows)
    path = write_whole(out / "standings.csv", lambda file: file.write_text(as_csv(table), encoding="utf-8"))
    talk.out.print(_printed(table))
    talk.out.print(
        "means with 95% intervals; * differs from mdm (paired Wilcoxon, Holm over the whole table); arrows say what is "
        f"good; ~ is the median, as shares of an activation near 0 have no bounds\nwrote {path}",
        soft_wrap=True,
    )


def _printed(table: list[Standing]) -> Table:
    methods = list(dict.fromkeys(one.method for one in table))
    cells = {(one.metric, one.method): one for one in table}
    printed = Table(box=None, pad_edge=False)
    printed.add_column("")
    printed.add_column("n", justify="right")
    for method in methods:
        printed.add_column(method)
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
    star = "*" if one.worse < SIGNIFICANT else ""
    failed = f" ({one.failed} failed)" if one.failed else ""
    median = f" ~{one.median:.3f}" if one.metric.endswith(("_anew", "_fixed")) else ""
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]{star}{median}{failed}".replace("[", "\\[")


class _Talk:
    """Says how a run goes: the plan on stdout, progress on stderr."""

    def __init__(self) -> None:
        self.out = Console(highlight=False)
        if not self.out.is_terminal:
            self.out = Console(highlight=False, width=WIDE)
        self.errors = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        quiet = not self.errors.is_terminal
        self.progress = Progress(*columns, TimeRemainingColumn(), console=self.errors, disable=quiet)
        self._task: TaskID | None = None

    def planned(self, pairs: int, done: int, passes: int) -> None:
        already = f", {done} already there" if done else ""
        self.out.print(f"{pairs} maps to make and measure{already}: at most {passes:,} passes; stop whenever you like")
        self._task = self.progress.add_task("searching", total=pairs, completed=done)

    def finished(self, pairs: int) -> None:
        if self._task is not None:
            self.progress.advance(self._task, pairs)
