"""Drawing a map and its region over the photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskstack.checks import did_you_mean, one_of, share
from maskstack.draw.badges import DO_NOT_USE, Corner, draw_badge
from maskstack.draw.contours import draw_contour, line_width, outlines
from maskstack.errors import InputError
from maskstack.geometry import Geometry

COLOURS = "magma"
"""Name of the colour map, which is perceptually uniform and readable without colour vision."""

Style = Literal["contour", "heat", "masked"]

OPACITY = {"contour": 0.35, "heat": 0.75, "masked": 0.85}
"""The styles, and the opacity of the colours, or of the veil over what is not the region, by default."""

HALF = 0.5
"""A map's own region, where none is given: the pixels from this share of its maximum."""

LEAST_SIDE = 320
"""Least number of pixels of the longer side in figures and galleries, so that the outline does not cover the photo."""

_VEIL, _HATCH = (128, 128, 128), (95, 95, 95)
_HIGHEST, _LEAST = 0.99, 1e-3  # Quantile that is drawn as the highest value, and its least value.
_VEILED = 0.5  # Opacity of the veil over what the network did not see.


def as_rgb(image: Any) -> NDArray[np.float32]:
    """An image as H x W x 3 floats in [0, 1].

    Args:
        image: PIL image, or array of H x W, H x W x 1 or H x W x 3; integers range to 255, floats to 1.

    Raises:
        InputError: The array has another shape.
    """
    if isinstance(image, Image.Image):
        image = image.convert("RGB")
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise InputError(f"the image has shape {tuple(np.shape(image))}; give H x W, H x W x 1 or H x W x 3")
    scale = 255.0 if np.issubdtype(array.dtype, np.integer) else 1.0
    return np.broadcast_to(np.clip(array / scale, 0, 1), (*array.shape[:2], 3)).astype(np.float32)


def overlay(
    image: Any,
    saliency: NDArray[np.float32],
    *,
    geometry: Geometry | None = None,
    region: NDArray[np.bool_] | None = None,
    core: NDArray[np.bool_] | None = None,
    style: Style = "contour",
    opacity: float | None = None,
    colours: str = COLOURS,
    word: str = "",
    lines: Sequence[str] = (),
    badge: bool = True,
) -> Image.Image:
    """Draw a map and its region over the photo.

    ``contour`` draws the region's outline over the photo, lightly coloured where the map is high; ``heat`` draws the
    colours more strongly and no outline. A map whose region consists of specks too small for an outline, such as one of
    single pixels, is drawn as ``heat``, with its 99th percentile as the highest value. ``masked`` hides everything but
    the region. What the network did not see is veiled and hatched. The picture has the photo's size, or
    :data:`maskstack.geometry.MOST_PIXELS` if that is smaller.

    Args:
        image: The photo, or the image that the network sees: PIL image or array, see :func:`as_rgb`.
        saliency: Map of the network's input, H x W in [0, 1].
        geometry: Where the network's input lies in the photo; None if it is the whole image at its own size.
        region: The region, H x W; where the map is at least half of its maximum if not given.
        core: An inner part of the region, H x W, which gets a thinner outline.
        style: ``contour``, ``heat`` or ``masked``.
        opacity: Opacity of the colours where the map is 1, or of the veil; :data:`OPACITY` if not given.
        colours: Name of a matplotlib colour map.
        word: The verdict. It is written into a corner where it covers no part of the region, if there is one. A map
            with the verdict ``do not use`` is drawn as an outline without colours, unless it consists of specks.
        lines: Further lines below the verdict.
        badge: Whether the verdict is written.

    Raises:
        InputError: The sizes do not fit, or an option cannot be used.
    """
    check_style(style, opacity, colours)
    photo, place = framed(image, saliency, geometry)
    region = saliency >= HALF * max(float(saliency.max()), 1e-6) if region is None else region.astype(bool)
    specks = bool(region.any()) and not outlines(region)
    if style == "contour" and specks:
        style, saliency = "heat", saliency / max(float(np.quantile(saliency, _HIGHEST)), _LEAST)
    elif style == "heat" and word == DO_NOT_USE and not specks:
        style = "contour"  # without colours, only an outline shows where the map is
    strength = OPACITY[style] if opacity is None else opacity
    shown = place.carry_back(saliency)
    if style == "masked":
        outside = 1 - np.clip(place.carry_back(region.astype(np.float32)), 0, 1)
        picture = Image.composite(_pale(photo), photo, _alpha(outside, strength))
    elif word == DO_NOT_USE and not specks:
        picture = photo.copy()
    else:
        # Low values of most colour maps are dark; with an outline they are hardly drawn, so that the photo stays light.
        tint = shown if style == "heat" else np.clip(shown, 0, 1) ** 1.5
        picture = Image.composite(coloured(shown, colours), photo, _alpha(tint, strength))
    _veil_unseen(picture, place)
    if style != "heat":
        draw_contour(picture, region, place)
        if core is not None and core.any():
            draw_contour(picture, core.astype(bool), place, thin=True)
    if word and badge:
        outlined = place.carry_back(region.astype(np.float32)) > HALF
        draw_badge(picture, word, lines, corners=_corners(shown), keep_free=outlined)
    return picture


