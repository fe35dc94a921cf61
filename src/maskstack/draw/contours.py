"""The contour of a region: a light line on a dark one, which is visible on every photo."""

from __future__ import annotations

import math
from typing import Any

import contourpy
import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from PIL import Image

from maskstack.errors import InputError
from maskstack.geometry import Geometry

DARK, LIGHT = (0, 0, 0), (255, 255, 255)
"""Colours of the two lines. On any colour, at least one of them has a contrast of 4.5 : 1."""

SPECK = 1 / 1500
"""Least area of an outline that is drawn, as a share of the network's input; smaller ones are specks."""


def outlines(region: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """The closed outlines of a region, holes included, without specks smaller than :data:`SPECK`.

    Args:
        region: H x W.

    Returns:
        x and y of the points of each outline, in pixels whose top left corner is 0, 0: N x 2 each.

    Raises:
        InputError: The region is not H x W.
    """
    if region.ndim != 2:
        raise InputError(f"the region has shape {region.shape}; it must be H x W")
    # Rounding the corners of the pixels by a small blur keeps the outline where it is.
    field = np.pad(region.astype(np.float64), 3)
    for axis in (0, 1, 0, 1):
        field = (np.roll(field, 1, axis) + 2 * field + np.roll(field, -1, axis)) / 4
    lines = contourpy.contour_generator(z=field).lines(0.5)
    found = [np.asarray(line, dtype=np.float64) - 2.5 for line in lines]  # Centres of pixels are at one half.
    return [line for line in found if _area(line) >= max(SPECK * region.size, 2)]


def _area(line: NDArray[np.float64]) -> float:
    x, y = line.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def line_width(size: tuple[int, int]) -> float:
    """Width in pixels of the light line on a picture of this height and width."""
    return max(1.2, math.sqrt(size[0] * size[1]) / 220)


def draw_contour(picture: Image.Image, region: NDArray[np.bool_], geometry: Geometry, *, thin: bool = False) -> None:
    """Draw the contour of a region onto a picture.

    Args:
        picture: RGB picture of the photo, which is changed.
        region: Region in the network's input, H x W.
        geometry: Where the network's input lies in the picture.
        thin: Whether the lines have half of the usual width, as those of an inner core.
    """
    light = line_width(geometry.photo) * (0.5 if thin else 1.0)
    light = max(light, 0.8)
    edge = max(light, 1.0)  # Width of the dark line on each side.
    left, top, right, bottom = geometry.seen()
    inset = light / 2 + edge
    low, high = np.array([left, top]) + inset, np.array([right, bottom]) - inset
    lines = [np.minimum(np.maximum(geometry.to_photo(line), low), np.maximum(high, low)) for line in outlines(region)]
    if not lines:
        return
    # Only the part of the picture in which the lines lie is drawn to.
    points = np.concatenate(lines)
    corner = np.floor(points.min(axis=0) - 2 * inset).astype(int).clip(min=0)
    end = np.ceil(points.max(axis=0) + 2 * inset).astype(int).clip(max=picture.size)
    for colour, width in ((DARK, light + 2 * edge), (LIGHT, light)):
        mask = _drawn([line - corner for line in lines], tuple(end - corner), width)
        picture.paste(colour, tuple(corner.tolist()), mask)


def _drawn(lines: list[NDArray[np.float64]], size: tuple[int, int], width: float) -> Image.Image:
    """The lines with smooth edges, as a mask of this width and height."""
    make: Any = RendererAgg  # without types
    renderer = make(*size, 72)
    pen = renderer.new_gc()
    pen.set_linewidth(width)
    pen.set_joinstyle("round")
    pen.set_foreground((1, 1, 1, 1))
    downwards = Affine2D().scale(1, -1).translate(0, size[1])  # Agg counts from the bottom.
    for line in lines:
        renderer.draw_path(pen, Path(np.concatenate([line, line[:2]])), downwards)
    return Image.fromarray(np.asarray(renderer.buffer_rgba())[..., 3].copy())
