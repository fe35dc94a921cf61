"""Which files a user means who names photos and folders of photos."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from maskstack.errors import InputError
from maskstack.explanation.naming import is_own
from maskstack.models.medical import reader_of

UNREADABLE = (".heic", ".heif", ".jxl", ".svg")
"""Endings of pictures that are named as unreadable, not passed over in silence, where Pillow has no reader for them."""


def photo_files(paths: Sequence[str]) -> tuple[str, ...]:
    """The files, with each folder replaced by the image files that lie in it, in the order of their names.

    Numbers in names are ordered by their value. Medical files are known by their ending, and DICOM files of any name by
    their first bytes. Hidden files, folders within the folder, other files, and pictures that maskstack wrote are left
    out: a ``gallery.png`` is one of them where explanations lie beside it.

    Args:
        paths: Files and folders.

    Raises:
        InputError: A folder holds no image, or cannot be read.
    """
    found: list[str] = []
    for path in paths:
        found += _in_folder(Path(path)) if Path(path).is_dir() else [path]
    return tuple(found)


def _in_folder(folder: Path) -> list[str]:
    endings = (*_image_endings(), *UNREADABLE)
    try:
        files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read; change its permissions") from error
    files = [path for path in files if not is_own(path)]
    photos = [path for path in files if path.name.lower().endswith(endings) or reader_of(path) is not None]
    if not photos:
        raise InputError(f"{folder} is a folder without image files; give image files, or a folder that has some")
    return [str(path) for path in sorted(photos, key=lambda path: (_natural(path.name), path.name))]


def _image_endings() -> tuple[str, ...]:
    return tuple(ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN)


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that orders the numbers in names by their value.

    >>> sorted(["b10.jpg", "b9.jpg", "a.jpg"], key=_natural)
    ['a.jpg', 'b9.jpg', 'b10.jpg']
    """
    parts = re.findall(r"([0-9]+)|([^0-9]+)", name.lower())
    return [(int(number), "") if number else (-1, text) for number, text in parts]
