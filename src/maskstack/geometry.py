"""Where the network's input lies in the photo, and maps carried back into the photo's frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstack.errors import WRONG_VALUE, InputError

MOST_PIXELS = 16_000_000
"""Largest width x height of a picture; larger photos are drawn smaller."""

LITTLE = 0.5
"""A network that sees less than this share of a photo is said to."""


def of_photo(share: float) -> str:
    """A share of a photo in words.

    >>> of_photo(0.137), of_photo(0.004)
    ('14%', 'under 1%')
    """
    return "under 1%" if 0 < share < 0.005 else f"{share:.0%}"


@dataclass(frozen=True)
class Geometry:
    """The rectangle of the photo that the network's input shows.

    Attributes:
        photo: Height and width of the upright photo, in pixels.
        size: Height and width of the network's input.
        box: Left, top, right and bottom edge of the network's input, in pixels of the photo. Edges outside of the
            photo are padding. Left is greater than right if the input is mirrored, and top than bottom if it is
            upside down.

    Raises:
        InputError: A size is not positive, or the box is empty, not finite or wholly outside of the photo.
    """

    photo: tuple[int, int]
    size: tuple[int, int]
    box: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        if min(*self.photo, *self.size) < 1 or not all(map(math.isfinite, self.box)) or left == right or top == bottom:
            raise InputError(f"the photo {self.photo}, size {self.size} and box {self.box} are not those of an image")
        height, width = self.photo
        if max(left, right) <= 0 or max(top, bottom) <= 0 or min(left, right) >= width or min(top, bottom) >= height:
            raise InputError(f"the box {self.box} shows nothing of the photo of {width} x {height} pixels")

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Geometry:
        """An image that the network sees as it is.

        Args:
            size: Its height and width.
        """
        return cls(size, size, (0.0, 0.0, float(size[1]), float(size[0])))

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Geometry:
        """The geometry that :meth:`as_dict` described.

        Raises:
            InputError: The values are not those of a geometry.
        """
        try:
            (height, width), (tall, wide) = values["photo"], values["size"]
            left, top, right, bottom = (float(edge) for edge in values["box"])
            return cls((int(height), int(width)), (int(tall), int(wide)), (left, top, right, bottom))
        except WRONG_VALUE as error:
            raise InputError(f"{values!r} does not describe the geometry of a photo") from error

    def as_dict(self) -> dict[str, Any]:
        """The geometry as JSON can hold it."""
        return {name: list(value) for name, value in asdict(self).items()}

    @property
    def drawn(self) -> tuple[int, int]:
        """Height and width of a picture of the photo: its own, or smaller if it exceeds :data:`MOST_PIXELS`.

        >>> Geometry.whole((300, 400)).drawn, Geometry.whole((8000, 8000)).drawn
        ((300, 400), (4000, 4000))
        """
        height, width = self.photo
        scale = min(1.0, math.sqrt(MOST_PIXELS / (height * width)))
        return max(int(height * scale), 1), max(int(width * scale), 1)

    def scaled(self, photo: tuple[int, int]) -> Geometry:
        """The geometry of the same photo at another size.

        Args:
            photo: Height and width of the resized photo.
        """
        tall, wide = photo[0] / self.photo[0], photo[1] / self.photo[1]
        left, top, right, bottom = self.box
        return Geometry(photo, self.size, (left * wide, top * tall, right * wide, bottom * tall))

    def seen(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the photo's pixels of which the network saw at least half; at least one."""
        height, width = self.photo
        left, right = _pixels(self.box[0], self.box[2], width)
        top, bottom = _pixels(self.box[1], self.box[3], height)
        return left, top, right, bottom

    @property
    def seen_share(self) -> float:
        """Share of the photo that the network saw."""
        left, top, right, bottom = self.seen()
        return (right - left) * (bottom - top) / (self.photo[0] * self.photo[1])

    def carry_back(self, values: NDArray[Any], *, outside: float = 0.0) -> NDArray[np.float32]:
        """A map of the network's input in the photo's frame.

        Args:
            values: Map of the network's input, H x W.
            outside: Value of the pixels that the network did not see.

        Returns:
            Map of the photo's height and width. It is interpolated linearly, and averaged where the photo is smaller
            than the network's input.

        Raises:
            InputError: The map does not have the size of the network's input.
        """
        if values.shape != self.size:
            raise InputError(f"the map is {values.shape}; it must be {self.size}, the size of the network's input")
        left, top, right, bottom = self.seen()
        across, values = _edges(self.box[0], self.box[2], left, right, np.asarray(values, np.float32))
        down, turned = _edges(self.box[1], self.box[3], top, bottom, values.T)
        source = Image.fromarray(np.ascontiguousarray(turned.T))
        shown = source.resize(
            (right - left, bottom - top), Image.Resampling.BILINEAR, box=(across[0], down[0], across[1], down[1])
        )
        found = np.full(self.photo, outside, np.float32)
        found[top:bottom, left:right] = np.asarray(shown)
        return found

    def to_photo(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions in the photo of positions in the network's input.

        Args:
            points: x and y in pixels of the network's input, whose top left corner is 0, 0: N x 2.
        """
        left, top, right, bottom = self.box
        scale = np.array([(right - left) / self.size[1], (bottom - top) / self.size[0]])
        return np.asarray(points * scale + np.array([left, top]))


def _pixels(one: float, other: float, length: int) -> tuple[int, int]:
    """First pixel of a side of the photo that is at least half within two edges, and the one after the last."""
    low, high = sorted((one, other))
    first = min(max(math.ceil(low - 0.5), 0), length - 1)
    return first, max(min(math.floor(high + 0.5), length), first + 1)


def _edges(
    start: float, end: float, first: int, last: int, values: NDArray[np.float32]
) -> tuple[tuple[float, float], NDArray[np.float32]]:
    """Where two edges of the photo lie along the columns of a map, and the map, mirrored and extended to reach them."""
    columns = values.shape[1]
    if end < start:
        values, start, end = values[:, ::-1], end, start
    low, high = ((edge - start) / (end - start) * columns for edge in (first, last))
    # A pixel of which the network saw only a part extends beyond the map.
    before, after = max(math.ceil(-low), 0), max(math.ceil(high - columns), 0)
    if before or after:
        values = np.pad(values, ((0, 0), (before, after)), mode="edge")
    return (low + before, min(high + before, float(values.shape[1]))), values
