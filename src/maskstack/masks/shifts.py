"""Shifts of image and mask together: the same few for every search, spread evenly over a square (or a cube)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

PLASTIC = 1.324717957244746
"""The real root of x^3 = x + 1, from which the R2 sequence gets its evenly spread steps (Roberts 2018)."""


def even_shifts(count: int, reach: int, *, dims: int = 2) -> Tensor:
    """The first shifts of the R2 low-discrepancy sequence, in whole pixels.

    Args:
        count: Number of shifts.
        reach: Largest shift in either direction, in pixels.
        dims: Number of spatial dimensions; for others than two, the sequence of that many dimensions.

    Returns:
        Shift along each dimension (down and to the right), count x dims, int64, from -reach to reach.

    >>> even_shifts(3, 16).tolist()
    [[0, 0], [-14, -8], [4, -16]]
    """
    number = torch.arange(count, dtype=torch.float64).unsqueeze(1)
    root = PLASTIC if dims == 2 else _root(dims)
    steps = torch.tensor([1 / root**power for power in range(dims, 0, -1)], dtype=torch.float64)
    spread = (0.5 + number * steps) % 1
    return ((2 * spread - 1) * reach).round().long()


def _root(dims: int) -> float:
    """The real root above 1 of x^(d + 1) = x + 1."""
    root = 1.5
    for _ in range(100):
        root = (1 + root) ** (1 / (dims + 1))
    return root


@dataclass(frozen=True)
class Margined:
    """Images with their reflected edges around them; shifted views are cut out of them without a copy.

    Attributes:
        padded: B x C x (H + 2 margin) x (W + 2 margin), or with any other number of spatial dimensions.
        margin: Pixels on each side, the largest shift.
    """

    padded: Tensor
    margin: int

    @classmethod
    def around(cls, images: Tensor, margin: int) -> Margined:
        """Images, B x C x H x W, with a margin, which has to be smaller than each side.

        >>> Margined.around(torch.arange(4.0).reshape(1, 1, 1, 4).expand(1, 1, 3, 4), 2).view(0, (0, 2))[0, 0]
        tensor([2., 3., 2., 1.])
        """
        sides = images.shape[2:]
        if not any(images.stride()[2:]):  # one colour, whose margin is the same
            one = images.flatten(2)[:, :, :1].reshape(*images.shape[:2], *[1] * len(sides))
            return cls(one.expand(*images.shape[:2], *(side + 2 * margin for side in sides)), margin)
        return cls.filled(images, margin, lambda middle: middle.copy_(images)) if margin else cls(images, margin)

    @classmethod
    def filled(cls, like: Tensor, margin: int, fill: Callable[[Tensor], Tensor]) -> Margined:
        """Images with a margin, whose own pixels a function writes.

        Args:
            like: Images of this shape, B x C x H x W, type and device.
            margin: Pixels on each side, fewer than each side has.
            fill: Writes the images to the B x C x H x W view it is given.
        """
        sides = like.shape[2:]
        padded = like.new_empty(*like.shape[:2], *(side + 2 * margin for side in sides))
        fill(padded[window(padded.shape[2:], margin, [0] * len(sides))])
        _reflect_edges(padded, margin)
        return cls(padded, margin)

    def view(self, row: int, shift: Sequence[int]) -> Tensor:
        """The view of one image, C x H x W, whose first pixel is that of the image at this place."""
        return self.padded[row][window(self.padded.shape[2:], self.margin, shift)]


def _reflect_edges(padded: Tensor, margin: int) -> None:
    """Write the margin as ``torch.nn.functional.pad`` does, but a few times faster: rows are copied whole."""
    sides = [side - 2 * margin for side in padded.shape[2:]]
    within: list[Any] = [slice(margin, margin + side) for side in sides]
    for axis, side in reversed(list(enumerate(sides))):
        for outer, inner in ((0, margin + 1), (margin + side, side - 1)):
            source, place = list(within), list(within)
            source[axis], place[axis] = slice(inner, inner + margin), slice(outer, outer + margin)
            padded[(..., *place)] = padded[(..., *source)].flip(axis + 2)
        within[axis] = slice(None)


def window(padded: Sequence[int], margin: int, shift: Sequence[int]) -> tuple[Any, ...]:
    """The index of a shifted view in what is padded by a margin, whose last dimensions are the spatial ones."""
    firsts = [margin + offset for offset in shift]
    return (..., *(slice(first, first + side - 2 * margin) for first, side in zip(firsts, padded, strict=True)))


def folded(slopes: Tensor, margin: int) -> Tensor:
    """The gradient of images from that of the images with their reflected margin.

    Args:
        slopes: B x C x (H + 2 margin) x (W + 2 margin), or with any other number of spatial dimensions; it is changed.
        margin: Pixels on each side.

    Returns:
        B x C x H x W, a view.
    """
    if not margin:
        return slopes
    for axis in range(2, slopes.ndim):
        side = slopes.shape[axis] - 2 * margin
        inner = slopes.narrow(axis, margin, side)
        inner.narrow(axis, 1, margin).add_(slopes.narrow(axis, 0, margin).flip(axis))
        inner.narrow(axis, side - 1 - margin, margin).add_(slopes.narrow(axis, margin + side, margin).flip(axis))
        slopes = inner
    return slopes
