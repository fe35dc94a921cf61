"""``maskstack bench``: measure methods on annotated images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskstack.cli.console import RunReporter, names_in, plural
from maskstack.errors import InputError
from maskstack.jobs.machine import pick_device
from maskstack.leaderboard.bench import Engine, work_locally
from maskstack.leaderboard.bench import bench as run_bench
from maskstack.leaderboard.measures import DEFAULT_GROUPS
from maskstack.leaderboard.on_ray import Cluster, work_on_ray
from maskstack.leaderboard.request import BenchRequest

_WHAT, _WHERE = "What to measure", "Where to run"


def bench(
    data: Annotated[
        Path, typer.Option(help="Annotated images: a folder, a CSV or a COCO file.", rich_help_panel=_WHAT)
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the run; if it holds an interrupted run, that run is continued.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Spec of a network, or NAME=SPEC; give it once for each network.", rich_help_panel=_WHAT),
    ] = None,
    methods: Annotated[
        str, typer.Option(help="Names of methods, separated by commas; see 'maskstack methods'.", rich_help_panel=_WHAT)
    ] = "mdm,gradcam,random,centre",
    metrics: Annotated[
        str,
        typer.Option(
            help="Groups of metrics, separated by commas; robustness and sanity run the methods again.",
            rich_help_panel=_WHAT,
        ),
    ] = ",".join(DEFAULT_GROUPS),
    images: Annotated[int | None, typer.Option(help="Number of images; all by default.", rich_help_panel=_WHAT)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of images.", rich_help_panel=_WHAT)] = 0,
    half: Annotated[
        str, typer.Option(help="Which half of the images: all, tuning or reporting.", rich_help_panel=_WHAT)
    ] = "all",
    which: Annotated[
        str,
        typer.Option(
            help="all images, or right: only those that the network classifies correctly.", rich_help_panel=_WHAT
        ),
    ] = "all",
    target: Annotated[str, typer.Option(help="Class to explain: label or predicted.", rich_help_panel=_WHAT)] = "label",
    split: Annotated[str | None, typer.Option(help="Split of the data.", rich_help_panel=_WHAT)] = None,
    curve_steps: Annotated[
        int, typer.Option(help="Number of steps of the insertion and deletion curves.", rich_help_panel=_WHAT)
    ] = 20,
    maps: Annotated[bool, typer.Option("--maps", help="Save the maps, for the pictures of the report.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Measure failed maps again.")] = False,
    engine: Annotated[str, typer.Option(help="Where maps are made: local or ray.", rich_help_panel=_WHERE)] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster; this machine by default.", rich_help_panel=_WHERE)
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Number of Ray actors; each loads the networks.", rich_help_panel=_WHERE)
    ] = 1,
    cpus: Annotated[float, typer.Option(help="Processors for each actor.", rich_help_panel=_WHERE)] = 1,
    gpus: Annotated[float, typer.Option(help="GPUs for each actor.", rich_help_panel=_WHERE)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...", rich_help_panel=_WHERE)] = "auto",
    batch_size: Annotated[int, typer.Option(help="Maximum number of images in one pass.", rich_help_panel=_WHERE)] = 32,
) -> None:
    """Measure every method on every image of every network."""
    request = BenchRequest(
        models=tuple(model or ["bundled"]),
        data=str(data),
        methods=names_in(methods),
        groups=names_in(metrics),
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
    reporter = RunReporter()
    with reporter:
        outcome = run_bench(
            request,
            out,
            engine=_engine(engine, Cluster(address=address, workers=workers, cpus=cpus, gpus=gpus)),
            listener=reporter,
            retry_failed=retry_failed,
        )
    failed = f", of which {outcome.failed} failed (--retry-failed tries them again)" if outcome.failed else ""
    reporter.say(f"{plural(outcome.maps, 'map')} measured{failed}; next: maskstack report {out}")


def _engine(name: str, cluster: Cluster) -> Engine:
    if name == "local":
        return work_locally
    if name == "ray":
        return lambda tasks, worker: work_on_ray(tasks, worker, cluster=cluster)
    raise InputError(f"--engine is {name!r}; it must be local or ray")
