"""Shifts of image and mask together: the same few for every search, spread evenly over a square."""

from __future__ import annotations

import torch
from torch import Tensor

PLASTIC = 1.324717957244746
"""The real root of x^3 = x + 1, from which the R2 sequence gets its evenly spread steps (Roberts 2018)."""


def even_shifts(count: int, reach: int) -> Tensor:
    """The first shifts of the R2 low-discrepancy sequence, in whole pixels.

    Args:
        count: Number of shifts.
        reach: Largest shift in either direction, in pixels.

    Returns:
        Shift down and to the right, count x 2, int64, from -reach to reach.

    >>> even_shifts(3, 16).tolist()
    [[0, 0], [-14, -8], [4, -16]]
    """
    number = torch.arange(count, dtype=torch.float64).unsqueeze(1)
    steps = torch.tensor([1 / PLASTIC**2, 1 / PLASTIC], dtype=torch.float64)
    spread = (0.5 + number * steps) % 1
    return ((2 * spread - 1) * reach).round().long()


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


def shift_images(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images shifted each by its own indices.

    Args:
        images: P x C x H x W.
        down: Of :func:`shifted_indices`, P x H.
        right: Likewise, P x W.
    """
    rows = down[:, None, :, None].expand_as(images)
    columns = right[:, None, None, :].expand_as(images)
    return images.gather(2, rows).gather(3, columns)
