"""``maskstack prototypes train``: a network whose answers are made of prototypes, from a folder of images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from maskstack.errors import InputError
from maskstack.errors import require
from maskstack.prototypes.config import read_config


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="What to train, see docs/prototypes.md.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of annotated images, instead of the configuration's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped one goes on where it was.")] = Path(
        "prototypes"
    ),
) -> None:
    """Train ProtoPNet or XProtoNet; the checkpoint is written to OUT/checkpoint."""
    settings = read_config(config)
    if data is not None:
        if not data.exists():
            raise InputError(f"{data} does not exist; check the path")
        settings = replace(settings, data=replace(settings.data, path=str(data)))
    # Lightning is large: it is imported where it is needed, and its absence is one sentence.
    require("lightning", extra="prototypes")
    from maskstack.prototypes.run import train as run_training

    talk = _Talk()
    with talk.progress:
        trained = run_training(settings, out, talk, progress=talk.errors.is_terminal)
    report = trained.report
    what = "mean AUROC" if trained.multi_label else "accuracy"
    talk.say(f"test: {what} {report['test']['mean']:.3f} on {report['test']['images']} images")
    for name, value in zip(trained.class_names, report["test"].get("each", ()), strict=False):
        talk.say(f"  {name}: AUROC {value:.3f}")
    pruned = f", {len(report['pruned'])} pruned" if report["pruned"] else ""
    alike = f"{len(report['duplicates'])} of them duplicates" if report["duplicates"] else "none of them a duplicate"
    talk.say(f"{len(trained.sources)} prototypes{pruned}, {alike}; {report['seconds']:.0f} s since the last start")
    talk.say(f"wrote {trained.folder}; next: maskstack prototypes explain {trained.folder} IMAGE")


class _Talk:
    """Says how a training goes: sentences on stdout, progress on stderr."""

    def __init__(self) -> None:
        self.out = Console(highlight=False)
        self.errors = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        quiet = not self.errors.is_terminal
        self.progress = Progress(*columns, TimeRemainingColumn(), console=self.errors, disable=quiet, transient=True)
        self._task: TaskID | None = None

    def say(self, sentence: str) -> None:
        self.out.print(sentence, soft_wrap=True, markup=False)

    def caching(self, what: str, images: int) -> None:
        if self._task is not None:
            self.progress.remove_task(self._task)
        self._task = self.progress.add_task(f"features of the {what} images", total=images)

    def advance(self, images: int) -> None:
        if self._task is not None:
            self.progress.advance(self._task, images)
