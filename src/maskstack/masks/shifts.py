"""Shifts of image and mask together: the same few for every search, spread evenly over a square (or a cube)."""

from __future__ import annotations

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


def shifted_indices(shifts: Tensor, size: int) -> Tensor:
    """For each shift along one axis, which pixel each place shows; reflected at the edges.

    Args:
        shifts: P whole numbers, smaller than the size.
        size: Pixels along the axis.

    Returns:
        P x size, int64.

    >>> shifted_indices(torch.tensor([0, 2, -1]), 4).tolist()
    [[0, 1, 2, 3], [2, 3, 2, 1], [1, 0, 1, 2]]
    """
    places = (torch.arange(size, device=shifts.device) + shifts.unsqueeze(1)).abs()
    return torch.where(places >= size, 2 * (size - 1) - places, places)


def shift_images(images: Tensor, *indices: Tensor) -> Tensor:
    """Images shifted each by its own indices.

    Args:
        images: P x C x H x W, or with any other number of spatial dimensions.
        *indices: Those of :func:`shifted_indices` for each spatial dimension: P x H and P x W.
    """
    for axis, places in enumerate(indices, start=2):
        shape = [1] * images.ndim
        shape[0], shape[axis] = places.shape
        images = images.gather(axis, places.reshape(shape).expand_as(images))
    return images
