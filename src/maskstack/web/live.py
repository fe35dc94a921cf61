"""A search that is watched while it works, and can be stopped."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from torch import Tensor

from maskstack.explanation import Explanation
from maskstack.masks.result import OnProgress, Progress

SEARCH = "maskstack search"
"""Name of the threads in which searches run."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Where a search stands.

    Attributes:
        step: Steps done.
        steps: Steps at most.
        seconds: Since the first step ended.
        stack: The stacked masks of the first image, H x W in [0, 1].
        kept: Score of what the masks show, as it was last asked for, after each step; NaN before.
        left: Score of what they hide, likewise.
    """

    step: int
    steps: int
    seconds: float
    stack: Tensor
    kept: tuple[float, ...]
    left: tuple[float, ...]

    @property
    def seconds_left(self) -> float:
        """Seconds to go at most, as the steps until now went."""
        return self.seconds / max(self.step - 1, 1) * (self.steps - self.step)


class _Watch:
    """Takes a search's progress and makes a snapshot of it now and then."""

    def __init__(self, stop: threading.Event, out: queue.Queue[Snapshot | None], every: float) -> None:
        self.stop, self.out, self.every = stop, out, every
        self.kept: list[float] = []
        self.left: list[float] = []
        self.first = self.last = 0.0

    def __call__(self, progress: Progress) -> bool:
        now = time.perf_counter()
        self.first = self.first or now
        self.kept.append(float(progress.kept[0]))
        self.left.append(float(progress.left[0]))
        if now - self.last >= self.every:
            self.last = now
            stack = progress.preview()[0].detach().cpu()
            seconds = now - self.first
            self.out.put(Snapshot(progress.step, progress.steps, seconds, stack, tuple(self.kept), tuple(self.left)))
        return not self.stop.is_set()


def live(
    work: Callable[[OnProgress], Explanation], stop: threading.Event, *, every: float = 0.5
) -> Generator[Snapshot, None, Explanation]:
    """Run a search in a thread of its own and tell how it goes.

    Args:
        work: Runs the search with the progress function it is given.
        stop: Set it from anywhere to end the search; what was found until then is the result.
        every: Seconds between two snapshots at least.

    Yields:
        Snapshots, the newest there is: who is slow misses those between.

    Returns:
        What the search found. Whatever it raises is raised here. A generator that is closed ends the search.
    """
    seen: queue.Queue[Snapshot | None] = queue.Queue()
    results: list[Explanation] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(_Watch(stop, seen, every)))
        # Handed to whoever watches, whatever it is.
        except BaseException as error:
            failures.append(error)
        finally:
            seen.put(None)

    thread = threading.Thread(target=run, name=SEARCH, daemon=True)
    thread.start()
    try:
        while (snapshot := _newest(seen)) is not None:
            yield snapshot
    finally:
        if thread.is_alive() and not results and not failures:
            stop.set()
        thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _newest(seen: queue.Queue[Snapshot | None]) -> Snapshot | None:
    """Waits for something to be seen, and passes over what was seen before it; None at the end."""
    newest = seen.get()
    while newest is not None:
        try:
            following = seen.get_nowait()
        except queue.Empty:
            return newest
        if following is None:
            seen.put(None)  # the end comes after what was seen last
            return newest
        newest = following
    return None
