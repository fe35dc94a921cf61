"""A CSV file of images with class and boxes, and further CSV files of parts and boxes."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages, Box, Point
from maskstack.datasets.boxes import checked_box, known_size, main_class
from maskstack.datasets.files import check_present, folder_of, relative
from maskstack.datasets.tables import TableRow, read_table
from maskstack.errors import WRONG_VALUE, InputError
from maskstack.models import open_photo

TABLES = ("annotations.csv", "images.csv")
_CORNERS = ("x1", "y1", "x2", "y2")
_CLASS = ("class_name", "class", "finding", "label")


@dataclass
class _Entry:
    """The data of one image, collected from all its rows."""

    index: int | None
    name: str
    split: str
    size: tuple[int, int] | None
    boxes: list[Box] = field(default_factory=list)
    found: list[tuple[str, Box]] = field(default_factory=list)  # Boxes of boxes.csv, each with its class or "".

    def names(self) -> set[str]:
        """Names of the class of the image and of its boxes."""
        return {self.name, *(name for name, _ in self.found)} - {""}


def from_csv(root: Path, *, split: str | None = None) -> AnnotatedImages:
    """Read a table with the column ``file`` and optional further columns.

    Further columns are ``class_index``; ``class`` or ``class_name``; boxes as ``boxes_xyxy``, JSON, or as ``x1``,
    ``y1``, ``x2``, ``y2`` with one row for each box; ``split``; and ``width`` and ``height`` of the image that was
    annotated, for which an image of another size is refused when it is measured. The same folder may contain
    ``parts.csv`` (file, part, x, y: fractions if no number is above 1, else pixels) and ``boxes.csv`` (file; finding,
    class or ``class_index``; x1, y1, x2, y2). An image whose table row has no class gets the class with the largest
    total area in ``boxes.csv``. Only boxes of the image's class are kept from that file.

    Args:
        root: The CSV file, or the folder of ``annotations.csv`` or ``images.csv``. The images are next to it or in
            ``images/``.
        split: Value of the column ``split`` to select; None for all.

    Raises:
        InputError: A file is missing or cannot be read; the message names file and line.
    """
    table = root if root.is_file() else next((root / name for name in TABLES if (root / name).is_file()), root)
    rows = read_table(table, columns=["file"])
    entries = _entries(rows)
    _add_boxes(table.parent / "boxes.csv", entries, skip=table)
    parts, fractions = _parts(table.parent / "parts.csv", entries, skip=table)
    given = "class_index" in rows[0].cells
    names = () if given else tuple(sorted(set().union(*map(_Entry.names, entries.values()))))
    if split is not None:
        entries = _of_split(table, entries, split)
    folder = folder_of(list(entries), [table.parent, table.parent / "images"])
    if fractions:
        parts = {file: FractionParts(folder / file, places) for file, places in parts.items()}
    images = tuple(_image(folder, file, entry, names, parts) for file, entry in entries.items())
    check_present(images, table)
    return AnnotatedImages(images, names, "csv", indices_given=given)


def _image(
    folder: Path, file: str, entry: _Entry, names: tuple[str, ...], parts: Mapping[str, Mapping[str, Point]]
) -> AnnotatedImage:
    label = names.index(entry.name) if names and entry.name else entry.index
    boxes = tuple(entry.boxes) or tuple(box for name, box in entry.found if name in ("", entry.name))
    places = parts.get(file, {})
    # Fractions fit an image of any size.
    size = None if isinstance(places, FractionParts) and not boxes else entry.size
    return AnnotatedImage(folder / file, file, label, entry.name or None, boxes, places, size=size)


def _entries(rows: tuple[TableRow, ...]) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for row in rows:
        file = relative(row.text("file"), row.where)
        new = _Entry(row.integer("class_index"), row.text(*_CLASS), row.text("split"), _size(row))
        entry = entries.setdefault(file, new)
        if (entry.index, entry.name, entry.split) != (new.index, new.name, new.split):
            raise InputError(f"{row.where}: {file} has another class or split in an earlier row; give it only one")
        entry.boxes += _boxes(row)
    return entries


def _size(row: TableRow) -> tuple[int, int] | None:
    """The size of the image that was annotated; None if the row does not say it."""
    with contextlib.suppress(ValueError, OverflowError):
        return known_size(*(int(float(row.text(column))) for column in ("width", "height")))
    return None


def _boxes(row: TableRow) -> list[Box]:
    if text := row.text("boxes_xyxy"):
        try:
            values = json.loads(text)
            if not isinstance(values, list):
                raise TypeError
        except WRONG_VALUE as error:
            raise InputError(
                f"{row.where}: boxes_xyxy is not a JSON list of boxes; write [[x1, y1, x2, y2]]"
            ) from error
        return [checked_box(box, row.where) for box in values]
    if any(row.text(corner) for corner in _CORNERS):
        return [checked_box([row.number(corner) for corner in _CORNERS], row.where)]
    return []


def _add_boxes(path: Path, entries: dict[str, _Entry], *, skip: Path) -> None:
    if not path.is_file() or path == skip:
        return
    for row in read_table(path, columns=["file"]):
        entry = _known(row, entries, skip)
        name, index = row.text(*_CLASS), row.integer("class_index")
        if index not in (None, entry.index):
            continue  # An object of another class.
        if entry.index is not None and not entry.name:
            if index is None and name not in ("", str(entry.index)):
                raise InputError(
                    f"{row.where}: its class {name} cannot be compared with the image's class_index {entry.index}; "
                    f"add the column class_name to {skip.name}, or class_index to {path.name}"
                )
            name = ""
        entry.found += [(name, box) for box in _boxes(row)]
    for entry in entries.values():
        if entry.index is None and not entry.name:
            entry.name = main_class(entry.found) or ""


def _parts(path: Path, entries: dict[str, _Entry], *, skip: Path) -> tuple[Mapping[str, Mapping[str, Point]], bool]:
    """The positions of the parts of each image, and whether they are fractions of its size."""
    if not path.is_file() or path == skip:
        return {}, False
    places: dict[str, dict[str, Point]] = defaultdict(dict)
    for row in read_table(path, columns=["file", "part", "x", "y"]):
        _known(row, entries, skip)
        places[relative(row.text("file"), row.where)][row.text("part")] = (row.number("x"), row.number("y"))
    highest = max(value for parts in places.values() for place in parts.values() for value in place)
    return places, highest <= 1


def _known(row: TableRow, entries: dict[str, _Entry], table: Path) -> _Entry:
    entry = entries.get(relative(row.text("file"), row.where))
    if entry is None:
        raise InputError(f"{row.where}: {row.text('file')} is not in {table.name}; list it there")
    return entry


def _of_split(table: Path, entries: dict[str, _Entry], split: str) -> dict[str, _Entry]:
    chosen = {file: entry for file, entry in entries.items() if entry.split == split}
    if not chosen:
        there = ", ".join(sorted({entry.split for entry in entries.values() if entry.split})) or "no column split"
        raise InputError(f"{table} has no images of the split {split}; it has {there}")
    return chosen


@dataclass(frozen=True)
class FractionParts(Mapping[str, Point]):
    """Positions in pixels, computed from fractions; the image is opened when the first position is read.

    Attributes:
        path: File of the image.
        fractions: Positions as fractions of its width and height.
    """

    path: Path
    fractions: Mapping[str, Point]

    def __getitem__(self, part: str) -> Point:
        x, y = self.fractions[part]
        width, height = self._size
        return x * width, y * height

    def __iter__(self) -> Iterator[str]:
        return iter(self.fractions)

    def __len__(self) -> int:
        return len(self.fractions)

    @cached_property
    def _size(self) -> tuple[int, int]:
        return open_photo(self.path).size
