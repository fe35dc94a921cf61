"""Pages of prototype networks: "this looks like that", and all prototypes of a class."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from rich.cells import cell_len, set_cell_size

from maskstack.draw.drawn_figure import DrawnFigure
from maskstack.draw.fonts import use_installed_fonts
from maskstack.draw.overlay import as_rgb, overlay
from maskstack.errors import InputError

Map = NDArray[np.float32]

LEVEL = 0.5
"""Threshold of a prototype's region, as a share of its map's maximum."""

SMOOTHING = 0.03
"""Standard deviation of the blur before a region is outlined, as a share of the shorter side; maps are not blurred."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """One prototype of a page.

    Attributes:
        prototype: Its number.
        similarity: Its activation on the image.
        weight: Weight of its activation in the class's logit.
        region: Its map on the image, H x W in [0, 1].
        source: Its own training image, see :func:`maskstack.draw.overlay.as_rgb`; None if it is not available.
        source_region: Its map on the training image, of that image's size.
        source_name: Name of the training image.
        problem: Why the map on the image shows no region, in a sentence; empty if it shows one.
        source_problem: The same for the training image.
        word: The verdict on the map on the image; empty if there is none.
        source_word: The same for the training image.
    """

    prototype: int
    similarity: float
    weight: float
    region: Map
    source: Any
    source_region: Map | None
    source_name: str
    problem: str = ""
    source_problem: str = ""
    word: str = ""
    source_word: str = ""


@dataclass(frozen=True, eq=False)
class Shown:
    """One prototype of a gallery.

    Attributes:
        prototype: Its number.
        weight: Weight of its activation in its class's logit.
        source: Its own training image; None if it is not available.
        region: Its map on the training image, H x W in [0, 1].
        source_name: Name of the training image.
        note: Further text about the prototype.
        problem: Why the map shows no region, in a sentence; empty if it shows one.
        word: The verdict on the map; empty if there is none.
    """

    prototype: int
    weight: float
    source: Any
    region: Map | None
    source_name: str
    note: str = ""
    problem: str = ""
    word: str = ""


def looks_like_page(image: Any, lines: Sequence[Likeness], *, title: str, method: str) -> Figure:
    """Draw the prototypes by which an image's class was recognised.

    Each prototype has a row: the image with the prototype's region, and the map; the prototype's own training image
    with its region, and the map there; and what the prototype added to the class's logit.

    Args:
        image: What the network saw, see :func:`maskstack.draw.overlay.as_rgb`.
        lines: The prototypes, the one that added most first.
        title: The image and its class.
        method: How regions were searched for.

    Raises:
        InputError: There is no prototype, or a map is not of its picture's size.
    """
    if not lines:
        raise InputError("there is no prototype to draw; give at least one")
    photo = as_rgb(image)
    aspect = photo.shape[0] / photo.shape[1]
    side, text = 2.0, 2.6
    figure = DrawnFigure(
        figsize=(4 * side + text, len(lines) * (max(side * aspect, 1.2) + 0.12) + 1.0), layout="constrained"
    )
    figure.suptitle(f"{_short(title, 70)}\nregions by {method}", fontsize=11, parse_math=False)
    axes = figure.subplots(len(lines), 5, squeeze=False, width_ratios=[side] * 4 + [text])
    for name, axis in zip(("this image", "its map", "looks like", "its map"), axes[0], strict=False):
        axis.set_title(name, fontsize=9)
    for line, row in zip(lines, axes, strict=True):
        _draw_region(row[0], photo, line.region, line.problem)
        _draw_map(row[1], photo, line.region, line.problem, line.word)
        _draw_source(row[2], line.source, line.source_region, line.source_problem)
        if line.source is not None and line.source_region is not None:
            _draw_map(row[3], as_rgb(line.source), line.source_region, line.source_problem, line.source_word)
        unlike = " (unlike)" if line.similarity < 0 else ""
        words = (
            f"prototype {line.prototype}\n{_short(line.source_name, 34)}\n\nsimilarity {line.similarity:.2f}{unlike}\n"
            f"x weight {line.weight:.2f}\n= {line.similarity * line.weight:.2f}"
        )
        row[4].text(0.0, 0.5, words, ha="left", va="center", fontsize=9, transform=row[4].transAxes, parse_math=False)
        for axis in row:
            axis.set_axis_off()
    total = sum(line.similarity * line.weight for line in lines)
    several = "this prototype adds" if len(lines) == 1 else f"these {len(lines)} prototypes add"
    figure.supxlabel(f"{several} {total:.2f} to the class's logit", fontsize=9)
    use_installed_fonts(figure)
    return figure


def prototype_gallery(lines: Sequence[Shown], *, title: str, method: str, columns: int = 5) -> Figure:
    """Draw the prototypes of a class, each in its own training image.

    Args:
        lines: The prototypes.
        title: The class.
        method: How regions were searched for.
        columns: Prototypes in a row.

    Raises:
        InputError: There is no prototype, or a map is not of its picture's size.
    """
    if not lines:
        raise InputError("there is no prototype to draw; give at least one")
    columns = min(columns, len(lines))
    rows = -(-len(lines) // columns)
    figure = DrawnFigure(figsize=(max(2.2 * columns, 4.5), 2.9 * rows + 0.7), layout="constrained")
    figure.suptitle(f"{_short(title, 20 * max(columns, 2))}\nregions by {method}", fontsize=11, parse_math=False)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes:
        axis.set_axis_off()
    for line, axis in zip(lines, axes, strict=False):
        _draw_source(axis, line.source, line.region, line.problem, line.word)
        note = "".join(f"\n{text}" for text in (line.note, _no_region(line.problem)) if text)
        axis.set_title(
            f"{line.prototype}: weight {line.weight:.2f}\n{_short(line.source_name, 28)}{note}",
            fontsize=8,
            parse_math=False,
        )
    use_installed_fonts(figure)
    return figure


def _draw_source(axis: Axes, source: Any, region: Map | None, problem: str, word: str = "") -> None:
    """Draw the region in the training image that a prototype comes from, or write that the picture is not there."""
    if source is not None and region is not None:
        _draw_region(axis, as_rgb(source), region, problem, word)
    else:
        _write(axis, "picture not available")


def _draw_region(axis: Axes, photo: NDArray[np.float32], region: Map, problem: str, word: str = "") -> None:
    """Draw the photo with everything but the region veiled and the region outlined; if there is none, the photo alone.

    The outline follows a smoothed map, so it has fewer and rounder parts than that of :func:`_draw_map`.
    """
    values = _fitting(region, photo)
    if problem:
        axis.imshow(photo)
    else:
        axis.imshow(overlay(photo, values, region=region_of(_smooth(values)), style="masked", word=word))


def _draw_map(axis: Axes, photo: NDArray[np.float32], region: Map, problem: str, word: str) -> None:
    """Draw the map over the photo with its verdict; or write why it shows no region."""
    if problem:
        axis.imshow(np.ones_like(photo))  # of the photo's size, so that titles are at one height
        _write(axis, _no_region(problem))
    else:
        axis.imshow(overlay(photo, _fitting(region, photo), word=word))


def _no_region(problem: str) -> str:
    return textwrap.fill(f"no region: {problem}", 30) if problem else ""


def _write(axis: Axes, words: str) -> None:
    axis.text(0.5, 0.5, words, ha="center", va="center", fontsize=8, transform=axis.transAxes, parse_math=False)


def region_of(values: Map, *, level: float = LEVEL) -> NDArray[np.bool_]:
    """Where a map reaches a share of its maximum: H x W booleans, none of them true for a map of zeros.

    >>> region_of(np.array([[0.2, 0.8], [0.4, 0.0]], dtype=np.float32))
    array([[False,  True],
           [ True, False]])
    """
    inside: NDArray[np.bool_] = (values >= level * values.max()) & (values > 0)
    return inside


def _smooth(values: Map) -> Map:
    """The map, slightly blurred, because outlines around every small spot of a fine map would hide the photo."""
    peak = max(float(values.max()), 1e-12)
    grey = Image.fromarray((values / peak * 255).clip(0, 255).astype(np.uint8))
    blurred = grey.filter(ImageFilter.GaussianBlur(SMOOTHING * min(values.shape)))
    return np.asarray(blurred, dtype=np.float32) / np.float32(255)


def _fitting(region: Map, photo: NDArray[np.float32]) -> Map:
    """The map, after a check that it is of its picture's size."""
    if region.shape != photo.shape[:2]:
        raise InputError(f"the map is {region.shape} and the picture {photo.shape[:2]}; they must be of one size")
    return region


def _short(text: str, most: int) -> str:
    """A text, shortened in the middle if it is wider than this many letters, of which wide ones count twice.

    >>> _short("train/Ruby_throated_Hummingbird/0001.jpg", 20)
    'train/Rub...0001.jpg'
    """
    if cell_len(text) <= most:
        return text
    tail = (most - 3) // 2
    return set_cell_size(text, most - 3 - tail) + "..." + set_cell_size(text[::-1], tail)[::-1]
