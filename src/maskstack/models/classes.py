"""Finding a class by what a person calls it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from maskstack.errors import InputError


def find_class(names: Sequence[str], wanted: str) -> int:
    """Index of the class a person means: its index or its name, in any case, with spaces, underscores or dashes.

    Args:
        names: Names in the order of the classes; empty if unknown, which leaves only indices.
        wanted: An index or a name.

    Raises:
        InputError: No class, or more than one, has that name; the message suggests the nearest.

    >>> find_class(["tabby cat", "tiger cat"], "Tiger_Cat")
    1
    """
    text = wanted.strip()
    if text.lstrip("-").isdigit():
        index = int(text)
        if index < 0 or (names and index >= len(names)):
            top = f"; the network has classes 0 to {len(names) - 1}" if names else ", they start at 0"
            raise InputError(f"target {index} is out of range{top}")
        return index
    if not names:
        raise InputError(f"target {text!r} is a name, but the network's class names are unknown; give an index")
    plain = [_plain(name) for name in names]
    exact = [index for index, name in enumerate(plain) if name == _plain(text)]
    if len(exact) == 1:
        return exact[0]
    if exact:
        raise InputError(f"several classes are named {text!r}: {', '.join(map(str, exact))}; give the index")
    raise InputError(f"there is no class named {text!r}; {_nearest(names, plain, _plain(text))}")


def _nearest(names: Sequence[str], plain: Sequence[str], text: str) -> str:
    close = difflib.get_close_matches(text, plain, n=5, cutoff=0.6)
    close += [name for name in plain if text and text in name and name not in close]
    if not close:
        return "give its name as the network has it, or its index"
    found = [f"{names[plain.index(name)]} ({plain.index(name)})" for name in close[:5]]
    return f"did you mean {', '.join(found)}?"


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
