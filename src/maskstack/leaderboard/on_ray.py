"""The engine of many processes and machines: the same tasks through Ray Data.

Each actor is a worker of its own that keeps its networks; tasks flow to whichever is free, and finished pairs flow back
to the one process that writes them. What a lost actor had in flight is done again by another.
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
from maskstack.leaderboard.request import Request
from maskstack.runs.store import Row
from maskstack.leaderboard.work import Pair, Task, Worker


@dataclass(frozen=True)
class Cluster:
    """Where the actors run.

    Attributes:
        address: Of a running Ray cluster; None is this machine, where Ray is started and ended by the run.
        workers: Number of actors.
        cpus: Processors of each; also its number of threads.
        gpus: GPUs of each, may be a part of one.
    """

    address: str | None = None
    workers: int = 1
    cpus: float = 1
    gpus: float = 0


def work_on_ray(tasks: Sequence[Task], worker: Worker, *, cluster: Cluster) -> Iterator[Pair]:
    """Work on the tasks with Ray actors, giving each pair as soon as it has come back.

    Every machine of the cluster has to see the data and the networks' files under the same paths.

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


def _flow(ray_data: Any, tasks: Sequence[Task], request: Request, cluster: Cluster) -> Iterator[Pair]:
    """Let the tasks flow through the actors."""
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
    """Within, Ray says only what went wrong; what it does otherwise is the caller's to tell."""
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
    """A worker behind Ray Data's interface: batches of one packed task in, packed pairs out."""

    def __init__(self, request: dict[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        self.worker = Worker(Request(**request))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        packed = []
        for model, image, pairs in zip(batch["model"], batch["image"], batch["pairs"], strict=True):
            task = Task(str(model), str(image), json.loads(str(pairs)))
            packed += [_pack(pair) for pair in self.worker(task)]
        return {"pair": [text for text, _ in packed], "map": [content for _, content in packed]}


def _packed(task: Task) -> dict[str, str]:
    return {"model": task.model, "image": task.image, "pairs": json.dumps(dict(task.pairs))}


def _pack(pair: Pair) -> tuple[str, bytes]:
    shape = [] if pair.saliency is None else list(pair.saliency.shape)
    rows = [asdict(row) for row in pair.rows]
    text = json.dumps({"model": pair.model, "method": pair.method, "image": pair.image, "rows": rows, "shape": shape})
    return text, b"" if pair.saliency is None else pair.saliency.tobytes()


def _unpacked(row: dict[str, Any]) -> Iterator[Pair]:
    found = json.loads(row["pair"])
    rows = tuple(
        Row(**{**one, "curve": None if one["curve"] is None else tuple(one["curve"])}) for one in found["rows"]
    )
    saliency = np.frombuffer(row["map"], dtype=np.float16).reshape(found["shape"]) if found["shape"] else None
    yield Pair(found["model"], found["method"], found["image"], rows, saliency)
