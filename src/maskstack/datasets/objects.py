"""Boxes that are boxes, and which class an image of several objects is of."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from maskstack.datasets.annotated import Box
from maskstack.errors import InputError


def checked_box(values: Any, where: str) -> Box:
    """Left, top, right, bottom as floats.

    Args:
        values: Four numbers, or what should be.
        where: Names the place in errors.

    Raises:
        InputError: They are not four finite numbers, or the size is negative.
    """
    box = _four(values, where)
    if box[2] < box[0] or box[3] < box[1]:
        raise InputError(f"{where}: the box {_shown(box)} has a negative size; give left, top, right, bottom")
    return box


def box_of_size(values: Any, where: str) -> Box:
    """Left, top, right, bottom from left, top, width, height.

    Args:
        values: Four numbers, or what should be.
        where: Names the place in errors.

    Raises:
        InputError: They are not four finite numbers, or the size is negative.
    """
    left, top, width, height = box = _four(values, where)
    if width < 0 or height < 0:
        raise InputError(f"{where}: the box {_shown(box)} has a negative size; give left, top, width, height")
    return left, top, left + width, top + height


def main_class(objects: Iterable[tuple[str, Box]]) -> str | None:
    """The class whose boxes cover most in sum, of equals the first in the alphabet; None without objects.

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
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: the box {values!r:.80} is not four numbers; correct it") from error
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise InputError(f"{where}: the box {values!r:.80} is not finite; correct it")
    return left, top, right, bottom


def _shown(box: Box) -> str:
    return ", ".join(f"{value:g}" for value in box)
