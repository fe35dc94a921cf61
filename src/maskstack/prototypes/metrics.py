"""Metrics of the map of one prototype in one image: its overlap with a region, and boxes of its own region.

:mod:`maskstack.metrics` has the energy in the box and the pointing game.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.metrics import mask_ious
from maskstack.metrics.order import check_map

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are the first beyond the box."""


def iou_at(saliency: Tensor, inside: Tensor, *, share: float = 0.3) -> Tensor:
    """Intersection over union of the map, cut at a share of its maximum (Kim et al. 2021), with the annotated region.

    Args:
        saliency: H x W, not negative. A map of zeros is constant: its region is the image.
        inside: Union of the boxes, H x W booleans; without boxes the overlap is 0.
        share: Of the maximum, in [0, 1]; pixels exactly there belong to the region.

    Returns:
        A scalar in [0, 1].

    Raises:
        InputError: See :func:`maskstack.metrics.mask_ious`.

    >>> import torch
    >>> iou_at(torch.tensor([[1.0, 0.5, 0.2, 0.0]]), torch.tensor([[True, False, False, False]]))
    tensor(0.5000)
    """
    return mask_ious(saliency, inside, thresholds=(share,))[0]


def peak_box(saliency: Tensor, *, side: int = 72) -> PixelBox:
    """Square box around the map's highest pixel, the first of equals in reading order, shifted to lie in the image.

    If the side is even, the pixel is the first after the middle. The box of a map of zeros is in the top left corner.

    Args:
        saliency: H x W.
        side: In pixels: 72 for consistency and stability (Huang et al. 2023), 32 for purity (Nauta et al. 2023), both
            in images of 224.

    Raises:
        InputError: The map is not H x W or holds NaN, or the side is below 1 or larger than the map.

    >>> import torch
    >>> peak_box(torch.eye(6).flip(1), side=4)
    (2, 0, 6, 4)
    """
    check_map(saliency)
    height, width = saliency.shape
    _check_side(side, height, width)
    row, column = divmod(int(saliency.flatten().argmax()), width)
    top = min(max(row - side // 2, 0), height - side)
    left = min(max(column - side // 2, 0), width - side)
    return left, top, left + side, top + side


def mass_box(saliency: Tensor, *, side: int = 72) -> PixelBox:
    """Square box with the largest sum of the map, the first of equal ones in reading order.

    The highest pixel of a fine map is nearly random; this box shows where most of the map lies. The papers do not use
    it.

    Args:
        saliency: H x W, not negative.
        side: In pixels.

    Raises:
        InputError: See :func:`peak_box`; or the map holds negative values.

    >>> import torch
    >>> mass_box(torch.tensor([[0.9, 0.0, 0.5, 0.6], [0.0, 0.0, 0.5, 0.4]]), side=2)
    (2, 0, 4, 2)
    """
    check_map(saliency, positive=True)
    height, width = saliency.shape
    _check_side(side, height, width)
    sums = functional.avg_pool2d(saliency.double()[None, None], side, stride=1)[0, 0]
    top, left = divmod(int(sums.flatten().argmax()), sums.shape[1])
    return left, top, left + side, top + side


def _check_side(side: int, height: int, width: int) -> None:
    if not 1 <= side <= min(height, width):
        raise InputError(
            f"the box's side is {side} and the map {height} x {width}; give a side from 1 to its shorter one"
        )
