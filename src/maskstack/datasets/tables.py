"""Reading tables with error messages that name file and line."""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from maskstack.errors import InputError, reason

_Value = TypeVar("_Value", int, float)
LARGEST_CELL = 10_000_000  # Characters; Python's own limit is too small for images with a thousand boxes.


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        where: File and line, for messages.
        cells: Texts of the cells by column.
    """

    where: str
    cells: Mapping[str, str]

    def text(self, *columns: str) -> str:
        """Text of the first of these columns that exists and is not empty; otherwise empty."""
        return next((self.cells[column] for column in columns if self.cells.get(column)), "")

    def number(self, column: str) -> float:
        """The cell as a finite number.

        Raises:
            InputError: The text is not a finite number.
        """
        return self._parsed(column, float, "a number")

    def integer(self, column: str) -> int | None:
        """The cell as a whole number; None if it is empty.

        Raises:
            InputError: The text is not a whole number.
        """
        return self._parsed(column, int, "a whole number") if self.text(column) else None

    def _parsed(self, column: str, parse: Callable[[str], _Value], kind: str) -> _Value:
        with contextlib.suppress(ValueError, OverflowError):
            value = parse(self.text(column))
            if math.isfinite(value):
                return value
        raise InputError(f"{self.where}: {column} is {self.text(column)!r}, which is not {kind}; correct it")


def read_table(path: Path, *, columns: Collection[str]) -> tuple[TableRow, ...]:
    """Read a CSV file with a header.

    Args:
        path: CSV file in UTF-8.
        columns: Columns that the file must have.

    Raises:
        InputError: The file cannot be read, is empty, lacks a column, or has a row with more or fewer cells than the
            header.
    """
    csv.field_size_limit(LARGEST_CELL)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            header = [name.strip() for name in next(lines, [])]
            lacking = [name for name in columns if name not in header]
            if lacking:
                raise InputError(
                    f"{path} has no column {' or '.join(lacking)}; its header is {','.join(header)!r:.120}"
                )
            rows = tuple(_row(f"{path} line {lines.line_num}", header, cells) for cells in lines if cells)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table ({reason(error)}); save it as UTF-8 CSV") from error
    if not rows:
        raise InputError(f"{path} has no rows below its header; list the images there")
    return rows


def _row(where: str, header: list[str], cells: list[str]) -> TableRow:
    if len(cells) != len(header):
        raise InputError(f"{where} has {len(cells)} cells, the header {len(header)}; correct it")
    return TableRow(where, dict(zip(header, map(str.strip, cells), strict=True)))


def read_words(path: Path, *, columns: Collection[str], rest: bool = False) -> tuple[TableRow, ...]:
    """Read a text file without header, whose cells are separated by spaces.

    Args:
        path: Text file in UTF-8.
        columns: Names of its columns.
        rest: Whether the last cell may contain spaces.

    Raises:
        InputError: The file cannot be read, is empty, or has a line with another number of cells.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text ({reason(error)}); get a complete copy") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        cells = line.split(None, len(columns) - 1) if rest else line.split()
        if cells and len(cells) != len(columns):
            raise InputError(f"{path} line {number} has {len(cells)} cells, not {len(columns)}; correct it")
        if cells:
            rows.append(TableRow(f"{path} line {number}", dict(zip(columns, cells, strict=True))))
    if not rows:
        raise InputError(f"{path} is empty; get a complete copy")
    return tuple(rows)
