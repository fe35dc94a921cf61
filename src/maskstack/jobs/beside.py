"""Drawing and writing one result while the next one is searched for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

T = TypeVar("T")


class Beside:
    """Runs one piece of work at a time in a thread, beside what its owner does. Use it in a ``with`` statement.

    At most one piece waits or runs, so the memory for it is bounded. Its result is handed over in the owner's thread:
    when the next piece is given, or at the end, also after an error of the owner.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="maskstack-write")
        self._finish: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self._wait()
        finally:
            self._thread.shutdown()

    def run(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Start a piece of work, after the one before it has ended.

        Args:
            work: The work; nothing that it uses may change until it ends.
            done: Called with its result, in this thread.

        Raises:
            Exception: What the piece before it raised.
        """
        self._wait()
        running: Future[T] = self._thread.submit(work)
        self._finish = lambda: done(running.result())

    def _wait(self) -> None:
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
