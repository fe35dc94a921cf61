"""The engine for many processes and machines: the same tasks through Ray Data.

Each actor has a worker that keeps its networks. Tasks go to any free actor, and measured maps return to the one process
that writes them. The unfinished tasks of a lost actor are repeated by another.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from maskstack.errors import quiet, require
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import ImageTask, MeasuredMap, Worker


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
    # Ray logs only errors; the caller reports the progress.
    with quiet("ray", "ray.data", "ray._private"):
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
        rows = [{"task": task} for task in tasks]
        flow = ray_data.from_items(rows, override_num_blocks=len(tasks)).map_batches(
            _Actor,
            fn_constructor_args=(request, max(1, int(cluster.cpus))),
            batch_size=1,
            compute=ray_data.ActorPoolStrategy(size=cluster.workers),
            num_cpus=cluster.cpus,
            num_gpus=cluster.gpus or None,
        )
        for row in flow.iter_rows():
            yield row["map"]
    finally:
        context.enable_progress_bars = bars


class _Actor:
    """A worker with Ray Data's interface: from batches of one packed task to packed maps."""

    def __init__(self, request: BenchRequest, threads: int) -> None:
        torch.set_num_threads(threads)
        self.worker = Worker(request)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[MeasuredMap]]:
        return {"map": [measured for task in batch["task"] for measured in self.worker(task)]}
