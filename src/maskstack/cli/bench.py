"""``maskstack bench``: measure methods on annotated images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from maskstack.cli.device import pick_device
from maskstack.errors import InputError
from maskstack.leaderboard.bench import Engine
from maskstack.leaderboard.bench import bench as run_bench
from maskstack.leaderboard.local import work_locally
from maskstack.leaderboard.measures import DEFAULT_GROUPS
from maskstack.leaderboard.on_ray import Cluster, work_on_ray
from maskstack.leaderboard.plan import Plan
from maskstack.leaderboard.request import Request
from maskstack.leaderboard.work import Pair

_WHAT, _WHERE = "What to measure", "Where to work"


def bench(
    data: Annotated[
        Path, typer.Option(help="Annotated images: a folder, a CSV or a COCO file.", rich_help_panel=_WHAT)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier one goes on where it was.")],
    model: Annotated[
        list[str] | None, typer.Option(help="Spec of a network, or NAME=SPEC; several times.", rich_help_panel=_WHAT)
    ] = None,
    methods: Annotated[
        str, typer.Option(help="Names as 'maskstack methods' lists them.", rich_help_panel=_WHAT)
    ] = "mdm,gradcam,random,centre",
    metrics: Annotated[
        str, typer.Option(help="Also robustness and sanity, which run methods again.", rich_help_panel=_WHAT)
    ] = ",".join(DEFAULT_GROUPS),
    images: Annotated[int | None, typer.Option(help="How many; all by default.", rich_help_panel=_WHAT)] = None,
    seed: Annotated[int, typer.Option(help="Of the choice of images.", rich_help_panel=_WHAT)] = 0,
    half: Annotated[str, typer.Option(help="all, tuning or reporting.", rich_help_panel=_WHAT)] = "all",
    which: Annotated[
        str, typer.Option(help="all, or right: what the network gets right.", rich_help_panel=_WHAT)
    ] = "all",
    target: Annotated[str, typer.Option(help="Class to explain: label or predicted.", rich_help_panel=_WHAT)] = "label",
    split: Annotated[str | None, typer.Option(help="Split of the data.", rich_help_panel=_WHAT)] = None,
    curve_steps: Annotated[
        int, typer.Option(help="Points of insertion and deletion curves.", rich_help_panel=_WHAT)
    ] = 20,
    maps: Annotated[bool, typer.Option("--maps", help="Keep the maps, for the report's pictures.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed.")] = False,
    engine: Annotated[str, typer.Option(help="local or ray.", rich_help_panel=_WHERE)] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; this machine by default.", rich_help_panel=_WHERE)
    ] = None,
    workers: Annotated[int, typer.Option(help="Ray actors, each with the networks.", rich_help_panel=_WHERE)] = 1,
    cpus: Annotated[float, typer.Option(help="Processors for each actor.", rich_help_panel=_WHERE)] = 1,
    gpus: Annotated[float, typer.Option(help="GPUs for each actor.", rich_help_panel=_WHERE)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...", rich_help_panel=_WHERE)] = "auto",
    batch_size: Annotated[int, typer.Option(help="Images in one pass at most.", rich_help_panel=_WHERE)] = 32,
) -> None:
    """Measure every method on every image of every network; a stopped run goes on where it was."""
    request = Request(
        models=tuple(model or ["bundled"]),
        data=str(data),
        methods=_names(methods),
        groups=_names(metrics),
        images=images,
        seed=seed,
        half=half,
        which=which,
        target=target,
        split=split,
        curve_steps=curve_steps,
        keep_maps=maps,
        device=str(pick_device(device)),
        batch_size=batch_size,
    )
    talk = _Talk(out)
    with talk.progress:
        outcome = run_bench(
            request,
            out,
            engine=_engine(engine, Cluster(address=address, workers=workers, cpus=cpus, gpus=gpus)),
            listener=talk,
            retry_failed=retry_failed,
        )
    failed = f", {outcome.failed} of them failed (--retry-failed tries again)" if outcome.failed else ""
    talk.out.print(f"{outcome.pairs} maps measured{failed}; next: maskstack report {out}", soft_wrap=True)


def _engine(name: str, cluster: Cluster) -> Engine:
    if name == "local":
        return work_locally
    if name == "ray":
        return lambda tasks, worker: work_on_ray(tasks, worker, cluster=cluster)
    raise InputError(f"--engine is {name!r}; it must be local or ray")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class _Talk:
    """Says how the run goes: the plan on stdout, progress on stderr, failures as they come."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.out = Console(highlight=False)
        self.errors = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        quiet = not self.errors.is_terminal
        self.progress = Progress(*columns, TimeRemainingColumn(), console=self.errors, disable=quiet)
        self._task: TaskID | None = None

    def looking(self, network: str, images: int) -> None:
        if self._task is None:
            self._task = self.progress.add_task("looking", total=None)
        self.progress.update(self._task, description=f"what {network} gets right: image {images}", completed=images)

    def damaged(self, shards: Sequence[Path]) -> None:
        places = ", ".join(path.name for path in shards)
        said = f"{len(shards)} damaged shards were set aside and are done again: {places}"
        self.errors.print(Text.assemble(("note: ", "bold yellow"), said), soft_wrap=True)

    def planned(self, plan: Plan) -> None:
        if self._task is not None:
            self.progress.remove_task(self._task)
        done = f", {plan.done} already there" if plan.done else ""
        self.out.print(
            f"{plan.pairs} maps to make and measure{done}: at most {plan.forward:,} forward and {plan.backward:,} "
            f"backward passes, about {_duration(plan.seconds)} for one worker; stop and go on whenever you like",
            soft_wrap=True,
        )
        self._task = self.progress.add_task("measuring", total=plan.pairs)

    def finished(self, pair: Pair) -> None:
        for row in pair.rows:
            if row.failure is not None and row.value is None and row.metric == "failed":
                said = f"{pair.method} on {pair.image} of {pair.model}: {row.failure}"
                self.errors.print(Text.assemble(("failed: ", "bold yellow"), said), soft_wrap=True)
                break
        if self._task is not None:
            self.progress.advance(self._task)


def _duration(seconds: float) -> str:
    """Seconds for a person.

    >>> _duration(40), _duration(600), _duration(9000)
    ('40 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
