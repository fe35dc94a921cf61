"""Names of result files, the same for the command line and the page."""

from __future__ import annotations

import re
from pathlib import Path

from maskstack.draw.animation import FORMATS
from maskstack.explanation.map_files import ENDINGS

OVERLAY, FIGURE, EXPLANATION = ".overlay.png", ".figure.png", ".safetensors"
"""Endings of the files of a result."""

PROTOTYPES, CLASS_GALLERY = ".prototypes", ".gallery.png"
"""What the files of an explanation by prototypes end in before their own ending; ending of a class's gallery."""

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


OWN = (
    *(OVERLAY, FIGURE, PROTOTYPES + ".png", CLASS_GALLERY),
    *ENDINGS.values(),
    *map(masks_ending, FORMATS),
    *map(slices_ending, FORMATS),
)
"""Endings of pictures that maskstack itself writes, which may lie beside the photos."""


def is_own(path: Path) -> bool:
    """Whether a file is a picture that maskstack wrote: a ``gallery.png`` is one where explanations lie beside it."""
    if path.name == GALLERY:
        return any(path.parent.glob(f"*{EXPLANATION}"))
    return path.name.lower().endswith(OWN)
