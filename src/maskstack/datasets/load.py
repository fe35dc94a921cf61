"""Reading annotated images of any known format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from maskstack.datasets.annotated import AnnotatedImages
from maskstack.datasets.from_coco import from_coco, instances
from maskstack.datasets.from_csv import TABLES, from_csv
from maskstack.datasets.from_cub import from_cub
from maskstack.datasets.from_folders import from_folders
from maskstack.datasets.from_hugging_face import from_hugging_face
from maskstack.datasets.from_imagenet import from_imagenet
from maskstack.datasets.from_voc import from_voc
from maskstack.datasets.match import match_classes
from maskstack.datasets.places import is_picture
from maskstack.errors import InputError
from maskstack.errors import reason


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
"""Readers by the name of their format."""

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
    "dataset_info.json, a *.json with images and annotations, and pictures"
)


def load_images(
    path: str | Path,
    *,
    class_names: Sequence[str] = (),
    split: str | None = None,
    format: str | None = None,  # noqa: A002
) -> AnnotatedImages:
    """Read the list of annotated images that lies at a path; no picture is opened.

    Args:
        path: A CSV or JSON file, or a folder, see the ``from_...`` functions for what may be in it.
        class_names: The network's; the labels are then its indices, see :func:`match_classes`.
        split: Which part, such as ``test``; None for all.
        format: One of :data:`FORMATS`; None to recognise it.

    Returns:
        The images; ``format`` says what was recognised.

    Raises:
        InputError: Nothing known lies there, it cannot be read, or a picture it names is missing.
        MissingExtraError: A saved Hugging Face data set without the package ``datasets``.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise InputError(f"there is no format {format!r}; it must be one of {', '.join(FORMATS)}")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path")
    try:
        images = FORMATS[format or _recognised(path)](path, split=split)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({reason(error)}); check its permissions") from error
    return match_classes(images, class_names) if class_names else images


def _recognised(path: Path) -> str:
    if path.is_dir():
        found = next((name for name, lies in _IN_FOLDERS.items() if lies(path)), None)
        if found is None:
            what = "is empty" if not any(path.iterdir()) else "has nothing known in it"
            raise InputError(f"{path} {what}; looked for {_LOOKED_FOR}")
        return found
    if path.suffix.lower() == ".json":
        return "coco"
    if path.suffix.lower() == ".csv":
        return "imagenet" if _first_line(path).startswith("ImageId,") else "csv"
    raise InputError(f"{path} is no CSV or JSON file; give one of these, or a folder")


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline(1000).decode("utf-8-sig", "replace")
