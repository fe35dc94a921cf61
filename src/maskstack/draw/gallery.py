"""The gallery: maps of several networks for the same photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from rich.cells import cell_len, set_cell_size

from maskstack.draw.drawn_figure import DrawnFigure
from maskstack.draw.fonts import use_installed_fonts
from maskstack.draw.overlay import as_rgb, bounded, enlarged, overlay
from maskstack.errors import InputError
from maskstack.geometry import Geometry

MOST_SIDE = 400
"""Largest number of pixels of a photo's longer side in a gallery."""

SIDE, LEFT, GAP, LINE = 2.3, 1.7, 0.12, 0.165
"""Sizes in inches: longer side of an image, width of the networks' names, gap, and height of a line of text."""


@dataclass(frozen=True, eq=False)
class GalleryCell:
    """The map of one network for one photograph.

    Attributes:
        picture: The photo, or the image that the network sees, see :func:`maskstack.draw.overlay.overlay`.
        saliency: Map of the network's input, H x W in [0, 1].
        words: Lines of text below, such as the class and the score of the shown part.
        geometry: Where the network's input lies in the photo; None if it is the whole image at its own size.
        region: The region, H x W; where the map is at least half of its maximum if not given.
        verdict: The verdict, which is written into the picture; empty if there is none.
    """

    picture: Any
    saliency: NDArray[np.float32]
    words: Sequence[str]
    geometry: Geometry | None = None
    region: NDArray[np.bool_] | None = None
    verdict: str = ""

    def drawn(self) -> Image.Image:
        """The cell's picture.

        Raises:
            InputError: The map does not fit the picture.
        """
        photo, place = enlarged(*bounded(self.picture, self.saliency, self.geometry, MOST_SIDE))
        return overlay(photo, self.saliency, geometry=place, region=self.region, word=self.verdict)


def gallery_figure(
    photos: Sequence[tuple[str, Any]], rows: Sequence[tuple[str, Sequence[GalleryCell]]], *, title: str = ""
) -> Figure:
    """Draw a table of networks and photographs: the photographs in the first row, then one row per network.

    Args:
        photos: Name and image of each photograph.
        rows: Name of each network and its cells in the order of the photographs.
        title: Line above the figure.

    Raises:
        InputError: There is nothing to draw, a row does not have one cell for each photograph, or a map does not have
            its image's size.
    """
    if not photos or not rows:
        raise InputError("a gallery needs a photograph and a network; give at least one of each")
    for name, cells in rows:
        if len(cells) != len(photos):
            raise InputError(f"{name} has {len(cells)} cells for {len(photos)} photographs; give one for each")
    names = [_wrapped(name, 28) for name, _ in photos]
    pictures = [as_rgb(picture) for _, picture in photos]
    drawn = [[cell.drawn() for cell in cells] for _, cells in rows]
    lines = max(len(cell.words) for _, cells in rows for cell in cells)
    # Positions are computed here: automatic layouts ignore the shapes of the images and cut off the names above them.
    wide = LEFT + (SIDE + GAP) * len(photos)
    heading = _wrapped(title, round(11 * wide))
    above = GAP + 0.24 * (heading.count("\n") + 1) * bool(title) + LINE * max(name.count("\n") + 1 for name in names)
    tops, y = [above], above + _height(pictures) + 2 * GAP
    for shown in drawn:
        tops.append(y)
        y += _height([as_rgb(picture) for picture in shown]) + GAP + LINE * lines
    figure = DrawnFigure(figsize=(wide, y + GAP))
    if title:
        figure.suptitle(heading, y=1 - GAP / figure.get_figheight(), va="top", fontsize=11, parse_math=False)
    places = [[_place(figure, column, top) for column in range(len(photos) + 1)] for top in tops]
    for axis, name, picture in zip(places[0][1:], names, pictures, strict=True):
        axis.imshow(picture)
        axis.set_title(name, fontsize=9, parse_math=False)
    for row, shown, (name, cells) in zip(places[1:], drawn, rows, strict=True):
        beside: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 9, "parse_math": False}
        row[0].text(1.0, 0.5, _wrapped(name, 20), transform=row[0].transAxes, **beside)
        for axis, marked, cell in zip(row[1:], shown, cells, strict=True):
            axis.imshow(np.asarray(marked))
            words = "\n".join(_wrapped(line, 34, lines=1) for line in cell.words)
            below: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8, "parse_math": False}
            axis.text(0.5, -0.03, words, transform=axis.transAxes, **below)
    use_installed_fonts(figure)
    return figure


def _height(pictures: Sequence[NDArray[np.float32]]) -> float:
    """Height in inches of a row of images, each as large as fits into a square of :data:`SIDE`."""
    return SIDE * min(max(float(picture.shape[0] / picture.shape[1]) for picture in pictures), 1.0)


def _place(figure: Figure, column: int, top: float) -> Axes:
    """Add the square of a column, ``top`` inches below the figure's upper edge; column 0 is for the networks' names."""
    width, height = figure.get_size_inches()
    left, wide = (LEFT + (SIDE + GAP) * (column - 1), SIDE) if column else (0.0, LEFT - GAP)
    axis = figure.add_axes((left / width, 1 - (top + SIDE) / height, wide / width, SIDE / height))
    axis.set_axis_off()
    axis.set_anchor("N")
    return axis


def _wrapped(text: str, width: int, *, lines: int = 3) -> str:
    """Break a text into lines of at most ``width`` letters, wide ones counted twice; what does not fit is left out.

    >>> _wrapped("MobileNetV2 of birds", 12).splitlines()
    ['MobileNetV2', 'of birds']
    """
    found = [""]
    for word in text.split():
        fits = cell_len(found[-1]) + cell_len(word) + 1 <= width or not found[-1]
        found[-1:] = [f"{found[-1]} {word}".strip()] if fits else [found[-1], word]
    short = [line if cell_len(line) <= width else _cut(line, width) for line in found]
    if len(short) > lines:
        short[lines - 1] = _cut(short[lines - 1], width)
    return "\n".join(short[:lines])


def _cut(line: str, width: int) -> str:
    return set_cell_size(line, min(cell_len(line), width - 3)).rstrip() + "..."
