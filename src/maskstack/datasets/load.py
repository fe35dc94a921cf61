"""Reading annotated images of any supported format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from maskstack import checks
from maskstack.datasets.annotated import AnnotatedImages
from maskstack.datasets.files import is_picture
from maskstack.datasets.from_coco import from_coco, instances
from maskstack.datasets.from_csv import TABLES, from_csv
from maskstack.datasets.from_cub import from_cub
from maskstack.datasets.from_folders import from_folders
from maskstack.datasets.from_hugging_face import from_hugging_face
from maskstack.datasets.from_imagenet import from_imagenet
from maskstack.datasets.from_voc import from_voc
from maskstack.datasets.match import match_classes
from maskstack.errors import InputError, reason


class _Reader(Protocol):
    def __call__(self, root: Path, /, *, split: str | None = None) -> AnnotatedImages: ...


FORMATS: dict[str, _Reader] = {
    "csv": from_csv,
    "imagenet": from_imagenet,
    "cub": from_cub,
    "voc": from_voc,
    "huggingface": from_hugging_face,
    "coco": from_coco,
    "folders": from_folders,
}
"""Functions that read a data set, by the name of its format."""

_SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")
_IN_FOLDERS: dict[str, Callable[[Path], bool]] = {
    "csv": lambda root: any((root / name).is_file() for name in TABLES),
    "imagenet": lambda root: any(root.glob("LOC_*_solution.csv")),
    "cub": lambda root: all((root / name).is_file() for name in ("images.txt", "bounding_boxes.txt")),
    "voc": lambda root: any((root / "Annotations").glob("*.xml")),
    "huggingface": lambda root: any((root / name).is_file() for name in _SAVED),
    "coco": lambda root: bool(instances(root)),
    "folders": lambda root: any(is_picture(path) for path in root.rglob("*")),
}
_LOOKED_FOR = (
    "annotations.csv or images.csv, LOC_*_solution.csv, images.txt with bounding_boxes.txt, Annotations/*.xml, "
    "dataset_info.json, a *.json with images and annotations, and image files"
)


def load_images(
    path: str | Path,
    *,
    class_names: Sequence[str] = (),
    split: str | None = None,
    format: str | None = None,  # noqa: A002
) -> AnnotatedImages:
    """Read the list of annotated images of a data set; no image is opened.

    Args:
        path: CSV or JSON file, or folder; see the ``from_...`` functions for their content.
        class_names: The network's class names; the labels are then the network's indices, see :func:`match_classes`.
        split: Part of the data set, such as ``test``; None for all.
        format: Name of a format in :data:`FORMATS`; None to recognise it.

    Returns:
        The images; their attribute ``format`` is the format that was recognised.

    Raises:
        InputError: The format is unknown, a file cannot be read, or an image that it lists is missing.
        MissingExtraError: A saved Hugging Face data set needs the package ``datasets``, which is not installed.
    """
    path = Path(path)
    if format is not None:
        checks.one_of("the format", format, FORMATS)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path")
    try:
        images = FORMATS[format or _recognised(path)](path, split=split)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({reason(error)}); check its permissions") from error
    return match_classes(images, class_names) if class_names else images


def _recognised(path: Path) -> str:
    if path.is_dir():
        found = next((name for name, fits in _IN_FOLDERS.items() if fits(path)), None)
        if found is None:
            what = "is empty" if not any(path.iterdir()) else "has no known format"
            raise InputError(f"{path} {what}; looked for {_LOOKED_FOR}")
        return found
    if path.suffix.lower() == ".json":
        return "coco"
    if path.suffix.lower() == ".csv":
        return "imagenet" if _first_line(path).startswith("ImageId,") else "csv"
    raise InputError(f"{path} is not a CSV or JSON file; give one of these, or a folder")


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline(1000).decode("utf-8-sig", "replace")
