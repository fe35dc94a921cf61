"""A search that runs in a thread, shows its state and can be stopped."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from torch import Tensor

from maskstack.masks.result import OnProgress, Progress

_Found = TypeVar("_Found")

SEARCH = "maskstack search"
"""Name of the thread that runs searches, while it runs one."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of a search after a step.

    Attributes:
        step: Steps done.
        steps: Maximum number of steps.
        seconds: Seconds since the end of the first step.
        stack: The stacked masks of the first image, H x W in [0, 1].
        shown_scores: After each step, the latest score of the shown part; NaN before the first one.
        hidden_scores: After each step, the latest score of the hidden part; NaN before the first one.
        last: Whether no step follows.
    """

    step: int
    steps: int
    seconds: float
    stack: Tensor
    shown_scores: tuple[float, ...]
    hidden_scores: tuple[float, ...]
    last: bool = False

    @property
    def seconds_left(self) -> float:
        """Maximum seconds until the end, at the speed so far."""
        return self.seconds / max(self.step - 1, 1) * (self.steps - self.step)


class _SnapshotMaker:
    """Receives a search's progress and makes snapshots of it at intervals, and after the last step."""

    def __init__(self, stop: threading.Event, out: queue.Queue[Snapshot | None], every: float) -> None:
        self.stop, self.out, self.every = stop, out, every
        self.shown_scores: list[float] = []
        self.hidden_scores: list[float] = []
        self.first = self.last = 0.0

    def __call__(self, progress: Progress) -> bool:
        now = time.perf_counter()
        self.first = self.first or now
        self.shown_scores.append(float(progress.shown_score[0]))
        self.hidden_scores.append(float(progress.hidden_score[0]))
        last = progress.step == progress.steps or not progress.open
        if last or now - self.last >= self.every:
            self.last = now
            stack = progress.preview()[0].detach().cpu()
            seconds = now - self.first
            scores = tuple(self.shown_scores), tuple(self.hidden_scores)
            self.out.put(Snapshot(progress.step, progress.steps, seconds, stack, *scores, last))
        return not self.stop.is_set()


def live(
    work: Callable[[OnProgress], _Found], stop: threading.Event, *, every: float = 0.5
) -> Generator[Snapshot, None, _Found]:
    """Run a search in the thread of all searches and yield its state.

    Args:
        work: Runs the search with the progress function that it receives.
        stop: Set it from any thread to stop the search; the result is what was found by then.
        every: Minimum seconds between two snapshots, but for the last one.

    Yields:
        The newest snapshot each time; a slow client skips snapshots.

    Returns:
        What the search found. Its errors are raised here. Closing the generator stops the search.
    """
    seen: queue.Queue[Snapshot | None] = queue.Queue()
    found: Future[_Found] = Future()

    def run() -> None:
        thread = threading.current_thread()
        thread.name = SEARCH
        try:
            found.set_result(work(_SnapshotMaker(stop, seen, every)))
        # Every error is raised again in the thread that reads the snapshots.
        except BaseException as error:
            found.set_exception(error)
        finally:
            thread.name = f"{SEARCH} (idle)"
            seen.put(None)

    running = search_thread().submit(run)
    try:
        while (snapshot := _newest(seen)) is not None:
            yield snapshot
    finally:
        if not found.done():
            stop.set()
        running.result()
    return found.result()


@lru_cache(maxsize=1)
def search_thread() -> ThreadPoolExecutor:
    """The thread of all searches: with a new thread for each, the C library would keep memory for each of them."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=SEARCH)


def _newest(seen: queue.Queue[Snapshot | None]) -> Snapshot | None:
    """Wait for a snapshot, and return the newest one; None at the end."""
    newest = seen.get()
    with contextlib.suppress(queue.Empty):
        while newest is not None and (following := seen.get_nowait()) is not None:
            newest = following
        if newest is not None:
            seen.put(None)  # the end comes after the last snapshot
    return newest
