"""A run of the leaderboard, from the request to the stored rows, on any engine."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from maskstack.explainers.table import code_digests
from maskstack.leaderboard.plan import make_plan
from maskstack.leaderboard.record import settle
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import BenchNetwork, ImageTask, MeasuredMap, Worker, write_map
from maskstack.runs.folder import RunListener, opened
from maskstack.runs.rows import FAILED
from maskstack.runs.together import RowsTogether
from maskstack.version import __version__

Engine = Callable[[Sequence[ImageTask], Worker], Iterator[MeasuredMap]]
"""Works on tasks and yields each map as soon as it is measured, in any order."""


@dataclass(frozen=True)
class Outcome:
    """What a call added to a run: the number of measured maps, and how many of them failed."""

    maps: int
    failed: int


def bench(
    request: BenchRequest, run: Path, *, engine: Engine, listener: RunListener, retry_failed: bool = False
) -> Outcome:
    """Measure what is missing in a run.

    Args:
        request: What to measure.
        run: Folder of the run.
        engine: Where to work.
        listener: Receives the progress.
        retry_failed: Whether failed measurements are repeated.

    Raises:
        MaskstackError: The request, the data, a network, a method or the folder cannot be used; nothing was measured.
    """
    versions = {"maskstack": __version__, "torch": torch.__version__, "python": platform.python_version()}
    worker = Worker(request)
    # Networks, data, methods and their packages are checked before anything is written.
    for name in request.specs:
        network = worker.network(name)
        if network.net.assumed:
            listener.warn(f"{name}: {network.net.assumed}")
        if network.net.weights == "random":
            listener.warn(f"{name} has random weights, other ones at each start: give trained ones as weights=FILE")
        if network.numbered:
            listener.warn(
                f"{name}: it does not name its classes, so they are taken for those of the data in the order of their "
                f"names, {network.numbered[0]} for class 0; if they are not, add classes=FILE to its spec"
            )
        if unlabelled := _unlabelled(network, request):
            listener.warn(f"{name}: {unlabelled}")
        for method in request.methods:
            network.explainer(method)
    weights, code = worker.weights(), code_digests(request.methods)

    def settled() -> None:
        settle(run, request, versions=versions, weights=weights, code=code)

    with opened(run, settled, listener, retry_failed=retry_failed) as store:
        plan, tasks = make_plan(request, worker, store.measured, looking=listener.looking)
        listener.planned(plan)
        maps = failed = 0
        with RowsTogether(store, listener) as together:
            for found in engine(tasks, worker):
                write_map(run, found)
                # The rows come last, because a map that has rows counts as finished.
                together.add(found.rows, found.seconds)
                maps, failed = maps + 1, failed + any(row.metric == FAILED for row in found.rows)
        return Outcome(maps, failed)


def _unlabelled(network: BenchNetwork, request: BenchRequest) -> str:
    """What happens to images without a label among the network's classes; empty if there are none."""
    lacking = [image for image in network.images if image.label is None]
    if not lacking or request.target != "label":
        return ""
    unknown = {image.class_name for image in lacking} & set(network.images.unmatched)
    listed = ", ".join(sorted(filter(None, unknown))[:3]) + (" ..." if len(unknown) > 3 else "")
    known = f" (it does not know {listed})" if unknown else ""
    which = f"{len(lacking)} of {len(network.images)} images without a class of the network{known}"
    if request.which == "right":
        return f"{which}: left out"
    boxes = any(image.boxes or image.regions for image in lacking) and "localization" in request.groups
    compared = ", and localization compares its map with the boxes of the image's own class" if boxes else ""
    return f"{which}: the class that it predicts is explained there{compared}"


def work_locally(tasks: Sequence[ImageTask], worker: Worker) -> Iterator[MeasuredMap]:
    """The engine of this process: one task after the other."""
    for task in tasks:
        yield from worker(task)
