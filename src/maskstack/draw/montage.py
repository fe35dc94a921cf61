"""A volume's map as one picture: evenly spaced slices with the map over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskstack.draw.fonts import pil_font
from maskstack.draw.overlay import overlay
from maskstack.geometry import Geometry

MOST_SLICES = 20
"""Largest number of slices of a montage."""

_SIDE = 220  # Width of a tile in pixels.
_GAP, _HEAD, _LABEL = 6, 46, 18


def montage_slices(depth: int, strongest: int) -> list[int]:
    """The slices to show: all if they are few, otherwise evenly spaced ones and the strongest.

    >>> montage_slices(4, 2), len(montage_slices(100, 33)), 33 in montage_slices(100, 33)
    ([0, 1, 2, 3], 20, True)
    """
    if depth <= MOST_SLICES:
        return list(range(depth))
    even = np.linspace(0, depth - 1, MOST_SLICES).round().astype(int)
    even[int(np.abs(even - strongest).argmin())] = strongest
    return sorted(set(even.tolist()))


def slice_pictures(
    pictures: Sequence[Image.Image], saliency: NDArray[np.float32], region: NDArray[np.bool_], **options: Any
) -> list[Image.Image]:
    """Each slice with its part of the map over it, see :func:`maskstack.draw.overlay.overlay`.

    Args:
        pictures: The slices, D of them.
        saliency: D x H x W in [0, 1].
        region: The region, D x H x W.
        **options: Style, opacity and colours.
    """
    found = []
    for picture, values, inside in zip(pictures, saliency, region, strict=True):
        large = picture.resize((_SIDE, max(1, round(_SIDE * picture.height / picture.width))), Image.Resampling.BICUBIC)
        place = Geometry((large.height, large.width), values.shape, (0.0, 0.0, float(large.width), float(large.height)))
        found.append(overlay(large, values, geometry=place, region=inside, badge=False, **options))
    return found


def montage(tiles: Sequence[Image.Image], numbers: Sequence[int], lines: Sequence[str]) -> Image.Image:
    """Slices in rows, each with its number, below lines of text.

    Args:
        tiles: The slices with their maps, all of one size.
        numbers: Number of each slice.
        lines: Text above them.
    """
    across = max(2, math.ceil(math.sqrt(len(tiles))))
    down = math.ceil(len(tiles) / across)
    width, height = tiles[0].width + _GAP, tiles[0].height + _LABEL + _GAP
    page = Image.new("RGB", (across * width + _GAP, _HEAD + down * height), "white")
    pen = ImageDraw.Draw(page)
    font = pil_font(14, "".join(lines[:2]))
    for row, line in enumerate(lines[:2]):
        pen.text((_GAP, 6 + 19 * row), line, fill="black", font=font)
    for place, (tile, number) in enumerate(zip(tiles, numbers, strict=True)):
        left, top = _GAP + place % across * width, _HEAD + place // across * height
        pen.text((left, top), f"slice {number}", fill=(70, 70, 70), font=font)
        page.paste(tile, (left, top + _LABEL))
    return page
