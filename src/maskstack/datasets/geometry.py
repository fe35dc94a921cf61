"""Boxes, masks and parts carried to where the network sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskstack.datasets.annotated import AnnotatedImage, Box, Point
from maskstack.datasets.coordinates import Origins, Tracer
from maskstack.datasets.dilation import dilated
from maskstack.datasets.points import carried_point, nearest_pixel
from maskstack.errors import InputError

Pixels = NDArray[np.bool_]

TOLERANCE = 15
"""Pixels of the picture that the pointing game allows beside the object."""


@dataclass(frozen=True, eq=False)
class Truth:
    """Where things are in the network's input, of H x W pixels.

    Attributes:
        inside: H x W booleans, the union of the boxes; of the mask if there are no boxes.
        near: H x W booleans, the same grown by the tolerance to all sides.
        boxes: T x 4, left, top, right, bottom, in pixels of the input; boxes that were cut away are left out.
        mask: H x W booleans; None without masks.
        parts: Place of each part still visible, in pixels of the input.
    """

    inside: Tensor
    near: Tensor
    boxes: Tensor
    mask: Tensor | None = None
    parts: Mapping[str, Point] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The part of the input that is inside, 0 to 1."""
        return float(self.inside.float().mean())


class Carrier:
    """Carries annotations the way of the photograph through a preprocessing, whatever it does.

    It sends drawings through it, so that no geometry is written twice. What it finds for one size of pictures it
    keeps for others of that size.

    Args:
        preprocess: From a picture to C x H x W, always in the same way for pictures of the same size.

    Raises:
        InputError: Its result is not C x H x W, or drawings cannot be told apart in it.
    """

    def __init__(self, preprocess: Callable[[Image.Image], Tensor]) -> None:
        self._tracer = Tracer(preprocess)

    def carry(self, annotated: AnnotatedImage, picture: Image.Image, *, tolerance: float = TOLERANCE) -> Truth:
        """Where an image's annotations are in the network's input.

        Args:
            annotated: The image; its coordinates are those of the upright picture.
            picture: What its ``open`` gave; only the size counts.
            tolerance: Pixels of the picture by which ``near`` is larger than ``inside``.

        Raises:
            InputError: The tolerance is negative, or a mask cannot be read.
        """
        if not tolerance >= 0:
            raise InputError(f"the tolerance is {tolerance} pixels; it must be 0 or more")
        origins = self._tracer.origins(picture.size)
        whole = annotated.mask(picture.size)
        mask = self._drawn(whole) if whole is not None else None
        inside, near = (np.zeros(origins.x.shape, dtype=bool) for _ in range(2))
        boxes = []
        for box in annotated.boxes:
            pixels = _in_box(box, origins, picture.size)
            inside |= pixels
            if pixels.any():
                near |= pixels | (_distance(box, origins) <= tolerance)
                boxes.append(_around(pixels))
        if whole is not None and mask is not None and not annotated.boxes:
            inside, near = mask, mask | self._drawn(dilated(whole, tolerance))
        parts = {name: carried_point(point, origins) for name, point in annotated.parts.items()}
        return Truth(
            torch.from_numpy(inside),
            torch.from_numpy(near),
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            torch.from_numpy(mask) if mask is not None else None,
            {name: point for name, point in parts.items() if point is not None},
        )

    def _drawn(self, drawing: Image.Image) -> Pixels:
        pixels: Pixels = self._tracer.follow(drawing) > 0.5
        return pixels


def carry(
    annotated: AnnotatedImage,
    picture: Image.Image,
    preprocess: Callable[[Image.Image], Tensor],
    *,
    tolerance: float = TOLERANCE,
) -> Truth:
    """Where an image's annotations are in the network's input; a :class:`Carrier` is kept for each preprocessing.

    Args:
        annotated: The image; its coordinates are those of the upright picture.
        picture: What its ``open`` gave; only the size counts.
        preprocess: From a picture to C x H x W, always in the same way for pictures of the same size.
        tolerance: Pixels of the picture by which ``near`` is larger than ``inside``.

    Raises:
        InputError: As from :class:`Carrier` and its ``carry``.
    """
    try:
        carrier = _kept(preprocess)
    except TypeError:  # It cannot be hashed.
        carrier = Carrier(preprocess)
    return carrier.carry(annotated, picture, tolerance=tolerance)


_kept = lru_cache(8)(Carrier)


def _distance(box: Box, origins: Origins) -> NDArray[np.float32]:
    """Pixels of the picture from each pixel's origin to the box, 0 inside: H x W."""
    left, top, right, bottom = box
    across = np.maximum(np.maximum(left - origins.x, origins.x - right), 0)
    down = np.maximum(np.maximum(top - origins.y, origins.y - bottom), 0)
    distance: NDArray[np.float32] = np.hypot(across, down)
    return distance


def _in_box(box: Box, origins: Origins, size: tuple[int, int]) -> Pixels:
    inside: Pixels = _distance(box, origins) == 0
    if not inside.any():
        # A box may be too small to hold the centre of a pixel.
        left, top, right, bottom = box
        nearest = nearest_pixel(((left + right) / 2, (top + bottom) / 2), origins)
        if nearest and right > max(left, 0) and bottom > max(top, 0) and left < size[0] and top < size[1]:
            inside[nearest] = True
    return inside


def _around(pixels: Pixels) -> Box:
    down, across = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    return float(across[0]), float(down[0]), float(across[-1] + 1), float(down[-1] + 1)
