"""The gallery: the same photographs under several networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from maskstack.draw.overlay import as_rgb, overlay
from maskstack.errors import InputError

SIDE = 2.3
"""Inches of a picture."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One photograph under one network.

    Attributes:
        picture: What the network saw, see :func:`maskstack.draw.overlay.as_rgb`.
        saliency: Its map, H x W in [0, 1], of the picture's size.
        words: Lines under it, such as the class and what is left of its score.
    """

    picture: Any
    saliency: NDArray[np.float32]
    words: Sequence[str]


def gallery_figure(
    photos: Sequence[tuple[str, Any]], rows: Sequence[tuple[str, Sequence[Cell]]], *, title: str = ""
) -> Figure:
    """Draw networks x photographs: the photographs above, then a row a network.

    Args:
        photos: Name and picture of each photograph.
        rows: Name of each network, and its cells in the order of the photographs.
        title: Line over the figure.

    Raises:
        InputError: There is nothing to draw, a row has not a cell for each photograph, or a map is not of its
            picture's size.
    """
    if not photos or not rows:
        raise InputError("a gallery needs a photograph and a network; give at least one of each")
    for name, cells in rows:
        if len(cells) != len(photos):
            raise InputError(f"{name} has {len(cells)} cells for {len(photos)} photographs; give one for each")
    lines = max(len(cell.words) for _, cells in rows for cell in cells)
    heights = [SIDE + 0.3, *[SIDE + 0.1 + 0.17 * lines] * len(rows)]
    figure = Figure(figsize=(1.7 + (SIDE + 0.15) * len(photos), sum(heights) + (0.4 if title else 0.1)))
    figure.set_layout_engine("constrained")
    if title:
        figure.suptitle(title, fontsize=11, parse_math=False)
    axes = figure.subplots(
        len(rows) + 1,
        len(photos) + 1,
        squeeze=False,
        height_ratios=heights,
        width_ratios=[1.7, *[SIDE] * len(photos)],
    )
    for axis in axes.flatten():
        axis.set_axis_off()
    for axis, (name, picture) in zip(axes[0, 1:], photos, strict=True):
        axis.imshow(as_rgb(picture))
        axis.set_title(_wrapped(name, 28), fontsize=9, parse_math=False)
    for row, (name, cells) in zip(axes[1:], rows, strict=True):
        row[0].text(
            1.0,
            0.5,
            _wrapped(name, 20),
            ha="right",
            va="center",
            fontsize=9,
            transform=row[0].transAxes,
            parse_math=False,
        )
        for axis, cell in zip(row[1:], cells, strict=True):
            axis.imshow(overlay(cell.picture, cell.saliency))
            words = "\n".join(_wrapped(line, 34, lines=1) for line in cell.words)
            below = {"ha": "center", "va": "top", "fontsize": 8, "parse_math": False}
            axis.text(0.5, -0.03, words, transform=axis.transAxes, **below)
    return figure


def _wrapped(text: str, width: int, *, lines: int = 3) -> str:
    """A text in lines no longer than so many letters, the rest left out.

    >>> _wrapped("MobileNetV2 of birds", 12).splitlines()
    ['MobileNetV2', 'of birds']
    """
    found = [""]
    for word in text.split():
        fits = len(found[-1]) + len(word) + 1 <= width or not found[-1]
        found[-1:] = [f"{found[-1]} {word}".strip()] if fits else [found[-1], word]
    short = [line if len(line) <= width else line[: width - 3] + "..." for line in found]
    if len(short) > lines:
        short[lines - 1] = short[lines - 1][: width - 3] + "..."
    return "\n".join(short[:lines])
