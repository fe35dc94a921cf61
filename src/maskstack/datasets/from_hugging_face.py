"""Data sets of the Hugging Face library ``datasets``, in memory or saved to disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages, Box
from maskstack.datasets.objects import box_of_size, checked_box, main_class
from maskstack.errors import InputError
from maskstack.errors import require
from maskstack.models.modes import to_rgb
from maskstack.errors import reason

_LABELS = ("label", "labels", "class")
_CATEGORIES = ("category", "categories", "label", "labels", "category_id")


@dataclass(frozen=True)
class _Picture:
    """A picture of a data set, unpacked when called for."""

    dataset: Any
    column: str
    index: int

    def __call__(self) -> Image.Image:
        try:
            image = self.dataset[self.index][self.column]
        # Whatever the library meets in a damaged picture.
        except Exception as error:
            raise InputError(f"picture {self.index} of the data set cannot be read ({reason(error)})") from error
        if not isinstance(image, Image.Image):
            raise InputError(f"picture {self.index} of the data set is a {type(image).__name__}, not a picture")
        return to_rgb(image)


def from_hugging_face(
    dataset: Any, split: str | None = None, *, boxes: Literal["xywh", "xyxy"] = "xywh"
) -> AnnotatedImages:
    """Take the columns ``image``, ``label`` and ``objects``.

    Without a label, an image's class is the ``category`` in ``objects`` whose boxes cover most, and its boxes are
    those of that class.

    Args:
        dataset: A ``datasets.Dataset`` or ``DatasetDict``, or the folder of one saved with ``save_to_disk``.
        split: Which of a ``DatasetDict``; it may be left out if there is one only.
        boxes: Whether ``objects`` has boxes as left, top, width, height, as most do, or left, top, right, bottom.

    Raises:
        MissingExtraError: The package ``datasets`` is not installed.
        InputError: There is no such split, no column of pictures, no row, or a box that cannot be.
    """
    library = require("datasets", extra="datasets")
    if isinstance(dataset, str | Path):
        try:
            dataset = library.load_from_disk(str(dataset))
        # Damaged files fail with errors of pyarrow, json and the library.
        except Exception as error:
            raise InputError(f"{dataset} is no data set saved by the package datasets ({reason(error)})") from error
    dataset = _split(dataset, split)
    column = _pictures(dataset, library)
    label = next((name for name in _LABELS if name in dataset.features), None)
    kept = [name for name in (label, "objects") if name in dataset.features]
    # Without the pictures, so that listing unpacks none of them.
    rows: Any = dataset.select_columns(kept) if kept else [{}] * len(dataset)
    categories = _categories(dataset.features.get("objects"))
    names = _names(dataset.features[label]) if label else categories
    images = []
    for index, row in enumerate(rows):
        objects = _objects(row.get("objects"), f"row {index} of the data set", boxes, categories)
        wanted = _class(row[label], names) if label else main_class(objects)
        ours = [box for name, box in objects if name == wanted]
        # Objects beside a label need not be of its classes, or have any.
        shown = tuple(ours or [box for _, box in objects if label])
        number, text = _numbered(wanted, names)
        reader = _Picture(dataset, column, index)
        images.append(AnnotatedImage(None, f"{index:06}", number, text, shown, reader=reader))
    if not images:
        raise InputError("the data set has no rows; give one with pictures")
    if not names and any(image.class_name for image in images):
        names = tuple(sorted({image.class_name for image in images if image.class_name}))
        images = [replace(image, label=_place(image.class_name, names)) for image in images]
    return AnnotatedImages(tuple(images), names, "huggingface", indices_given=not names)


def _split(dataset: Any, split: str | None) -> Any:
    if not isinstance(dataset, Mapping):
        if split is not None and str(getattr(dataset, "split", None) or split) != split:
            raise InputError(f"the data set is the split {dataset.split}, not {split}; give the other one")
        return dataset
    if split is None and len(dataset) == 1:
        return next(iter(dataset.values()))
    if split not in dataset:
        raise InputError(f"the data set has no split {split}; choose one of {', '.join(map(str, dataset))}")
    return dataset[split]


def _pictures(dataset: Any, library: Any) -> str:
    features = getattr(dataset, "features", None)
    if features is None:
        raise InputError(f"a {type(dataset).__name__} is no datasets.Dataset with known columns; give one")
    found = [name for name, feature in features.items() if isinstance(feature, library.Image)]
    if not found:
        raise InputError(f"the data set has no column of pictures; it has {', '.join(features)}")
    return "image" if "image" in found else str(found[0])


def _names(feature: Any) -> tuple[str, ...]:
    """Names of a ClassLabel, also inside a list; none for plain numbers and text."""
    while getattr(feature, "feature", None) is not None:
        feature = feature.feature
    return tuple(getattr(feature, "names", None) or ())


def _categories(objects: Any) -> tuple[str, ...]:
    objects = getattr(objects, "feature", objects)
    if not isinstance(objects, Mapping):
        return ()
    return next((names for key in _CATEGORIES if (names := _names(objects.get(key)))), ())


def _objects(objects: Any, where: str, form: str, names: tuple[str, ...]) -> list[tuple[str, Box]]:
    """Class, or "" where it is not said, and box of each object; lists of records and records of lists alike."""
    if isinstance(objects, Mapping):
        boxes: Sequence[Any] = objects.get("bbox") or []
        classes: Sequence[Any] = next((objects[key] for key in _CATEGORIES if objects.get(key)), [None] * len(boxes))
    else:
        boxes = [each.get("bbox") for each in objects or []]
        classes = [
            next((each[key] for key in _CATEGORIES if each.get(key) is not None), None) for each in objects or []
        ]
    check = box_of_size if form == "xywh" else checked_box
    return [(_class(of, names), check(box, where)) for of, box in zip(classes, boxes, strict=False)]


def _class(value: Any, names: tuple[str, ...]) -> str:
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    # The library writes -1 where the label is kept secret.
    return "" if value is None or value == -1 else str(value)


def _numbered(name: str | None, names: tuple[str, ...]) -> tuple[int | None, str | None]:
    if not name:
        return None, None
    if name in names:
        return names.index(name), name
    return (int(name), None) if name.isdecimal() else (None, name)


def _place(name: str | None, names: tuple[str, ...]) -> int | None:
    return names.index(name) if name else None
