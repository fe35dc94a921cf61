"""The text files of Caltech-UCSD Birds: images.txt, bounding_boxes.txt and further files."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages, Point
from maskstack.datasets.boxes import checked_box
from maskstack.datasets.files import check_present, relative
from maskstack.datasets.tables import TableRow, read_words
from maskstack.errors import InputError

_SPLITS = ("test", "train")  # In the order of the values 0 and 1 of is_training.


def from_cub(root: Path, *, split: str | None = None) -> AnnotatedImages:
    """Read the text files of the data set.

    Args:
        root: The folder of ``images.txt`` and ``images/``.
        split: ``train`` or ``test``; None for all.

    Raises:
        InputError: A file is missing or cannot be read; the message names file and line.
    """
    if split not in (None, *_SPLITS):
        raise InputError(f"{root} has no split {split}; choose train or test")
    files = _by_id(root / "images.txt", "file")
    classes = _by_id(root / "classes.txt", "class")
    # "001.Black_footed_Albatross": the number is the index of the class, which starts at 1.
    names = {key: row.text("class").split(".", 1)[-1] for key, row in classes.items()}
    order = {key: index for index, key in enumerate(names)}
    labels = _by_id(root / "image_class_labels.txt", "class")
    boxes = _by_id(root / "bounding_boxes.txt", "x", "y", "width", "height")
    training = _by_id(root / "train_test_split.txt", "training") if split else {}
    parts = _parts(root / "parts")
    images = []
    for key, row in files.items():
        if split and _of(training, key, row).integer("training") != _SPLITS.index(split):
            continue
        label, box = _of(labels, key, row), _of(boxes, key, row)
        if label.text("class") not in order:
            raise InputError(f"{label.where}: the class {label.text('class')} is not in classes.txt; correct it")
        file = relative(row.text("file"), row.where)
        corners = checked_box([box.number(side) for side in ("x", "y", "width", "height")], box.where, form="xywh")
        index, name = order[label.text("class")], names[label.text("class")]
        images.append(AnnotatedImage(root / "images" / file, file, index, name, (corners,), parts.get(key, {})))
    check_present(images, root / "images.txt")
    return AnnotatedImages(tuple(images), tuple(names.values()), "cub")


def _parts(folder: Path) -> dict[str, dict[str, Point]]:
    if not (folder / "part_locs.txt").is_file():
        return {}
    names = {
        row.text("part"): row.text("name")
        for row in read_words(folder / "parts.txt", columns=("part", "name"), rest=True)
    }
    places: dict[str, dict[str, Point]] = defaultdict(dict)
    for row in read_words(folder / "part_locs.txt", columns=("image", "part", "x", "y", "visible")):
        if row.text("part") not in names:
            raise InputError(f"{row.where}: the part {row.text('part')} is not in parts.txt; correct it")
        if row.integer("visible"):
            places[row.text("image")][names[row.text("part")]] = (row.number("x"), row.number("y"))
    return dict(places)


def _by_id(path: Path, *columns: str) -> dict[str, TableRow]:
    return {row.text("id"): row for row in read_words(path, columns=("id", *columns), rest=len(columns) == 1)}


def _of(rows: dict[str, TableRow], key: str, image: TableRow) -> TableRow:
    if key not in rows:
        kind = next(iter(rows.values())).where.split(" line ")[0]
        raise InputError(f"{image.where}: the image {key} is not in {kind}; get a complete copy")
    return rows[key]
