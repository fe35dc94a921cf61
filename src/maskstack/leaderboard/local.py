"""The engine of one process: task after task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maskstack.leaderboard.work import Pair, Task, Worker


def work_locally(tasks: Sequence[Task], worker: Worker) -> Iterator[Pair]:
    """Work on the tasks in order, giving each pair as soon as it is finished."""
    for task in tasks:
        yield from worker(task)
