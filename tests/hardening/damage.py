"""Damaging the content of files, in ways that depend only on a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator


def damaged(content: bytes, count: int, *, seed: int = 0) -> Iterator[bytes]:
    """Versions of a file's content with a changed byte, a flipped bit, a lost or doubled part, or a cut."""
    chance = random.Random(seed)
    for number in range(count):
        changed = bytearray(content)
        place = chance.randrange(len(changed))
        kind = number % 6
        if kind in (0, 1):
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 2:
            changed[place] = (changed[place] + chance.randrange(1, 256)) % 256
        elif kind == 3:
            del changed[place : place + chance.randrange(1, 64)]
        elif kind == 4:
            changed[place:place] = changed[place : place + chance.randrange(1, 64)] or b"x"
        else:
            del changed[place:]
        if bytes(changed) != content:
            yield bytes(changed)
