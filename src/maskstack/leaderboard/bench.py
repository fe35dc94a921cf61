"""A run from plan to shards, on whichever engine."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors.numpy
import torch

from maskstack.files import write_whole
from maskstack.runs.lock import locked
from maskstack.leaderboard.plan import OnImage, Plan, make_plan
from maskstack.leaderboard.request import Request, settle
from maskstack.runs.store import FAILED, Store
from maskstack.leaderboard.work import Pair, Task, Worker, map_file
from maskstack.version import __version__

Engine = Callable[[Sequence[Task], Worker], Iterator[Pair]]
"""Works on tasks and gives each pair as soon as it is finished, in any order."""


class Listener(Protocol):
    """Who is told how a run goes."""

    def looking(self, network: str, images: int) -> None:
        """Images are looked at to find those the network gets right."""

    def damaged(self, shards: Sequence[Path]) -> None:
        """Shards could not be read and were set aside."""

    def planned(self, plan: Plan) -> None:
        """The work is about to start."""

    def finished(self, pair: Pair) -> None:
        """A pair is finished and written."""


@dataclass(frozen=True)
class Outcome:
    """What a call added to a run: maps measured, and those of them that failed."""

    pairs: int
    failed: int


def bench(request: Request, run: Path, *, engine: Engine, listener: Listener, retry_failed: bool = False) -> Outcome:
    """Measure what is missing in a run.

    Args:
        request: What is wanted.
        run: Folder of the run.
        engine: Where to work.
        listener: Who is told.
        retry_failed: Whether what failed before is tried again.

    Raises:
        MaskstackError: The request, the data, a network, a method or the folder cannot be used; nothing was measured.
    """
    with locked(run):
        versions = {"maskstack": __version__, "torch": torch.__version__, "python": platform.python_version()}
        settle(run, request, versions=versions)
        store = Store.open(run)
        if store.damaged:
            listener.damaged(store.damaged)
        if retry_failed:
            store.forget_failures()
        worker = Worker(request)
        looking: OnImage = listener.looking
        plan = make_plan(request, worker, store.finished(), looking=looking)
        listener.planned(plan)
        pairs = failed = 0
        for pair in engine(plan.tasks, worker):
            _keep_map(run, pair)
            # The rows last: a pair that has them is finished.
            store.write(pair.rows)
            store.merge_when_many()
            pairs, failed = pairs + 1, failed + any(row.metric == FAILED for row in pair.rows)
            listener.finished(pair)
        return Outcome(pairs, failed)


def _keep_map(run: Path, pair: Pair) -> None:
    if pair.saliency is None:
        return
    content = safetensors.numpy.save({"saliency": np.ascontiguousarray(pair.saliency)})
    write_whole(map_file(run, pair), lambda file: file.write_bytes(content))
