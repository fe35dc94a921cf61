"""From where in the picture each pixel of the network's input comes, found by sending drawings the same way."""

from __future__ import annotations

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

_RAMPS = 3
"""Ramps along each side. One from black to white would give places in 256 steps, too coarse for large inputs."""

_LOW, _HIGH = 16, 239
"""Greys between which ramps rise: sharp filters overshoot where one ends, and must not be cut off there."""

_GREYS = tuple(range(0, 256, 51))
_MORE_GREYS = tuple(range(0, 256, 5))
_STRAIGHT = 0.004  # How far greys may be from where they lie on a straight line: a step of 8 bits.
_SIDE = 256  # Pixels of the pictures that show how greys come out; any would do.
_ALIKE = 1e-6  # Least difference between white and black.
_SIZES_KEPT = 32


@dataclass(frozen=True, eq=False)
class Origins:
    """Places in the picture of the pixels of the network's input.

    Attributes:
        x: H x W, pixels of the picture across, at each pixel's centre; infinite where it is padding.
        y: H x W, down.
        step: Distance in the picture between neighbouring pixels, across and down the network's input.
        rounding: How far x and y may be off, in pixels of the picture.
    """

    x: Grid
    y: Grid
    step: tuple[float, float]
    rounding: tuple[float, float]


class Tracer:
    """Follows drawings through a preprocessing nothing is known of.

    It may resize, crop, pad, flip, turn and normalise, and change brightness and contrast, always in the same way for
    pictures of the same size.

    Args:
        preprocess: From a picture to C x H x W.

    Raises:
        InputError: Its result is not C x H x W, or black, greys and white do not come out one above the other.
    """

    def __init__(self, preprocess: Callable[[Image.Image], Tensor]) -> None:
        self._preprocess = preprocess
        black, white = (self._send(Image.new("L", (_SIDE, _SIDE), grey)) for grey in (0, 255))
        span = white - black
        self._channel = int(np.abs(span).mean(axis=(1, 2)).argmax())
        span = np.abs(span[self._channel])
        if not span.max() > _ALIKE:
            raise InputError("white and black come out alike from the preprocessing, so that no drawing can follow it")
        seen = span > span.max() / 2  # Padding says nothing of greys.
        self._greys, self._tones = self._shades(_GREYS, seen)
        if np.abs(self._tones - self._greys).max() > _STRAIGHT:
            self._greys, self._tones = self._shades(_MORE_GREYS, seen)
        self._ends = lru_cache(_SIZES_KEPT)(self._black_and_white)
        self.origins = lru_cache(_SIZES_KEPT)(self._origins)

    def follow(self, drawing: Image.Image) -> Grid:
        """Where a drawing comes out.

        Args:
            drawing: Mode L, as large as the picture.

        Returns:
            H x W, 0 for black to 1 for white; 0 where there is padding.
        """
        black, span = self._ends(drawing.size)
        seen = span != 0
        share = np.divide(self._send(drawing)[self._channel] - black, span, out=np.zeros_like(span), where=seen)
        values: Grid = np.interp(share, self._tones, self._greys).astype(np.float32)
        return values

    def _shades(self, greys: Sequence[int], seen: NDArray[np.bool_]) -> tuple[Curve, Curve]:
        """Greys, and what becomes of them, both from 0 for black to 1 for white."""
        shown = [self._send(Image.new("L", (_SIDE, _SIDE), grey))[self._channel] for grey in greys]
        values = np.array([np.median(each[seen]) for each in shown], dtype=np.float64)
        tones = (values - values[0]) / (values[-1] - values[0])
        if not (np.diff(tones) > 0).all():
            raise InputError(
                "greys do not come out one above the other from the preprocessing, so no drawing can follow"
            )
        return np.array(greys) / greys[-1], tones

    def _origins(self, size: tuple[int, int]) -> Origins:
        """From where each pixel comes, for pictures of a width and height; also as ``origins``, which remembers."""
        width, height = size
        padding = self._ends(size)[1] == 0
        x, y = (np.zeros(padding.shape, np.float32) for _ in range(2))
        for ramp in range(_RAMPS):
            across, down = (_ramp(length, ramp) for length in (width, height))
            x += self._risen(np.tile(across, (height, 1))) * (width / _RAMPS)
            y += self._risen(np.tile(down[:, None], (1, width))) * (height / _RAMPS)
        x[padding] = y[padding] = np.inf
        # Once when the ramp is drawn, once when it is resized.
        rounding = (width / _RAMPS / (_HIGH - _LOW), height / _RAMPS / (_HIGH - _LOW))
        return Origins(x, y, (_step(x, y, axis=1), _step(x, y, axis=0)), rounding)

    def _risen(self, ramp: NDArray[np.uint8]) -> Grid:
        """How far a ramp has risen at each pixel, H x W."""
        risen: Grid = (self.follow(Image.fromarray(ramp)) * 255 - _LOW) / np.float32(_HIGH - _LOW)
        return risen

    def _black_and_white(self, size: tuple[int, int]) -> tuple[Grid, Grid]:
        """What black becomes, and how far white is above it, 0 at padding: both H x W."""
        black, white = (self._send(Image.new("L", size, grey))[self._channel] for grey in (0, 255))
        span = white - black
        if not np.abs(span).max() > _ALIKE:
            raise InputError("white and black come out alike from the preprocessing, so that no drawing can follow it")
        span[np.abs(span) < np.abs(span).max() / 2] = 0
        return black, span

    def _send(self, drawing: Image.Image) -> Grid:
        result = self._preprocess(drawing.convert("RGB"))
        if not isinstance(result, Tensor) or result.ndim != 3:
            shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise InputError(f"the preprocessing gives {shape} for a picture; it must give channels x height x width")
        values: Grid = result.detach().cpu().float().numpy()
        return values


def _ramp(length: int, number: int) -> NDArray[np.uint8]:
    """Greys of one of several ramps that together rise steadily along the centres of the pixels."""
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
