"""``maskstack bench``: measure methods on annotated images."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from maskstack.cli.console import RunReporter, names_in, plural
from maskstack.cli.options import RetryFailed, RunFolder
from maskstack.errors import InputError
from maskstack.jobs.machine import pick_device
from maskstack.leaderboard.bench import Engine, work_locally
from maskstack.leaderboard.bench import bench as run_bench
from maskstack.leaderboard.measures import DEFAULT_GROUPS
from maskstack.leaderboard.on_ray import Cluster, work_on_ray
from maskstack.leaderboard.request import BenchRequest

_what = partial(typer.Option, rich_help_panel="What to measure")
_where = partial(typer.Option, rich_help_panel="Where to run")


def bench(
    data: Annotated[Path, _what(help="Annotated images: a folder, a CSV or a COCO file.")],
    out: RunFolder,
    model: Annotated[
        list[str] | None, _what(help="Spec of a network, or NAME=SPEC; give it once for each network.")
    ] = None,
    methods: Annotated[
        str, _what(help="Names of methods, separated by commas; see 'maskstack methods'.")
    ] = "mdm,gradcam,random,centre",
    metrics: Annotated[
        str, _what(help="Groups of metrics, separated by commas; robustness and sanity run the methods again.")
    ] = ",".join(DEFAULT_GROUPS),
    images: Annotated[int | None, _what(help="Number of images; all by default.")] = None,
    seed: Annotated[int, _what(help="Seed of the choice of images.")] = 0,
    half: Annotated[str, _what(help="Which half of the images: all, tuning or reporting.")] = "all",
    which: Annotated[
        str, _what(help="all images, or right: only those that the network classifies correctly.")
    ] = "all",
    target: Annotated[str, _what(help="Class to explain: label or predicted.")] = "label",
    split: Annotated[str | None, _what(help="Split of the data.")] = None,
    curve_steps: Annotated[int, _what(help="Number of steps of the insertion and deletion curves.")] = 20,
    maps: Annotated[bool, typer.Option("--maps", help="Save the maps, for the pictures of the report.")] = False,
    retry_failed: RetryFailed = False,
    engine: Annotated[str, _where(help="Where maps are made: local or ray.")] = "local",
    address: Annotated[str | None, _where(help="Address of a Ray cluster; this machine by default.")] = None,
    workers: Annotated[int, _where(help="Number of Ray actors; each loads the networks.")] = 1,
    cpus: Annotated[float, _where(help="Processors for each actor.")] = 1,
    gpus: Annotated[float, _where(help="GPUs for each actor.")] = 0,
    device: Annotated[str, _where(help="auto, cpu, cuda ...")] = "auto",
    batch_size: Annotated[int, _where(help="Maximum number of images in one pass.")] = 32,
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
    cluster = Cluster(address=address, workers=workers, cpus=cpus, gpus=gpus)
    engines: dict[str, Engine] = {"local": work_locally, "ray": partial(work_on_ray, cluster=cluster)}
    if engine not in engines:
        raise InputError(f"--engine is {engine!r}; it must be local or ray")
    reporter = RunReporter()
    with reporter:
        outcome = run_bench(
            request,
            out,
            engine=engines[engine],
            listener=reporter,
            retry_failed=retry_failed,
        )
    failed = f", of which {outcome.failed} failed (--retry-failed tries them again)" if outcome.failed else ""
    reporter.say(f"{plural(outcome.maps, 'map')} measured{failed}; next: maskstack report {shlex.quote(str(out))}")
