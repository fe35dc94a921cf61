"""How many examples each generated test tries: few in the ordinary run, many in ``make harden``."""

from __future__ import annotations

import os

LONG = os.environ.get("MASKSTACK_HARDEN") == "1"
"""Whether this is the long run."""


def tries(few: int, many: int) -> int:
    """The number of examples of a test; ``MASKSTACK_HARDEN_SHARE`` scales the many."""
    return max(1, round(many * float(os.environ.get("MASKSTACK_HARDEN_SHARE", "1")))) if LONG else few
