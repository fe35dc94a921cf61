"""How long the rest of a job will take, from the time that its latest maps took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

LATEST = 30
"""Number of maps whose time counts: the machine may be busier now than it was an hour ago."""


class Pace:
    """The time that maps take on this machine, as busy as it is.

    The first map is not counted once there is another: it pays for what is prepared once.

    Args:
        total: Number of maps of the job.
        clock: Seconds; the default is not affected by changes of the system's time.

    Attributes:
        done: Number of maps that are made.
        making: Number of maps that are being made.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.clock, self.done, self.making = total, clock, 0, 1
        self._times: deque[tuple[int, float]] = deque(maxlen=LATEST + 1)

    def at(self, number: int, making: int = 1) -> None:
        """Called when this number of maps is made, first with 0, and so many are being made together."""
        self.done, self.making = number, making
        self._times.append((number, self.clock()))

    def remaining(self) -> float | None:
        """Seconds until the last map is made; None before one is.

        >>> seconds = iter([0, 9, 11, 13, 14])
        >>> pace = Pace(10, lambda: next(seconds))
        >>> for number in range(4):
        ...     pace.at(number)
        >>> pace.remaining()
        13.0
        """
        times = list(self._times)
        if len(times) > 2 and times[0][0] == 0:
            times = times[1:]
        (first, begun), (last, ended) = times[0] if times else (0, 0.0), times[-1] if times else (0, 0.0)
        if last == first:
            return None
        each = (ended - begun) / (last - first)
        left = self.total - last
        # The maps that are being made may take longer than the others, but not less than they have taken already.
        return max(each * left - (self.clock() - ended), each * (left - self.making), 0.0)
