"""Where the files that an annotation names lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from maskstack.datasets.annotated import AnnotatedImage
from maskstack.errors import InputError

PICTURES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".ppm",
        ".pgm",
        ".jp2",
        ".avif",
    }
)
"""Endings by which pictures are found in folders, in any case."""

_LOOKED_AT = 50  # Files that decide in which folder all lie.


def relative(file: str, where: str) -> str:
    """The path of a file below the pictures' folder, with slashes.

    Args:
        file: As the annotation has it.
        where: Names the place in errors.

    Raises:
        InputError: It is empty, absolute, or leads out of the folder.
    """
    path = PureWindowsPath(file)  # It knows slashes, backslashes and drives.
    if not path.parts or path.anchor or ".." in path.parts:
        raise InputError(
            f"{where}: the file {file!r} does not lie in the data set's folder; give a path relative to it"
        )
    return PurePosixPath(*path.parts).as_posix()


def folder_of(names: Sequence[str], candidates: Iterable[Path]) -> Path:
    """The folder in which most of the first files lie; the first candidate if none do."""
    some = names[:_LOOKED_AT]
    return max(candidates, key=lambda folder: sum((folder / name).is_file() for name in some))


def check_present(images: Sequence[AnnotatedImage], source: Path) -> None:
    """Check that every image's file is there.

    Args:
        images: Those to look for.
        source: What names them.

    Raises:
        InputError: Some are not; it names the first and says how many.
    """
    lost = [image.path for image in images if image.path is not None and not image.path.is_file()]
    if lost:
        count = f"{len(lost)} of {len(images)} files" if len(images) > 1 else "a file"
        raise InputError(f"{source} names {count} that do not exist, first {lost[0]}; put the pictures there")


def is_picture(path: Path) -> bool:
    """Whether a path ends as pictures do and is not hidden."""
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")
