"""Names of result files, the same for the command line and the page."""

from __future__ import annotations

import re
from pathlib import Path

OVERLAY, FIGURE, EXPLANATION = ".overlay.png", ".figure.png", ".safetensors"
"""Endings of the files of a result."""

GALLERY = "gallery.png"
"""Name of the gallery."""

LONGEST = 60
"""Maximum number of letters of a class or network name within a file name."""


def masks_ending(kind: str) -> str:
    """Ending of the animation of the masks.

    >>> masks_ending("gif")
    '.masks.gif'
    """
    return f".masks.{kind}"


def slices_ending(kind: str) -> str:
    """Ending of the animation of a volume's slices.

    >>> slices_ending("gif")
    '.slices.gif'
    """
    return f".slices.{kind}"


def file_part(name: str) -> str:
    """The name of a class or network as a part of a file's name: letters and digits of any script, and underscores.

    >>> file_part("Red-winged Blackbird (male)"), file_part("?")
    ('red_winged_blackbird_male', 'class')
    """
    return re.sub(r"\W+", "_", name.lower())[:LONGEST].strip("_") or "class"


def free_name(stem: str, taken: set[str]) -> str:
    """The name, followed by a number if it is already taken; the result is added to the taken names.

    Names that differ only in case count as the same, as they do in some file systems.

    >>> taken = set()
    >>> [free_name(name, taken) for name in ("cat", "Cat", "dog")]
    ['cat', 'Cat-2', 'dog']
    """
    name, number = stem, 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.lower())
    return name


def with_ending(path: Path, ending: str) -> Path:
    """The path with an ending added; a dot within its name stays."""
    return path.with_name(path.name + ending)
