"""How many examples each generated test tries, and what became of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LONG = os.environ.get("MASKSTACK_HARDEN") == "1"
"""Whether this is the long run."""


def tries(few: int, many: int) -> int:
    """The number of examples of a test; ``MASKSTACK_HARDEN_SHARE`` scales the many."""
    return max(1, round(many * float(os.environ.get("MASKSTACK_HARDEN_SHARE", "1")))) if LONG else few


@dataclass
class Tally:
    """Counts trials.

    Attributes:
        tried: Number of trials.
        broken: A line for each trial that broke a promise.
    """

    tried: int = 0
    broken: list[str] = field(default_factory=list)

    @contextmanager
    def trial(self, label: str) -> Iterator[None]:
        """A trial: whatever is raised within it is counted, and the test goes on."""
        self.tried += 1
        try:
            yield
        except (Exception, SystemExit, RecursionError) as error:
            self.broken.append(f"{label}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
