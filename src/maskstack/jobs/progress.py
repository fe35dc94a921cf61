"""The progress that a job on many photos reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from maskstack.explanation import Explanation
from maskstack.masks.result import Progress


class JobReporter(Protocol):
    """Receives the progress of a job on photos, and decides what to print."""

    def warn(self, sentence: str) -> None:
        """Called with a note that the reader of the results should know."""

    def predictions(self, photo: str, best: Sequence[tuple[str, float]]) -> None:
        """Called with the best classes of a photo, each with its probability."""

    def numbers(self, photo: str, values: Sequence[float]) -> None:
        """Called with the numbers that the network gives for a photo, where it has no classes."""

    def output(self, words: str, doubt: str) -> None:
        """Called with what the network's output is, and why this is not certain; empty if it is certain."""

    def cost(self, passes: Mapping[str, int], *, todo: int, done: int, seconds: float) -> None:
        """Called before the first search.

        Args:
            passes: Maximum numbers of ``forward`` and ``backward`` passes.
            todo: Number of maps to make.
            done: Number of maps that are finished already.
            seconds: Expected time of all passes.
        """

    def searching(self, maps: int) -> AbstractContextManager[None]:
        """Context manager that is active while this number of maps is made."""

    def begin(self, number: int, together: int = 1) -> None:
        """Called before each map, or before a few that are made together.

        Args:
            number: Number of maps before it; their results may still be written.
            together: Number of maps that are made together.
        """

    def step(self, state: Progress) -> None:
        """Called after each step of a search."""

    def result(self, photo: str, explanation: Explanation, files: Mapping[str, str]) -> None:
        """Called with each finished map and its files by kind; the first one is the most useful to look at."""

    def finished(self, position: int, photo: str, files: Mapping[str, str]) -> None:
        """Called at the end with each map that an earlier run made, in their order.

        Args:
            position: Its position among all maps that were asked for.
            photo: The photo.
            files: Its files by kind, the explanation among them.
        """
