"""Data sets of the Hugging Face library ``datasets``, in memory or saved to disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages, Box
from maskstack.datasets.boxes import checked_box, main_class
from maskstack.errors import WRONG_VALUE, InputError, a_type, reason, require
from maskstack.files import parse_json
from maskstack.models.photos import check_size, open_image, to_rgb

_LABELS = ("label", "labels", "class")
_CATEGORIES = ("category", "categories", "label", "labels", "category_id")


@dataclass(frozen=True)
class _LazyImage:
    """An image of a data set, decoded when it is needed."""

    dataset: Any
    column: str
    index: int
    stored: bool = False

    def __call__(self) -> Image.Image:
        try:
            image = self.dataset[self.index][self.column]
            if self.stored:
                image = _decoded(image)
        except InputError as error:
            raise InputError(f"image {self.index} of the data set {error}") from error
        # The library raises different types of error for a damaged image.
        except Exception as error:
            raise InputError(
                f"image {self.index} of the data set cannot be read ({reason(error)}); replace it"
            ) from error
        if not isinstance(image, Image.Image):
            raise InputError(
                f"image {self.index} of the data set is {a_type(image)}; cast its column to datasets.Image()"
            )
        return to_rgb(image)


def from_hugging_face(
    dataset: Any, split: str | None = None, *, boxes: Literal["xywh", "xyxy"] = "xywh"
) -> AnnotatedImages:
    """Read the columns ``image``, ``label`` and ``objects``.

    Without a label, an image's class is the ``category`` in ``objects`` whose boxes have the largest total area, and
    only boxes of that class are kept.

    Args:
        dataset: A ``datasets.Dataset`` or ``DatasetDict``, or the folder of one saved with ``save_to_disk``.
        split: Split of a ``DatasetDict``; optional if there is only one.
        boxes: Whether the boxes in ``objects`` are left, top, width, height, as in most data sets, or left, top, right,
            bottom.

    Raises:
        MissingExtraError: The package ``datasets`` is not installed.
        InputError: The split does not exist, there is no column of images or no row, or a box is invalid.
    """
    library = require("datasets", extra="datasets")
    stored = False
    if isinstance(dataset, str | Path):
        _check_inside(Path(dataset))
        try:
            dataset = library.load_from_disk(str(dataset))
        # Damaged files raise errors of pyarrow, json and the library.
        except Exception as error:
            raise InputError(
                f"{dataset} cannot be read ({reason(error)}); give a folder that save_to_disk wrote"
            ) from error
        stored = True
    dataset = _split(dataset, split)
    column = _image_column(dataset, library)
    if stored:
        dataset = dataset.cast_column(column, library.Image(decode=False))
    label = next((name for name in _LABELS if name in dataset.features), None)
    kept = [name for name in (label, "objects") if name in dataset.features]
    # Without the images, so that none of them is decoded here.
    rows: Any = dataset.select_columns(kept) if kept else [{}] * len(dataset)
    categories = _categories(dataset.features.get("objects"))
    names = _names(dataset.features[label]) if label else categories
    images = []
    for index, row in enumerate(rows):
        objects = _objects(row.get("objects"), f"row {index} of the data set", boxes, categories)
        wanted = _class(row[label], names) if label else main_class(objects)
        ours = [box for name, box in objects if name == wanted]
        # If there is a label, the objects may have other classes or none.
        shown = tuple(ours or [box for _, box in objects if label])
        number, text = _numbered(wanted, names)
        reader = _LazyImage(dataset, column, index, stored)
        images.append(AnnotatedImage(None, f"{index:06}", number, text, shown, reader=reader))
    if not images:
        raise InputError("the data set has no rows; give one with images")
    if not names and any(image.class_name for image in images):
        names = tuple(sorted({image.class_name for image in images if image.class_name}))
        images = [replace(image, label=names.index(image.class_name) if image.class_name else None) for image in images]
    return AnnotatedImages(tuple(images), names, "huggingface", indices_given=not names)


def _check_inside(folder: Path) -> None:
    """Refuse a saved data set whose state names files of other folders, before one of them is opened."""
    for state in [*folder.glob("state.json"), *folder.glob("*/state.json")]:
        try:
            files = [each["filename"] for each in parse_json(state.read_bytes())["_data_files"]]
            inside = all(Path(file).name == file for file in files)
        except (OSError, *WRONG_VALUE) as error:
            raise InputError(f"{state} cannot be read ({reason(error)}); save the data set again") from error
        if not inside:
            raise InputError(f"{state} names a file that is not beside it; save the data set again")
    listing = folder / "dataset_dict.json"
    if listing.is_file():
        try:
            splits = parse_json(listing.read_bytes())["splits"]
            inside = all(Path(split).name == split and split != ".." for split in splits)
        except (OSError, *WRONG_VALUE) as error:
            raise InputError(f"{listing} cannot be read ({reason(error)}); save the data set again") from error
        if not inside:
            raise InputError(f"{listing} names a folder that is not beside it; save the data set again")


def _decoded(stored: Any) -> Image.Image:
    """The image that a data set on disk holds. The library would open whatever path or address stands in its place."""
    content = stored.get("bytes") if isinstance(stored, Mapping) else None
    if not content:
        raise InputError("is not in the data set, but in another file; save the data set with its images")
    image = open_image(BytesIO(content))
    check_size("the image", image.size)
    image.load()
    return image


def _split(dataset: Any, split: str | None) -> Any:
    if not isinstance(dataset, Mapping):
        if split is not None and str(getattr(dataset, "split", None) or split) != split:
            raise InputError(f"the data set is the split {dataset.split}, not {split}; give the other split")
        return dataset
    if split is None and len(dataset) == 1:
        return next(iter(dataset.values()))
    if split not in dataset:
        raise InputError(f"the data set has no split {split}; choose one of {', '.join(map(str, dataset))}")
    return dataset[split]


def _image_column(dataset: Any, library: Any) -> str:
    features = getattr(dataset, "features", None)
    if features is None:
        raise InputError(f"{a_type(dataset)} is not a datasets.Dataset with known columns; give one")
    found = [name for name, feature in features.items() if isinstance(feature, library.Image)]
    if not found:
        raise InputError(f"the data set has no column of images; it has {', '.join(features)}")
    return "image" if "image" in found else str(found[0])


def _names(feature: Any) -> tuple[str, ...]:
    """Names of a ClassLabel, also inside of a list; empty for numbers and text."""
    while getattr(feature, "feature", None) is not None:
        feature = feature.feature
    return tuple(getattr(feature, "names", None) or ())


def _categories(objects: Any) -> tuple[str, ...]:
    objects = getattr(objects, "feature", objects)
    if not isinstance(objects, Mapping):
        return ()
    return next((names for key in _CATEGORIES if (names := _names(objects.get(key)))), ())


def _objects(objects: Any, where: str, form: Literal["xywh", "xyxy"], names: tuple[str, ...]) -> list[tuple[str, Box]]:
    """Class, or "" if unknown, and box of each object, from a list of records or a record of lists."""
    if isinstance(objects, Mapping):
        boxes: Sequence[Any] = objects.get("bbox") or []
        classes: Sequence[Any] = next((objects[key] for key in _CATEGORIES if objects.get(key)), [None] * len(boxes))
    else:
        boxes = [each.get("bbox") for each in objects or []]
        classes = [
            next((each[key] for key in _CATEGORIES if each.get(key) is not None), None) for each in objects or []
        ]
    return [(_class(of, names), checked_box(box, where, form=form)) for of, box in zip(classes, boxes, strict=False)]


def _class(value: Any, names: tuple[str, ...]) -> str:
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    # The library writes -1 if the label is not public.
    return "" if value is None or value == -1 else str(value)


def _numbered(name: str | None, names: tuple[str, ...]) -> tuple[int | None, str | None]:
    if not name:
        return None, None
    if name in names:
        return names.index(name), name
    return (int(name), None) if name.isdecimal() else (None, name)