def check_style(style: str, opacity: float | None, colours: str) -> None:
    """Check the options of a drawing.

    Raises:
        InputError: There is no such style or colour map, or the opacity is not from 0 to 1.
    """
    one_of("style", style, OPACITY)
    if opacity is not None:
        share("opacity", opacity, zero=True, one=True)
    if colours not in matplotlib.colormaps:
        guess = did_you_mean(colours, list(matplotlib.colormaps)).strip()
        raise InputError(
            f"colours is {colours!r}, which is not a colour map of matplotlib; "
            f"{guess or 'give inferno, viridis, cividis or magma'}"
        )


def framed(image: Any, saliency: NDArray[np.float32], geometry: Geometry | None) -> tuple[Image.Image, Geometry]:
    """The photo as an RGB picture of the size it is drawn at, and the geometry of that picture.

    Raises:
        InputError: The photo does not have the size that the geometry or the map says.
    """
    picture = image.convert("RGB") if isinstance(image, Image.Image) else None
    if picture is None:
        picture = Image.fromarray((as_rgb(image) * 255).round().astype(np.uint8))
    size = (picture.height, picture.width)
    if geometry is None:
        if saliency.shape != size:
            raise InputError(f"the map is {saliency.shape} and the photo {size}; they must have the same size")
        geometry = Geometry.whole(size)
    elif geometry.photo != size:
        raise InputError(f"the photo is {size}, but the explained photo was {geometry.photo}; give that photo")
    drawn = geometry.drawn
    if drawn != size:
        picture = picture.resize((drawn[1], drawn[0]), Image.Resampling.BOX)
    return picture, geometry.scaled(drawn)


def bounded(
    image: Any, saliency: NDArray[np.float32], geometry: Geometry | None, side: int
) -> tuple[Image.Image, Geometry]:
    """As :func:`framed`, but the longer side has at most ``side`` pixels."""
    photo, place = framed(image, saliency, geometry)
    scale = side / max(photo.size)
    if scale >= 1:
        return photo, place
    size = max(round(photo.width * scale), 1), max(round(photo.height * scale), 1)
    return photo.resize(size, Image.Resampling.BOX), place.scaled((size[1], size[0]))


def enlarged(photo: Image.Image, place: Geometry) -> tuple[Image.Image, Geometry]:
    """A photo below :data:`LEAST_SIDE` with each pixel as a square of several, and its geometry; others as they are."""
    times = -(-LEAST_SIDE // max(photo.size))
    if times == 1:
        return photo, place
    width, height = photo.width * times, photo.height * times
    return photo.resize((width, height), Image.Resampling.NEAREST), place.scaled((height, width))


def coloured(values: NDArray[np.float32], colours: str) -> Image.Image:
    """Values from 0 to 1, H x W, as an RGB picture in a colour map's colours; other values are clipped."""
    palette = (matplotlib.colormaps[colours](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    picture = _alpha(values, 1.0)
    picture.putpalette(palette.tobytes())
    return picture.convert("RGB")


def _alpha(values: NDArray[np.float32], strength: float) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * (255 * strength)).round().astype(np.uint8))


def _pale(photo: Image.Image) -> Image.Image:
    """A light grey version of the photo, in which it can hardly be recognised."""
    return Image.blend(photo.convert("L").convert("RGB"), Image.new("RGB", photo.size, (236, 236, 236)), 0.8)


def _veil_unseen(picture: Image.Image, place: Geometry) -> None:
    """Veil and hatch what the network did not see, and draw the edge of what it saw."""
    height, width = place.photo
    left, top, right, bottom = place.seen()
    if (left, top, right, bottom) == (0, 0, width, height):
        return
    line = max(round(line_width(place.photo)), 1)
    period = max(10 * line, 12)
    pen = ImageDraw.Draw(picture)
    for box in ((0, 0, width, top), (0, bottom, width, height), (0, top, left, bottom), (right, top, width, bottom)):
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        part = picture.crop(box)
        part = Image.blend(part, Image.new("RGB", part.size, _VEIL), _VEILED)
        across, down = np.arange(box[0], box[2]), np.arange(box[1], box[3])
        hatched = (np.add.outer(down, across) % period < line).astype(np.uint8) * 255
        part.paste(_HATCH, mask=Image.fromarray(hatched))
        picture.paste(part, box[:2])
    pen.rectangle((left - 1, top - 1, right, bottom), outline=(255, 255, 255))


def _corners(shown: NDArray[np.float32]) -> list[Corner]:
    """The corners, those where the map is lowest first."""
    height, width = (max(side // 3, 1) for side in shown.shape)
    places: dict[Corner, NDArray[np.float32]] = {
        (False, True): shown[-height:, :width],
        (False, False): shown[:height, :width],
        (True, True): shown[-height:, -width:],
        (True, False): shown[:height, -width:],
    }
    return sorted(places, key=lambda corner: round(float(places[corner].mean()), 2))
