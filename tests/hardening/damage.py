"""Damaging the content of files, in ways that depend only on a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any


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


ODD: list[Any] = [
    None, -1, 0, 1.5, 1e308, 10**400, True, "", "x", "\x00", "../x", "[bold]", "\ud800", "a" * 5000, [], [[]], {},
    {"a": 1}, float("nan"), float("inf"), [1] * 3, "1e400", 2**31, 2**63,
]  # fmt: skip
"""Values that do not belong where they are put."""

WORDS = [
    "", "nan", "-1", "inf", "1e400", "9" * 400, "[]", "[[", "{", '"', "'", "../../x", "\x00", "\t", ",", ";", "\n",
    "a" * 5000, "=1", "True", "0x1", "_", "é", "\ufeff", "\u2028", "1_0", "<a>", "&x;", "\r",
]  # fmt: skip
"""Words that do not belong where they are put."""


def edited_json(content: bytes, count: int, *, seed: int = 0) -> Iterator[bytes]:
    """Versions of a JSON text with one value replaced, removed or added."""
    chance = random.Random(seed)
    for _ in range(count):
        whole = json.loads(content)
        places = list(_places(whole))
        holder, key = chance.choice(places)
        kind = chance.randrange(4)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, chance.choice(ODD))
        elif kind == 1:
            holder[chance.choice(["x", "", "auto_map", "__class__", "\x00"])] = chance.choice(ODD)
        else:
            holder[key] = chance.choice(ODD)
        yield json.dumps(whole).encode()


def edited_text(content: bytes, count: int, *, seed: int = 0) -> Iterator[bytes]:
    """Versions of a text with a word or a line replaced, removed or doubled."""
    chance = random.Random(seed)
    text = content.decode()
    for number in range(count):
        parts = re.split(r"(\W+)" if number % 3 else r"(\n)", text)
        place = chance.randrange(len(parts))
        kind = chance.randrange(4)
        parts[place] = "" if kind == 0 else parts[place] * 2 if kind == 1 else chance.choice(WORDS)
        if "".join(parts) != text:
            yield "".join(parts).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container of a JSON value, with each of its keys."""
    keys = range(len(value)) if isinstance(value, list) else list(value) if isinstance(value, dict) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
