"""The class that a name or an index means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from maskstack.errors import InputError


def find_class(names: Sequence[str], wanted: str) -> int:
    """Index of the class with a given name or index.

    Case does not matter in names, and spaces, underscores and dashes are the same. A number that is the name of a class
    is read as the name: folders of classes are often numbered, and sorted as text, so 10 comes before 2.

    Args:
        names: Names in the order of the classes; empty if unknown, and then only indices can be found.
        wanted: An index or a name.

    Raises:
        InputError: No class or several classes have that name, or the index is out of range; the message suggests the
            most similar names.

    >>> find_class(["tabby cat", "tiger cat"], "Tiger_Cat"), find_class(["1", "10", "2"], "2")
    (1, 2)
    """
    text = wanted.strip()
    plain = [plain_name(name) for name in names]
    exact = [index for index, name in enumerate(plain) if name == plain_name(text)]
    if len(exact) == 1:
        return exact[0]
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        index = int(text)
        if index < 0 or (names and index >= len(names)):
            top = f"; the network has classes 0 to {len(names) - 1}" if names else "; indices start at 0"
            raise InputError(f"target {index} is out of range{top}")
        return index
    if not names:
        raise InputError(f"target {text!r} is a name, but the network's class names are unknown; give an index")
    if exact:
        raise InputError(f"several classes are named {text!r}: {', '.join(map(str, exact))}; give the index")
    raise InputError(f"there is no class named {text!r}; {_nearest(names, plain, plain_name(text))}")


def _nearest(names: Sequence[str], plain: Sequence[str], text: str) -> str:
    close = difflib.get_close_matches(text, plain, n=5, cutoff=0.6)
    close += [name for name in plain if text and text in name and name not in close]
    if not close:
        return "give the name that the network uses, or the index"
    found = [f"{names[plain.index(name)]} ({plain.index(name)})" for name in close[:5]]
    return f"did you mean {', '.join(found)}?"


def plain_name(name: str) -> str:
    """The name without what its spellings differ in: case, spaces, hyphens and underscores."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
