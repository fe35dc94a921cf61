"""A CSV of files with class and boxes, and companions for parts and further boxes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages, Box, Point
from maskstack.datasets.objects import checked_box, main_class
from maskstack.datasets.parts import FractionParts
from maskstack.datasets.places import check_present, folder_of, relative
from maskstack.datasets.tables import Row, read_table
from maskstack.errors import InputError

TABLES = ("annotations.csv", "images.csv")
_CORNERS = ("x1", "y1", "x2", "y2")
_CLASS = ("class_name", "class", "finding", "label")


@dataclass
class _Entry:
    """What the rows of one file say together."""

    index: int | None
    name: str
    split: str
    boxes: list[Box] = field(default_factory=list)
    found: list[tuple[str, Box]] = field(default_factory=list)  # From boxes.csv, each with its class or "".

    def names(self) -> set[str]:
        """Of its class, and those of its boxes."""
        return {self.name, *(name for name, _ in self.found)} - {""}


def from_csv(root: Path, *, split: str | None = None) -> AnnotatedImages:
    """Read a table with a column ``file`` and what else there is.

    Columns: ``class_index``; ``class`` or ``class_name``; boxes as ``boxes_xyxy``, JSON, or as ``x1``, ``y1``,
    ``x2``, ``y2``, with a row for each box if there are several; ``split``. Beside it may lie ``parts.csv`` (file,
    part, x, y: fractions if no number is above 1, else pixels) and ``boxes.csv`` (file, finding or class, x1, y1,
    x2, y2). An image without a class of its own gets that of its largest boxes there; of those boxes only the ones
    of its class are kept.

    Args:
        root: The CSV file, or the folder of ``annotations.csv`` or ``images.csv``. The pictures lie beside it or in
            ``images/``.
        split: Which value of the column ``split``; None for all.

    Raises:
        InputError: A file is missing or cannot be read; it names file and line.
    """
    table = root if root.is_file() else next((root / name for name in TABLES if (root / name).is_file()), root)
    rows = read_table(table, columns=["file"])
    entries = _entries(rows)
    _add_boxes(table.parent / "boxes.csv", entries, skip=table)
    parts = _parts(table.parent / "parts.csv", entries, skip=table)
    given = "class_index" in rows[0].cells
    names = () if given else tuple(sorted(set().union(*map(_Entry.names, entries.values()))))
    if split is not None:
        entries = _of_split(table, entries, split)
    folder = folder_of(list(entries), [table.parent, table.parent / "images"])
    images = tuple(_image(folder, file, entry, names, parts) for file, entry in entries.items())
    check_present(images, table)
    return AnnotatedImages(images, names, "csv", indices_given=given)


def _image(
    folder: Path, file: str, entry: _Entry, names: tuple[str, ...], parts: Mapping[str, Mapping[str, Point]]
) -> AnnotatedImage:
    label = names.index(entry.name) if names and entry.name else entry.index
    places = parts.get(file, {})
    if isinstance(places, _Fractions):
        places = FractionParts(folder / file, dict(places))
    boxes = tuple(entry.boxes) or tuple(box for name, box in entry.found if name in ("", entry.name))
    return AnnotatedImage(folder / file, file, label, entry.name or None, boxes, places)


def _entries(rows: tuple[Row, ...]) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for row in rows:
        file = relative(row.text("file"), row.where)
        new = _Entry(row.integer("class_index"), row.text(*_CLASS), row.text("split"))
        entry = entries.setdefault(file, new)
        if (entry.index, entry.name, entry.split) != (new.index, new.name, new.split):
            raise InputError(f"{row.where}: {file} had another class or split before; give it one")
        entry.boxes += _boxes(row)
    return entries


def _boxes(row: Row) -> list[Box]:
    if text := row.text("boxes_xyxy"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{row.where}: boxes_xyxy is no JSON list of boxes; write [[x1, y1, x2, y2]]") from error
        if not isinstance(values, list):
            raise InputError(f"{row.where}: boxes_xyxy is no JSON list of boxes; write [[x1, y1, x2, y2]]")
        return [checked_box(box, row.where) for box in values]
    if any(row.text(corner) for corner in _CORNERS):
        return [checked_box([row.number(corner) for corner in _CORNERS], row.where)]
    return []


def _add_boxes(path: Path, entries: dict[str, _Entry], *, skip: Path) -> None:
    if not path.is_file() or path == skip:
        return
    for row in read_table(path, columns=["file"]):
        entry = _known(row, entries, skip)
        entry.found += [(row.text(*_CLASS), box) for box in _boxes(row)]
    for entry in entries.values():
        if entry.index is None and not entry.name:
            entry.name = main_class(entry.found) or ""


class _Fractions(dict[str, Point]):
    """Places as fractions of the picture's size."""


def _parts(path: Path, entries: dict[str, _Entry], *, skip: Path) -> Mapping[str, Mapping[str, Point]]:
    if not path.is_file() or path == skip:
        return {}
    places: dict[str, dict[str, Point]] = defaultdict(dict)
    for row in read_table(path, columns=["file", "part", "x", "y"]):
        _known(row, entries, skip)
        places[relative(row.text("file"), row.where)][row.text("part")] = (row.number("x"), row.number("y"))
    highest = max(value for parts in places.values() for place in parts.values() for value in place)
    return {file: _Fractions(parts) if highest <= 1 else parts for file, parts in places.items()}


def _known(row: Row, entries: dict[str, _Entry], table: Path) -> _Entry:
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
