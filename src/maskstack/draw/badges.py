"""The verdict on a picture: a sign whose shape differs, a word, and lines below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from maskstack.draw.fonts import pil_font

RELIABLE, DOUBTFUL, DO_NOT_USE = "reliable", "doubtful", "do not use"


@dataclass(frozen=True)
class Sign:
    """How a verdict is shown.

    Attributes:
        letter: A character that stands for it where there is only text.
        colour: Red, green and blue from 0 to 255; the three colours differ without colour vision too.
        corners: Corners of its shape; 0 for a disc.
    """

    letter: str
    colour: tuple[int, int, int]
    corners: int


SIGNS: Mapping[str, Sign] = {
    RELIABLE: Sign("\u2713", (86, 180, 233), 0),
    DOUBTFUL: Sign("?", (240, 190, 60), 3),
    DO_NOT_USE: Sign("\u2715", (225, 95, 40), 4),
}
"""The sign of each verdict: a disc, a triangle and a square, in colours of Okabe and Ito."""

UNKNOWN = Sign("\u2022", (190, 190, 190), 0)
"""The sign of any other word."""

Corner = tuple[bool, bool]
"""A corner of a picture: whether it is a right one, and whether it is a lower one."""

_WIDEST, _TALLEST = 0.62, 0.26  # Largest share of the picture that a badge may take.
_SMALLER = 0.6  # How much smaller letters may be than usual so that a line fits.
_FEWEST = 8  # Letters that at least stay of a name that is cut.
_BACK, _INK = (20, 20, 20), (255, 255, 255)


def sign_of(word: str) -> Sign:
    """The sign of a verdict.

    >>> sign_of("doubtful").letter, sign_of("").letter
    ('?', '•')
    """
    return SIGNS.get(word, UNKNOWN)


def draw_badge(
    picture: Image.Image,
    word: str,
    lines: Sequence[str] = (),
    *,
    corners: Sequence[Corner] = ((False, True),),
    keep_free: NDArray[np.bool_] | None = None,
) -> None:
    """Write a verdict into a corner of a picture; what does not fit is cut or left out, the sign last.

    Args:
        picture: RGB picture, which is changed.
        word: The verdict.
        lines: Further lines below it, the most important first. The first is a name and a score; the name may be cut.
        corners: The corners that may be used, the best first.
        keep_free: Pixels that the badge should not cover, H x W. Where every badge would cover some, they are ignored.
    """
    best: tuple[Image.Image, tuple[int, int]] | None = None
    for badge, size in _fitting(picture.size, word, lines):
        for corner in corners:
            left, top = _place(picture, badge, corner, size)
            best = best or (badge, (left, top))
            if keep_free is None or not keep_free[top : top + badge.height, left : left + badge.width].any():
                picture.paste(badge, (left, top))
                return
    if best is None:
        size = _sizes(picture.size)[-1]
        sign = _badge("", (), size, sign=sign_of(word))
        best = sign, _place(picture, sign, corners[0], size)
    picture.paste(*best)


def _fitting(room: tuple[int, int], word: str, lines: Sequence[str]) -> Iterator[tuple[Image.Image, int]]:
    """Badges with the verdict that fit into a picture, the fullest first, each with the size of its letters."""
    widest, sizes = _WIDEST * room[0], _sizes(room)
    tried = (
        (size, [_cut(lines[0], size, widest) if cut else lines[0], *lines[1:count]])
        for count in range(len(lines), 0, -1)
        # Before a line is left out, all letters may be somewhat smaller, and then the name may be cut.
        for cut in (False, True)
        for size in sizes
        if size >= _SMALLER * sizes[0]
    )
    for size, shown in chain(tried, ((size, []) for size in sizes)):
        badge = _badge(word, shown, size)
        if badge.width <= widest and badge.height <= _TALLEST * room[1]:
            yield badge, size


def _sizes(room: tuple[int, int]) -> list[int]:
    """Sizes of letters to try in a picture of this width and height."""
    sizes = [max(11, round(min(room[0], room[1] * 1.6) / 24))]
    while sizes[-1] > 11:
        sizes.append(max(11, round(sizes[-1] * 0.85)))
    return sizes


def _cut(line: str, size: int, widest: float) -> str:
    """A class's name and score, with the end of the name left out so that they fit into a badge of this width."""
    font, room = _plain_font(size, line), widest - 2 * _pad(size)
    start, _, end = line.rpartition(" ")
    for kept in range(len(start), _FEWEST - 1, -1):
        if font.getlength(shown := line if kept == len(start) else f"{start[:kept].rstrip()}\u2026 {end}") <= room:
            return shown
    return line


def _plain_font(size: int, text: str) -> ImageFont.FreeTypeFont:
    """The font of the lines of a badge whose verdict has letters of this size."""
    return pil_font(max(round(size * 0.8), 9), text)


def _pad(size: int) -> int:
    """Pixels between the edge of a badge and what is written."""
    return max(size // 3, 2)


def _place(picture: Image.Image, badge: Image.Image, corner: Corner, size: int) -> tuple[int, int]:
    """Left and upper pixel of a badge with letters of this size in a corner."""
    gap = max(size // 3, 2)
    left = picture.width - badge.width - gap if corner[0] else gap
    top = picture.height - badge.height - gap if corner[1] else gap
    return max(left, 0), max(top, 0)


def _badge(word: str, lines: Sequence[str], size: int, *, sign: Sign | None = None) -> Image.Image:
    sign = sign or sign_of(word)
    bold, plain = pil_font(size, bold=True), _plain_font(size, "".join(lines))
    pad, mark = _pad(size), round(size * 1.15)
    step = round(size * 1.05)
    texts = [plain.getlength(line) for line in lines]
    first = mark + (pad + bold.getlength(word) if word else 0)
    wide = round(max([first, *texts]) + 2 * pad)
    tall = round(2 * pad + mark + step * len(lines) + (pad // 2 if lines else 0))
    badge = Image.new("RGB", (wide, tall), _BACK)
    badge.paste(sign_picture(sign, mark), (pad, pad))
    pen = ImageDraw.Draw(badge)
    if word:
        pen.text((2 * pad + mark, pad + mark / 2), word, fill=_INK, font=bold, anchor="lm")
    for number, line in enumerate(lines):
        pen.text((pad, pad + mark + pad // 2 + step * (number + 0.5)), line, fill=_INK, font=plain, anchor="lm")
    return badge


def sign_picture(sign: Sign, side: int, *, back: tuple[int, int, int] = _BACK) -> Image.Image:
    """A sign as a square picture, of this many pixels a side, on a background of this colour: by default a badge's."""
    large = side * 4
    picture = Image.new("RGB", (large, large), back)
    pen = ImageDraw.Draw(picture)
    if sign.corners == 3:
        pen.polygon([(large / 2, 0), (large - 1, large - 1), (0, large - 1)], fill=sign.colour)
    elif sign.corners == 4:
        pen.rectangle((0, 0, large - 1, large - 1), fill=sign.colour)
    else:
        pen.ellipse((0, 0, large - 1, large - 1), fill=sign.colour)
    lower = 0.62 if sign.corners == 3 else 0.5
    letter = pil_font(round(large * (0.6 if sign.corners == 3 else 0.75)), bold=True)
    pen.text((large / 2, large * lower), sign.letter, fill=_BACK, font=letter, anchor="mm")
    return picture.resize((side, side), Image.Resampling.LANCZOS)
