"""Groups of photos, each in one of several processes: a group alone does not keep many cores busy."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import connection
from typing import TYPE_CHECKING, Self

import torch

from maskstack.allocator import keep_large_blocks
from maskstack.errors import ModelError
from maskstack.explanation import Explanation
from maskstack.jobs.photo_files import Searched
from maskstack.jobs.photo_group import GroupExplainer
from maskstack.jobs.progress import JobReporter
from maskstack.jobs.targets import PhotoTarget

if TYPE_CHECKING:
    from maskstack.jobs.explain import ExplainRequest


def share_of_threads(workers: int) -> int:
    """How many of torch's threads each of several processes has, at least one."""
    return max(1, torch.get_num_threads() // workers)


@contextmanager
def threads_of(workers: int) -> Iterator[None]:
    """Inside the context torch uses as many threads as each of several processes has."""
    before = torch.get_num_threads()
    if workers > 1:
        torch.set_num_threads(share_of_threads(workers))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the context. Processes that are started in it hold it back for themselves.

    Otherwise, Ctrl-C would end them with a traceback while they are still importing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Processes:
    """Processes that explain photos; use it in a ``with`` statement. They load the network while their owner predicts.

    Args:
        request: What to explain, and how.
        workers: Number of processes.

    Raises:
        ModelError: At the end of the ``with`` statement, if a process was ended from outside.
    """

    def __init__(self, request: ExplainRequest, workers: int) -> None:
        self.workers, self._others = workers, set(multiprocessing.active_children())
        context, threads = multiprocessing.get_context("spawn"), share_of_threads(workers)
        self._pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(request, threads))
        self._ready: list[Future[int]] = []

    def __enter__(self) -> Self:
        # A process that is ended at once is noticed by wait().
        with _interrupts_held(), suppress(BrokenProcessPool):
            # Each task starts a process, as long as none of them is idle.
            self._ready = [self._pool.submit(os.getpid) for _ in range(self.workers)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if kind is not None:
            # What they have begun would take a while, and nobody waits for it.
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        self._pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise ModelError(
                "a process of --workers was ended, perhaps because memory ran out; try --workers 1, and --resume "
                "to keep the results that are there"
            ) from error

    def wait(self) -> None:
        """Wait until the network is loaded, at least by the faster processes."""
        ready = self._ready or [self._pool.submit(os.getpid)]
        # If one process is ended while another one starts, the other's result may never come.
        for result in futures.wait(ready, return_when=futures.FIRST_EXCEPTION).done:
            result.result()

    def explain(self, groups: Sequence[list[PhotoTarget]], reporter: JobReporter) -> None:
        """Explain groups of photos, and report the results in the order of the photos.

        Raises:
            MaskstackError: A photo cannot be explained, or a file cannot be written.
        """
        running = list(zip(groups, [self._pool.submit(_explain, group) for group in groups], strict=True))
        begun = 0
        # The processes end a group each at about the same time, so the pace is told once for all of these groups.
        for first in range(0, len(running), self.workers):
            several = running[first : first + self.workers]
            together = sum(len(group) for group, _ in several)
            reporter.begin(begun, together)
            begun += together
            for group, results in several:
                for target, files in zip(group, results.result(), strict=True):
                    reporter.result(target.photo, Explanation.load(files["explanation"]), files)


class _Worker:
    """The state of a worker's process."""

    def __init__(self, request: ExplainRequest) -> None:
        self.explainer = GroupExplainer.of(request)
        self.is_busy = self.is_stopped = False

    def explain(self, group: list[PhotoTarget]) -> list[dict[str, str]]:
        """Explain a group of photos, and write their files."""
        self.is_busy = True
        written: list[dict[str, str]] = []

        def write(found: list[Searched]) -> None:
            written.extend(self.explainer.write(found))

        try:
            if self.is_stopped:
                raise KeyboardInterrupt
            self.explainer.explain(group, lambda _progress: None, write)
            return written
        finally:
            self.is_busy = False

    def stop(self, *_signal: object) -> None:
        """End as Ctrl-C ends the first process, so that no half-written file is left."""
        self.is_stopped = True
        if self.is_busy:
            raise KeyboardInterrupt
        os._exit(1)


_worker: _Worker


def _begin(request: ExplainRequest, threads: int) -> None:
    global _worker
    # Ctrl-C reaches all processes; the first one stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    keep_large_blocks()  # set in the first process too, but not handed on
    _worker = _Worker(request)
    signal.signal(signal.SIGTERM, _worker.stop)


def _explain(group: list[PhotoTarget]) -> list[dict[str, str]]:
    try:
        return _worker.explain(group)
    finally:
        if _worker.is_stopped:
            # Not back to the pool, which has been told of its end and would wait for this process forever.
            os._exit(1)


def _end_with_parent() -> None:
    """End this process when the one that began it was killed; nobody else would."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
