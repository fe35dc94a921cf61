"""Boxes, masks and parts in the coordinates of the network's input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskstack.datasets.annotated import AnnotatedImage, Box, Point
from maskstack.datasets.coordinates import SourceCoordinates, Tracer, nearest_pixel, transform_point
from maskstack.datasets.regions import dilated
from maskstack.errors import InputError

Pixels = NDArray[np.bool_]

TOLERANCE = 15
"""Tolerance of the pointing game around the object, in pixels of the image."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Annotations in the coordinates of the network's input of H x W pixels.

    Attributes:
        inside: Union of the boxes, or the mask if there are no boxes, H x W booleans.
        near: The same dilated by the tolerance, H x W booleans.
        boxes: Left, top, right, bottom of each box in pixels of the input, T x 4, without boxes that were cropped away.
        mask: Mask of the objects, H x W booleans; None without masks.
        parts: Position of each part that is still visible, in pixels of the input.
        problem: Why the boxes cannot be right, in a sentence: one lies outside of the image; empty if none does.
    """

    inside: Tensor
    near: Tensor
    boxes: Tensor
    mask: Tensor | None = None
    parts: Mapping[str, Point] = field(default_factory=dict)
    problem: str = ""

    @property
    def share(self) -> float:
        """Share of the input that is inside, 0 to 1."""
        return float(self.inside.float().mean())


class AnnotationTransform:
    """Transforms annotations from coordinates of an image to those of the network's input.

    The transform is measured: test images are sent through the preprocessing, so any preprocessing can be used. The
    result for one size is kept for other images of that size.

    Args:
        preprocess: Function from a PIL image to C x H x W that treats all images of one size in the same way.

    Raises:
        InputError: The result is not C x H x W, or the test images cannot be distinguished in it.
    """

    def __init__(self, preprocess: Callable[[Image.Image], Tensor]) -> None:
        self._tracer = Tracer(preprocess)

    def __call__(self, annotated: AnnotatedImage, picture: Image.Image, *, tolerance: float = TOLERANCE) -> GroundTruth:
        """Transform the annotations of one image.

        Args:
            annotated: The image with its annotations, in pixels of the upright image.
            picture: The result of its ``open``; only its size is used.
            tolerance: Distance by which ``near`` extends beyond ``inside``, in pixels of the image.

        Raises:
            InputError: The tolerance is negative, a mask cannot be read, or the annotations are for another size.
        """
        if not tolerance >= 0:
            raise InputError(f"the tolerance is {tolerance} pixels; it must be 0 or more")
        annotated.check_size(picture.size)
        sources = self._tracer.sources(picture.size)
        whole = annotated.mask(picture.size)
        mask = self._transformed(whole) if whole is not None else None
        inside, near = (np.zeros(sources.x.shape, dtype=bool) for _ in range(2))
        boxes = []
        for box in annotated.boxes:
            pixels = _in_box(box, sources, picture.size)
            inside |= pixels
            if pixels.any():
                near |= pixels | (_distance(box, sources) <= tolerance)
                boxes.append(_bounding_box(pixels))
        if whole is not None and mask is not None and not annotated.boxes:
            inside, near = mask, mask | self._transformed(dilated(whole, tolerance))
        parts = {name: transform_point(point, sources) for name, point in annotated.parts.items()}
        return GroundTruth(
            torch.from_numpy(inside),
            torch.from_numpy(near),
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            torch.from_numpy(mask) if mask is not None else None,
            {name: point for name, point in parts.items() if point is not None},
            _problem(annotated.boxes, picture.size),
        )

    def _transformed(self, mask: Image.Image) -> Pixels:
        pixels: Pixels = self._tracer.apply(mask) > 0.5
        return pixels


def transform_annotations(
    annotated: AnnotatedImage,
    picture: Image.Image,
    preprocess: Callable[[Image.Image], Tensor],
    *,
    tolerance: float = TOLERANCE,
) -> GroundTruth:
    """Transform the annotations of one image; the :class:`AnnotationTransform` of each preprocessing is kept.

    Args:
        annotated: The image with its annotations, in pixels of the upright image.
        picture: The result of its ``open``; only its size is used.
        preprocess: Function from a PIL image to C x H x W that treats all images of one size in the same way.
        tolerance: Distance by which ``near`` extends beyond ``inside``, in pixels of the image.

    Raises:
        InputError: See :class:`AnnotationTransform` and its call.
    """
    try:
        transform = _kept(preprocess)
    except TypeError:  # The preprocessing cannot be hashed.
        transform = AnnotationTransform(preprocess)
    return transform(annotated, picture, tolerance=tolerance)


_kept = lru_cache(8)(AnnotationTransform)


def _distance(box: Box, sources: SourceCoordinates) -> NDArray[np.float32]:
    """Distance in the image from each input pixel's source to the box, 0 inside: H x W."""
    left, top, right, bottom = box
    across = np.maximum(np.maximum(left - sources.x, sources.x - right), 0)
    down = np.maximum(np.maximum(top - sources.y, sources.y - bottom), 0)
    distance: NDArray[np.float32] = np.hypot(across, down)
    return distance


def _in_box(box: Box, sources: SourceCoordinates, size: tuple[int, int]) -> Pixels:
    inside: Pixels = _distance(box, sources) == 0
    if not inside.any():
        # A box may be too small to contain the centre of a pixel.
        left, top, right, bottom = box
        nearest = nearest_pixel(((left + right) / 2, (top + bottom) / 2), sources)
        if nearest and right > max(left, 0) and bottom > max(top, 0) and left < size[0] and top < size[1]:
            inside[nearest] = True
    return inside


def _problem(boxes: Sequence[Box], size: tuple[int, int]) -> str:
    """Which box lies outside of the image. A box without an area is none: some data sets write zeros for no object."""
    for left, top, right, bottom in boxes:
        beside = right <= 0 or bottom <= 0 or left >= size[0] or top >= size[1]
        if beside and right > left and bottom > top:
            return (
                f"the box {left:g}, {top:g}, {right:g}, {bottom:g} lies outside of the image, which has {size[0]} x "
                f"{size[1]} pixels; correct the annotation"
            )
    return ""


def _bounding_box(pixels: Pixels) -> Box:
    down, across = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    return float(across[0]), float(down[0]), float(across[-1] + 1), float(down[-1] + 1)
