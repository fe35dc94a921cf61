"""The engine for many processes and machines: the same tasks through Ray Data.

Each actor has a worker that keeps its networks. Tasks go to any free actor, and measured maps return to the one process
that writes them. The unfinished tasks of a lost actor are repeated by another.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from maskstack.errors import require
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import ImageTask, MeasuredMap, Worker
from maskstack.runs.rows import ResultRow


@dataclass(frozen=True)
class Cluster:
    """Where the actors run.

    Attributes:
        address: Address of a running Ray cluster; None for this machine, where the run starts and stops Ray.
        workers: Number of actors.
        cpus: Number of processors of each actor; also its number of threads.
        gpus: Number of GPUs of each actor, possibly a fraction.
    """

    address: str | None = None
    workers: int = 1
    cpus: float = 1
    gpus: float = 0


def work_on_ray(tasks: Sequence[ImageTask], worker: Worker, *, cluster: Cluster) -> Iterator[MeasuredMap]:
    """Work on the tasks with Ray actors, and yield each map as soon as it has returned.

    Every machine of the cluster must have the data and the networks' files under the same paths.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    ray, ray_data = require("ray", extra="ray"), require("ray.data", extra="ray")
    if not tasks:
        return
    started = not ray.is_initialized()
    with _quiet():
        if started:
            ray.init(address=cluster.address or "local", log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield from _flow(ray_data, tasks, worker.request, cluster)
        finally:
            if started:
                ray.shutdown()


def _flow(ray_data: Any, tasks: Sequence[ImageTask], request: BenchRequest, cluster: Cluster) -> Iterator[MeasuredMap]:
    """Send the tasks through the actors."""
    context = ray_data.DataContext.get_current()
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        flow = ray_data.from_items([_packed(task) for task in tasks], override_num_blocks=len(tasks)).map_batches(
            _Actor,
            fn_constructor_args=(asdict(request), max(1, int(cluster.cpus))),
            batch_size=1,
            compute=ray_data.ActorPoolStrategy(size=cluster.workers),
            num_cpus=cluster.cpus,
            num_gpus=cluster.gpus or None,
        )
        for row in flow.iter_rows():
            yield from _unpacked(row)
    finally:
        context.enable_progress_bars = bars


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside the context, Ray logs only errors; the caller reports the progress."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data", "ray._private")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Actor:
    """A worker with Ray Data's interface: from batches of one packed task to packed maps."""

    def __init__(self, request: dict[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        self.worker = Worker(BenchRequest(**request))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        packed = []
        for model, image, groups in zip(batch["model"], batch["image"], batch["groups"], strict=True):
            task = ImageTask(str(model), str(image), json.loads(str(groups)))
            packed += [_pack(found) for found in self.worker(task)]
        return {"rows": [text for text, _ in packed], "map": [content for _, content in packed]}


def _packed(task: ImageTask) -> dict[str, str]:
    return {"model": task.model, "image": task.image, "groups": json.dumps(dict(task.groups))}


def _pack(found: MeasuredMap) -> tuple[str, bytes]:
    shape = [] if found.saliency is None else list(found.saliency.shape)
    rows = [asdict(row) for row in found.rows]
    text = json.dumps(
        {"model": found.model, "method": found.method, "image": found.image, "rows": rows, "shape": shape}
    )
    return text, b"" if found.saliency is None else found.saliency.tobytes()


def _unpacked(row: dict[str, Any]) -> Iterator[MeasuredMap]:
    found = json.loads(row["rows"])
    rows = tuple(
        ResultRow(**{**one, "curve": None if one["curve"] is None else tuple(one["curve"])}) for one in found["rows"]
    )
    saliency = np.frombuffer(row["map"], dtype=np.float16).reshape(found["shape"]) if found["shape"] else None
    yield MeasuredMap(found["model"], found["method"], found["image"], rows, saliency)
