"""The position in the image of each pixel of the network's input, measured by preprocessing test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskstack.errors import InputError

Grid = NDArray[np.float32]
Curve = NDArray[np.float64]
Box = tuple[float, float, float, float]

_RAMPS = 3
"""Number of grey ramps along each side. A single ramp would have at most 256 steps, too few for large inputs."""

_LOW, _HIGH = 16, 239
"""Grey values at the ends of a ramp. Sharp filters overshoot there, so 0 and 255 would be clipped."""

_GREYS = tuple(range(0, 256, 51))
_MORE_GREYS = tuple(range(0, 256, 5))
_STRAIGHT = 0.004  # Largest deviation of a tone curve that counts as linear: one step of 8 bits.
_SIDE = 256  # Side in pixels of the test images for the tone curve; the exact value does not matter.
_ALIKE = 1e-6  # Least difference between white and black after the preprocessing.
_SIZES_KEPT = 32
_MOST_MEASURED = 4_000_000  # Largest width x height of a test image.
_BENT = 0.01  # Largest distance from a line, as a share of the image's side.


@dataclass(frozen=True, eq=False)
class SourceCoordinates:
    """Positions in the image of the pixels of the network's input, in pixels of the image.

    Attributes:
        x: Horizontal position of each pixel's centre, H x W; infinite in the padding.
        y: Vertical position, H x W.
        step: Distance in the image between neighbouring pixels of a row and of a column of the input.
        rounding: Largest error of x and y.
    """

    x: Grid
    y: Grid
    step: tuple[float, float]
    rounding: tuple[float, float]


class Tracer:
    """Measures the geometry of an unknown preprocessing with test images.

    The preprocessing may resize, crop, pad, flip, rotate, normalise, and change brightness and contrast, as long as it
    treats all images of one size in the same way.

    Args:
        preprocess: Function from a PIL image to C x H x W.

    Raises:
        InputError: The result is not C x H x W, or its values do not increase (or decrease) from black to white.
    """

    def __init__(self, preprocess: Callable[[Image.Image], Tensor]) -> None:
        self._preprocess = preprocess
        black, white = (self._send(Image.new("L", (_SIDE, _SIDE), grey)) for grey in (0, 255))
        self._channel = int(np.abs(white - black).mean(axis=(1, 2)).argmax())
        span = np.abs(_contrast(black[self._channel], white[self._channel]))
        seen = span > span.max() / 2  # Padding is the same for all grey values.
        self._greys, self._tones = self._shades(_GREYS, seen)
        if np.abs(self._tones - self._greys).max() > _STRAIGHT:
            self._greys, self._tones = self._shades(_MORE_GREYS, seen)
        self._ends = lru_cache(_SIZES_KEPT)(self._black_and_white)
        self.sources = lru_cache(_SIZES_KEPT)(self._measure)

    def apply(self, drawing: Image.Image) -> Grid:
        """Preprocess a grey image and map the result back to grey values.

        Args:
            drawing: Image of mode L, of the size of the photograph.

        Returns:
            H x W, from 0 for black to 1 for white; 0 in the padding.
        """
        black, span = self._ends(drawing.size)
        seen = span != 0
        share = np.divide(self._send(drawing)[self._channel] - black, span, out=np.zeros_like(span), where=seen)
        values: Grid = np.interp(share, self._tones, self._greys).astype(np.float32)
        return values

    def _shades(self, greys: Sequence[int], seen: NDArray[np.bool_]) -> tuple[Curve, Curve]:
        """The tone curve: grey values and the values after the preprocessing, both from 0 for black to 1 for white."""
        shown = [self._send(Image.new("L", (_SIDE, _SIDE), grey))[self._channel] for grey in greys]
        values = np.array([np.median(each[seen]) for each in shown], dtype=np.float64)
        tones = (values - values[0]) / (values[-1] - values[0])
        if not (np.diff(tones) > 0).all():
            raise InputError(
                "the preprocessing does not keep the order of grey values, so its geometry cannot be measured; "
                "use one that only crops, resizes and normalises"
            )
        return np.array(greys) / greys[-1], tones

    def _measure(self, size: tuple[int, int]) -> SourceCoordinates:
        """Source coordinates for images of a width and height; ``sources`` is the same with a cache."""
        width, height = size
        padding = self._ends(size)[1] == 0
        x, y = (np.zeros(padding.shape, np.float32) for _ in range(2))
        for ramp in range(_RAMPS):
            across, down = (_ramp(length, ramp) for length in (width, height))
            x += self._height(np.tile(across, (height, 1))) * (width / _RAMPS)
            y += self._height(np.tile(down[:, None], (1, width))) * (height / _RAMPS)
        x[padding] = y[padding] = np.inf
        # Values are rounded twice: when the ramp is drawn and when it is resized.
        rounding = (width / _RAMPS / (_HIGH - _LOW), height / _RAMPS / (_HIGH - _LOW))
        return SourceCoordinates(x, y, (_step(x, y, axis=1), _step(x, y, axis=0)), rounding)

    def _height(self, ramp: NDArray[np.uint8]) -> Grid:
        """Height of a ramp at each pixel, from 0 to 1, H x W."""
        risen: Grid = (self.apply(Image.fromarray(ramp)) * 255 - _LOW) / np.float32(_HIGH - _LOW)
        return risen

    def _black_and_white(self, size: tuple[int, int]) -> tuple[Grid, Grid]:
        """The result for black and the difference of white to it, 0 in the padding: both H x W."""
        black, white = (self._send(Image.new("L", size, grey))[self._channel] for grey in (0, 255))
        span = _contrast(black, white)
        span[np.abs(span) < np.abs(span).max() / 2] = 0
        return black, span

    def _send(self, drawing: Image.Image) -> Grid:
        result = self._preprocess(drawing.convert("RGB"))
        if not isinstance(result, Tensor) or result.ndim != 3:
            shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise InputError(f"the preprocessing gives {shape} for an image; it must give channels x height x width")
        values: Grid = result.detach().cpu().float().numpy()
        return values


def _contrast(black: Grid, white: Grid) -> Grid:
    """What white images have more than black ones, at each pixel."""
    span: Grid = white - black
    if not np.abs(span).max() > _ALIKE:
        raise InputError(
            "the preprocessing gives the same result for white and black, so its geometry cannot be measured; "
            "use one that only crops, resizes and normalises"
        )
    return span


def _ramp(length: int, number: int) -> NDArray[np.uint8]:
    """Grey values of one of several ramps whose sum rises linearly along the centres of the pixels."""
    places = (np.arange(length) + 0.5) / length
    risen = np.clip(places * _RAMPS - number, 0, 1)
    return np.rint(_LOW + risen * (_HIGH - _LOW)).astype(np.uint8)


def _step(x: Grid, y: Grid, *, axis: int) -> float:
    if x.shape[axis] < 2:
        return 1.0
    with np.errstate(invalid="ignore"):
        steps = np.hypot(np.diff(x, axis=axis), np.diff(y, axis=axis))
    steps = steps[np.isfinite(steps)]
    return float(steps.mean()) if steps.size else 1.0


def traced_box(preprocess: Callable[[Image.Image], Tensor], size: tuple[int, int]) -> Box | None:
    """The rectangle of an image that the network's input shows, measured with test images.

    Args:
        preprocess: Function from a PIL image to C x H x W that treats all images of one size in the same way.
        size: Width and height of the image.

    Returns:
        Left, top, right and bottom edge of the input in pixels of the image, see
        :class:`maskstack.geometry.Geometry`; None if the preprocessing turns or bends the image.

    Raises:
        InputError: See :class:`Tracer`.
    """
    # Larger images are measured at a smaller size: a rectangle differs only by the rounding of their sides.
    scale = max(1.0, math.sqrt(size[0] * size[1] / _MOST_MEASURED))
    small = max(round(size[0] / scale), 1), max(round(size[1] / scale), 1)
    sources = Tracer(preprocess).sources(small)
    across = _straight(sources.x, sources.rounding[0] + small[0] * _BENT)
    down = _straight(sources.y.T, sources.rounding[1] + small[1] * _BENT)
    if across is None or down is None:
        return None
    wide, tall = size[0] / small[0], size[1] / small[1]
    return across[0] * wide, down[0] * tall, across[1] * wide, down[1] * tall


def _straight(places: Grid, tolerance: float) -> tuple[float, float] | None:
    """Both edges of a line through the positions of the columns, H x W; None if they are not on a line."""
    seen = np.isfinite(places)
    rows, columns = np.nonzero(seen)
    if len(np.unique(columns)) < 2:
        return None
    slope, start = np.polyfit(columns + 0.5, places[rows, columns], 1)
    if slope == 0 or np.abs(start + slope * (columns + 0.5) - places[rows, columns]).max() > tolerance:
        return None
    return float(start), float(start + slope * places.shape[1])
