"""COCO's instances: a JSON file of images, annotations and categories."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages
from maskstack.datasets.boxes import checked_box, known_size, main_class
from maskstack.datasets.files import check_present, folder_of, relative
from maskstack.datasets.regions import Polygons, Region, RunLengths
from maskstack.errors import WRONG_VALUE, InputError, reason
from maskstack.explanation.naming import EXPLANATION

_BEGINNING = 1_000_000  # Bytes at the beginning of a file that are searched for COCO's keys.
_FARTHEST = 1e6  # Largest coordinate of a corner, in pixels.


def from_coco(root: Path, *, split: str | None = None) -> AnnotatedImages:
    """Read an instances file.

    An image's class is the one whose boxes have the largest total area; only boxes and masks of that class are kept.
    Crowds are left out, and so are the masks of an image if an object of its class has none. Labels are the positions
    of the categories in the order of their ids.

    Args:
        root: The JSON file, or the folder that contains it, directly or in ``annotations``. The images are next to it,
            in ``images/``, or in a folder with the last part of the file's name (``val2017``), there or one folder up.
        split: Part of the file's name, if there are several files.

    Raises:
        InputError: A file is missing or cannot be read; the message names the annotation.
    """
    path = root if root.is_file() else _chosen(root, split)
    content = _read(path)
    categories = sorted(_records(path, content, "categories", id=int, name=str), key=lambda each: each["id"])
    _check_distinct(path, "categories", categories)
    names = tuple(each["name"] for each in categories)
    order = {each["id"]: index for index, each in enumerate(categories)}
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in _records(path, content, "annotations", image_id=(int, str), category_id=int):
        if annotation["category_id"] not in order:
            raise InputError(f"{_where(path, annotation)}: its category_id is not among the categories; correct it")
        if not annotation.get("iscrowd"):
            by_image[annotation["image_id"]].append(annotation)
    records = _records(path, content, "images", id=(int, str), file_name=str)
    _check_distinct(path, "images", records)
    if records and by_image and by_image.keys().isdisjoint(each["id"] for each in records):
        raise InputError(f"{path}: no annotation has the image_id of one of its images; correct the ids")
    files = [relative(each["file_name"], f"{path} image {each['id']}") for each in records]
    folder = folder_of(files, _folders(path))
    images = tuple(
        _image(path, folder / file, file, record, by_image[record["id"]], names, order)
        for record, file in zip(records, files, strict=True)
    )
    if not images:
        raise InputError(f"{path} lists no images; give a complete instances file")
    check_present(images, path)
    return AnnotatedImages(images, names, "coco")


def looks_like(path: Path) -> bool:
    """Whether the beginning of a JSON file has keys of COCO."""
    with path.open("rb") as file:
        start = file.read(_BEGINNING)
    return b'"images"' in start or b'"annotations"' in start


def instances(folder: Path) -> list[Path]:
    """Files in a folder and its ``annotations`` that may be COCO's; only ``instances*.json`` if there are any.

    The JSON of an explanation that maskstack wrote beside the images is not one of them; its tensors lie beside it.
    """
    found = [path for place in (folder, folder / "annotations") for path in sorted(place.glob("*.json"))]
    found = [path for path in found if looks_like(path) and not path.with_suffix(EXPLANATION).is_file()]
    return [path for path in found if path.name.startswith("instances")] or found


def _image(
    source: Path,
    path: Path,
    name: str,
    record: Mapping[str, Any],
    annotations: list[dict[str, Any]],
    names: tuple[str, ...],
    order: Mapping[int, int],
) -> AnnotatedImage:
    objects = []
    for each in annotations:
        where = _where(source, each)
        box = checked_box(each.get("bbox"), where, form="xywh")
        objects.append((names[order[each["category_id"]]], box, _region(each.get("segmentation"), record, where)))
    main = main_class((kind, box) for kind, box, _ in objects)
    regions = [region for kind, _, region in objects if kind == main]
    return AnnotatedImage(
        path,
        name,
        names.index(main) if main is not None else None,
        main,
        boxes=tuple(box for kind, box, _ in objects if kind == main),
        regions=tuple(filter(None, regions)) if all(regions) else (),
        size=known_size(record.get("width"), record.get("height")),
    )


def _region(segmentation: Any, record: Mapping[str, Any], where: str) -> Region | None:
    if not segmentation:
        return None
    try:
        if isinstance(segmentation, list):
            # Some tools write [[]] for an object that has a box only.
            outlines = tuple(tuple(map(float, outline)) for outline in segmentation if outline != [])
            if any(len(outline) % 2 or len(outline) < 6 for outline in outlines):
                raise ValueError("a polygon with fewer than three corners")
            if not all(abs(value) <= _FARTHEST for outline in outlines for value in outline):
                raise ValueError("a corner far outside of any image")
            return Polygons(outlines) if outlines else None
        height, width = segmentation.get("size") or (record["height"], record["width"])
        counts = segmentation["counts"]
        return RunLengths(
            counts if isinstance(counts, str) else tuple(map(int, counts)), (int(width), int(height)), where
        )
    except WRONG_VALUE as error:
        raise InputError(
            f"{where}: its segmentation is neither polygons nor run lengths ({reason(error)}); correct it"
        ) from error


def _chosen(root: Path, split: str | None) -> Path:
    found = [path for path in instances(root) if split is None or split in path.stem]
    if len(found) != 1:
        listed = ", ".join(path.name for path in found[:10]) or "none"
        of = "" if split is None else f" for the split {split}"
        raise InputError(f"{root} has {len(found)} files that may be COCO's{of} ({listed}); choose one")
    return found[0]


def _folders(path: Path) -> list[Path]:
    named = path.stem.split("_")[-1]
    above = [path.parent, path.parent.parent] if path.parent.name == "annotations" else [path.parent]
    return [folder / place for folder in above for place in ("", "images", named, f"images/{named}")]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({reason(error)}); get a complete copy") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object with images, annotations and categories, as COCO's files are")
    return content


def _records(path: Path, content: dict[str, Any], key: str, **fields: Any) -> list[dict[str, Any]]:
    records = content.get(key)
    if not isinstance(records, list):
        raise InputError(f"{path} has no list of {key}; give an instances file of COCO")
    for number, record in enumerate(records):
        for field, kind in fields.items():
            if not isinstance(record, dict) or not isinstance(record.get(field), kind):
                raise InputError(f"{path}: number {number} of its {key} has no valid {field}; correct it")
    return records


def _check_distinct(path: Path, key: str, records: list[dict[str, Any]]) -> None:
    number, times = next(iter(Counter(each["id"] for each in records).most_common(1)), (None, 0))
    if times > 1:
        raise InputError(f"{path}: {times} of its {key} have the id {number}; give each its own")


def _where(path: Path, annotation: Mapping[str, Any]) -> str:
    return f"{path} annotation {annotation.get('id', '?')}"
