"""``maskstack prototypes train``: train a network that predicts by prototypes, from a folder of images."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from maskstack.cli.console import ConsoleReporter, plural
from maskstack.cli.options import AllowCode
from maskstack.errors import InputError, require
from maskstack.prototypes.config import read_config


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="Configuration of the training, see docs/prototypes.md.")
    ],
    data: Annotated[
        Path | None, typer.Option(help="Folder of annotated images, instead of the one in the configuration.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the run; if it holds an interrupted training, that is continued.")
    ] = Path("prototypes"),
    allow_code: AllowCode = False,
) -> None:
    """Train ProtoPNet or XProtoNet; the checkpoint is written to OUT/checkpoint."""
    settings = read_config(config, allow_code=allow_code)
    if data is not None:
        if not data.exists():
            raise InputError(f"{data} does not exist; check the path")
        settings = replace(settings, data=replace(settings.data, path=str(data)))
    # Lightning is large, so it is imported here; if it is missing, the error is one sentence.
    require("lightning", extra="prototypes")
    from maskstack.prototypes.run import train as run_training

    reporter = _TrainingReporter(transient=True)
    with reporter:
        trained = run_training(settings, out, reporter, progress=reporter.errors.is_terminal)
    report = trained.report
    what = "mean AUROC" if trained.multi_label else "accuracy"
    reporter.say(f"test: {what} {report['test']['mean']:.3f} on {report['test']['images']} images")
    for name, value in zip(trained.class_names, report["test"].get("each", ()), strict=False):
        reporter.say(f"  {name}: AUROC {value:.3f}")
    pruned = f", {len(report['pruned'])} pruned" if report["pruned"] else ""
    alike = plural(len(report["duplicates"]), "duplicate") if report["duplicates"] else "no duplicates"
    reporter.say(f"{len(trained.sources)} prototypes{pruned}, {alike}; {report['seconds']:.0f} s in this run")
    reporter.say(f"wrote {trained.folder}; next: maskstack prototypes explain {shlex.quote(str(trained.folder))} IMAGE")


class _TrainingReporter(ConsoleReporter):
    """Prints the progress of a training."""

    def caching(self, what: str, images: int) -> None:
        """Called with the number of images whose features will be computed."""
        self.start(f"features of the {what} images", images)
