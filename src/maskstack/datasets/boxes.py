"""Checking boxes, and the main class of an image with several objects."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from maskstack.datasets.annotated import Box
from maskstack.errors import WRONG_VALUE, InputError


def checked_box(values: Any, where: str, *, form: Literal["xyxy", "xywh"] = "xyxy") -> Box:
    """Check the four numbers of a box.

    Args:
        values: The numbers as the data set gives them.
        where: File and line of the box, for messages.
        form: Whether they are left, top, right, bottom, or left, top, width, height.

    Returns:
        Left, top, right, bottom.

    Raises:
        InputError: The values are not four finite numbers, or the size is negative.
    """
    box = left, top, right, bottom = _four(values, where)
    if form == "xywh":
        right, bottom = left + right, top + bottom
    if right < left or bottom < top:
        shown = ", ".join(f"{value:g}" for value in box)
        last = "right, bottom" if form == "xyxy" else "width, height"
        raise InputError(f"{where}: the box {shown} has a negative size; give left, top, {last}")
    return left, top, right, bottom


def known_size(width: Any, height: Any) -> tuple[int, int] | None:
    """The size of an image that a data set notes; None where it notes none, or zeros, as some tools do."""
    return (width, height) if all(isinstance(side, int) and side > 0 for side in (width, height)) else None


def main_class(objects: Iterable[tuple[str, Box]]) -> str | None:
    """The class with the largest total area of boxes; None if there are no objects.

    Among classes of equal area it is the first in alphabetical order.

    >>> main_class([("cat", (0, 0, 3, 3)), ("dog", (0, 0, 2, 4)), ("dog", (4, 0, 6, 4))])
    'dog'
    """
    areas: dict[str, float] = defaultdict(float)
    for name, (left, top, right, bottom) in objects:
        areas[name] += (right - left) * (bottom - top)
    return min(areas, key=lambda name: (-areas[name], name)) if areas else None


def _four(values: Any, where: str) -> Box:
    try:
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise TypeError
        left, top, right, bottom = map(float, values)
    except WRONG_VALUE as error:
        raise InputError(f"{where}: the box {values!r:.80} is not four numbers; correct it") from error
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise InputError(f"{where}: the box {values!r:.80} is not finite; correct it")
    return left, top, right, bottom
