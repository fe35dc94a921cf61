"""Finding the image files that annotations name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from maskstack.datasets.annotated import AnnotatedImage
from maskstack.errors import InputError
from maskstack.explanation.naming import is_own
from maskstack.models.medical import DICOM, NIFTI

PICTURES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".jp2", ".avif"),
    *DICOM,
    *NIFTI,
)
"""Endings of image files in folders, in lower case."""

_LOOKED_AT = 50  # Number of files that are searched for to choose the images' folder.


def relative(file: str, where: str) -> str:
    """The path of a file relative to the images' folder, with slashes.

    Args:
        file: Path in the annotation.
        where: File and line of the annotation, for messages.

    Raises:
        InputError: The path is empty or absolute, or leaves the folder.
    """
    path = PureWindowsPath(file)  # It handles slashes, backslashes and drives.
    if not path.parts or path.anchor or ".." in path.parts:
        raise InputError(f"{where}: the file {file!r} is not in the data set's folder; give a path relative to it")
    return PurePosixPath(*path.parts).as_posix()


def folder_of(names: Sequence[str], candidates: Iterable[Path]) -> Path:
    """The candidate that contains most of the first files; the first candidate if none contains any."""
    some = names[:_LOOKED_AT]
    return max(candidates, key=lambda folder: sum((folder / name).is_file() for name in some))


def check_present(images: Sequence[AnnotatedImage], source: Path) -> None:
    """Check that the file of each image exists.

    Args:
        images: The images.
        source: The file that lists them, for messages.

    Raises:
        InputError: Files are missing; the message names the first and their number.
    """
    lost = [image.path for image in images if image.path is not None and not image.path.is_file()]
    if lost:
        count = f"{len(lost)} of {len(images)} {'file' if len(images) == 1 else 'files'}"
        raise InputError(f"{source} lists {count} that cannot be found, first {lost[0]}; put the images there")


def is_picture(path: Path) -> bool:
    """Whether a path has the ending of an image, is not hidden, and is not a picture that maskstack wrote there."""
    return path.name.lower().endswith(PICTURES) and not path.name.startswith(".") and not is_own(path)
