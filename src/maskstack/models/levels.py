"""Grey values of any depth as 8 bits: which value becomes black and which white, and a sentence that says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstack.errors import WRONG_VALUE, InputError

Window = tuple[float, float]
"""Centre and width of the values that are shown, as radiology gives them."""

DEPTHS = (8, 10, 12, 14, 16)
"""Numbers of bits that detectors give."""


def read_window(text: str | Window) -> Window:
    """Centre and width from the text CENTRE/WIDTH.

    >>> read_window("40/400")
    (40.0, 400.0)

    Raises:
        InputError: The text has another form, or the width is not positive.
    """
    found = text.split("/") if isinstance(text, str) else text
    wrong = f"window is {text!r}; write CENTRE/WIDTH with a width above 0, such as 40/400 for soft tissue in CT"
    try:
        centre, width = (float(part) for part in found)
    except WRONG_VALUE as error:
        raise InputError(wrong) from error
    if not (np.isfinite([centre, width]).all() and width > 0):
        raise InputError(wrong)
    return centre, width


@dataclass(frozen=True)
class Levels:
    """Which value becomes black and which white.

    Attributes:
        start: The value that becomes black; white if inverted.
        end: The value that becomes white; black if inverted.
        inverted: Whether low values are shown white.
        said: A sentence; empty where nothing had to be decided, as for values of the full 16 bits.
    """

    start: float
    end: float
    inverted: bool
    said: str

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Values of any shape as 8 bits."""
        shares = np.clip((values.astype(np.float64) - self.start) / (self.end - self.start), 0, 1)
        return np.rint((1 - shares if self.inverted else shares) * 255).astype(np.uint8)


def levels_of(
    values: NDArray[Any], *, window: Window | None = None, inverted: bool = False, bits: int | None = None
) -> Levels:
    """Choose which value becomes black and which white.

    With a window, its lower end becomes black and its upper end white. Otherwise, for whole numbers from 0 on, 0 is
    black, and the largest value of the least depth of :data:`DEPTHS` that holds them all is white, as detectors of 12
    bits store their values in files of 16. Floats are taken as 0..1 or 0..255 if all are in one of these ranges. Of
    other values, the lowest becomes black and the highest white.

    Args:
        values: H x W, of any type of number.
        window: Centre and width.
        inverted: Whether low values are shown white.
        bits: Number of bits, where the file says it.

    Raises:
        InputError: There are NaN or infinite values.
    """
    whole = not np.issubdtype(values.dtype, np.floating)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise InputError("the image has NaN or infinite values; replace them first")
    said = ""
    if window is not None:
        start, end = window[0] - window[1] / 2, window[0] + window[1] / 2
        said = f"values from {start:g} to {end:g} (window {window[0]:g}/{window[1]:g}) are shown from black to white"
    elif low < 0 or (not whole and high > 255) or (whole and high >= 2 ** max(DEPTHS)):
        start, end = low, max(high, low + 1e-12)
        said = f"values from {low:g} to {high:g}, the lowest and the highest, are shown from black to white"
        said += "; for CT, give a window such as 40/400" if whole and low < 0 else ""
    elif whole:
        depth = bits or next(depth for depth in DEPTHS if high < 2**depth)
        start, end = 0.0, float(2**depth - 1)
        said = "" if depth == max(DEPTHS) else f"values of {depth} bits, 0 to {end:g}, are shown from black to white"
    else:
        start, end = 0.0, 1.0 if high <= 1 else 255.0
    if inverted:
        said = (said or "values are shown from black to white").replace("from black to white", "from white to black")
    return Levels(start, max(end, np.nextafter(start, np.inf)), inverted, said)


def to_bytes(
    values: NDArray[Any], *, window: Window | None = None, inverted: bool = False, bits: int | None = None
) -> tuple[NDArray[np.uint8], str]:
    """Grey values as 8 bits, and how it was done, see :func:`levels_of`.

    Args:
        values: H x W, of any type of number.
        window: Centre and width.
        inverted: Whether low values are shown white.
        bits: Number of bits, where the file says it.

    Raises:
        InputError: There are NaN or infinite values.
    """
    levels = levels_of(values, window=window, inverted=inverted, bits=bits)
    return levels.apply(values), levels.said


def joined(*parts: str) -> str:
    """Sentences in one.

    >>> joined("page 0 of 3 is used", "", "values are shown")
    'page 0 of 3 is used; values are shown'
    """
    return "; ".join(part for part in parts if part)


def page_number(page: int | None, pages: int, *, default: int = 0, what: str = "page") -> tuple[int, str]:
    """The page to use, from 0, and a sentence that says so if there are several.

    Raises:
        InputError: There is no such page.
    """
    chosen = default if page is None else page
    if isinstance(chosen, bool) or not isinstance(chosen, int) or not 0 <= chosen < pages:
        there = f"there is only {what} 0" if pages == 1 else f"there are {pages}, from 0 to {pages - 1}"
        raise InputError(f"{what} {page} is out of range; {there}")
    choose = "; choose another with page=" if page is None else ""
    return chosen, f"{what} {chosen} of {what}s 0 to {pages - 1} is used{choose}" if pages > 1 else ""


def read_page(text: str) -> int | None:
    """The number of a page from text; None if it is empty.

    Raises:
        InputError: The text is not a whole number of 0 or more.
    """
    if text and not re.fullmatch(r"\d{1,6}", text):
        raise InputError(f"page is {text!r}; write a whole number of 0 or more")
    return int(text) if text else None
