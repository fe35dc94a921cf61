"""Metrics of the map of one prototype in one image: whether the activation follows the map, and boxes of its region.

:mod:`maskstack.metrics` has the energy in the box and the pointing game.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.metrics import area_under, mask_ious, pixel_curve
from maskstack.metrics.faithfulness import Score
from maskstack.metrics.order import check_map
from maskstack.tensors import ranks

AREAS = tuple(mille / 1000 for mille in (*range(10, 201, 10), *range(225, 501, 25), *range(550, 1001, 50)))
"""Shares of the image to try, finer where a good map needs few pixels; the twentieths are among them."""

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are the first beyond the box."""


def activation_curve(
    score: Score, image: Tensor, saliency: Tensor, fill: Tensor, *, insert: bool, steps: int = 20, batch_size: int = 32
) -> Tensor:
    """Share of the prototype's activation s while pixels are replaced, the most salient first: s(masked) / s(x).

    Shares above 1 and below 0 are not clipped: a fill may raise an activation, and a cosine may be negative.

    Args:
        score: Activations of the prototype on N images.
        image: x, C x H x W.
        saliency: H x W, not negative; equal values are taken in reading order.
        fill: Values of hidden pixels, C x H x W; not a fill with which the map was learned.
        insert: Whether pixels change from the fill to the image; otherwise from the image to the fill.
        steps: Number of equal shares of the pixels.
        batch_size: Images in one call of ``score``.

    Returns:
        Shares after 0, 1/steps ... 1 of the pixels: steps + 1. The one of the whole image is 1.

    Raises:
        InputError: The activation on the image is not above 0; the map or the fill does not fit the image; the map
            holds NaN or negative values; or ``steps`` or ``batch_size`` is below 1.
    """
    _check(image, saliency, fill)
    start, end = (fill, image) if insert else (image, fill)
    curve = pixel_curve(score, saliency, start, end, steps=steps, batch_size=batch_size)
    return curve / _positive(curve[-1 if insert else 0])


def activation_insertion(score: Score, image: Tensor, saliency: Tensor, fill: Tensor, *, steps: int = 20) -> Tensor:
    """Area under the share of the activation while the most salient pixels are put onto the fill; high is good.

    See :func:`activation_curve` for the arguments and errors.

    >>> image, fill = torch.ones(1, 1, 4), torch.zeros(1, 1, 4)
    >>> activation_insertion(lambda x: x[:, 0, 0, 0], image, torch.tensor([[0.9, 0.1, 0.1, 0.1]]), fill, steps=4)
    tensor(0.8750)
    """
    return area_under(activation_curve(score, image, saliency, fill, insert=True, steps=steps))


def activation_deletion(score: Score, image: Tensor, saliency: Tensor, fill: Tensor, *, steps: int = 20) -> Tensor:
    """Area under the share of the activation while the most salient pixels are removed; low is good.

    See :func:`activation_curve` for the arguments and errors.
    """
    return area_under(activation_curve(score, image, saliency, fill, insert=False, steps=steps))


def minimal_sufficient_area(
    score: Score,
    image: Tensor,
    saliency: Tensor,
    fill: Tensor,
    *,
    keep: float = 0.9,
    areas: Sequence[float] = AREAS,
    batch_size: int = 32,
) -> float:
    """Smallest share of the pixels, the most salient first, that keeps the prototype active; low is good.

    Args:
        score: Activations of the prototype on N images.
        image: C x H x W.
        saliency: H x W, not negative; equal values are taken in reading order.
        fill: Values of the other pixels, C x H x W.
        keep: Share of the image's activation that must remain, in (0, 1].
        areas: Shares of the pixels to try, in [0, 1].
        batch_size: Maximum number of images in one call of ``score``; the search ends with the first area found.

    Returns:
        The smallest of ``areas`` that suffices; 1.0 if none does.

    Raises:
        InputError: ``keep`` or an area is out of its range, or see :func:`activation_curve`.

    >>> image, fill = torch.ones(1, 1, 4), torch.zeros(1, 1, 4)
    >>> minimal_sufficient_area(lambda x: x[:, 0, 0, 1], image, torch.tensor([[0.7, 0.6, 0.1, 0.1]]), fill)
    0.375
    """
    if not 0 < keep <= 1:
        raise InputError(f"the share of the activation to keep is {keep}; give a number above 0 and up to 1")
    if not all(0 <= area <= 1 for area in areas):
        raise InputError(f"the areas are {tuple(areas)}; give shares of the pixels, from 0 to 1")
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it has to be at least 1")
    _check(image, saliency, fill)
    rank = ranks(saliency).to(image.device)
    needed = keep * _positive(score(image.unsqueeze(0))[0])
    grid = sorted(area for area in areas if area < 1)  # The whole image always suffices, so it is not tried.
    for first in range(0, len(grid), batch_size):
        tried = grid[first : first + batch_size]
        counts = torch.tensor([round(area * rank.numel()) for area in tried], device=rank.device)
        shown = rank < counts.view(-1, 1, 1, 1)  # N 1 H W
        enough = (score(torch.where(shown, image, fill)) >= needed).tolist()
        if any(enough):
            return tried[enough.index(True)]
    return 1.0


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

    >>> mass_box(torch.tensor([[0.9, 0.0, 0.5, 0.6], [0.0, 0.0, 0.5, 0.4]]), side=2)
    (2, 0, 4, 2)
    """
    check_map(saliency, positive=True)
    height, width = saliency.shape
    _check_side(side, height, width)
    sums = functional.avg_pool2d(saliency.double()[None, None], side, stride=1)[0, 0]
    top, left = divmod(int(sums.flatten().argmax()), sums.shape[1])
    return left, top, left + side, top + side


def tight_box(saliency: Tensor, *, percentile: float = 95.0) -> PixelBox:
    """Tight box around the pixels at or above a percentile of the map, as in ProtoPNet's own search (Chen et al. 2019).

    All of these pixels count, however far apart. A constant map's box is the image.

    Args:
        saliency: H x W.
        percentile: In [0, 100], with linear interpolation.

    Raises:
        InputError: The map is not H x W or holds NaN, or the percentile is out of range.

    >>> tight_box(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.8, 0.9]]), percentile=75)
    (1, 1, 3, 2)
    """
    check_map(saliency)
    if not 0 <= percentile <= 100:
        raise InputError(f"the percentile is {percentile}; give a number from 0 to 100")
    values = saliency.flatten()
    # The next value above the interpolated one selects the same pixels, without rounding.
    place = math.ceil(percentile * (len(values) - 1) / 100)
    region = saliency >= values.sort().values[place]
    rows, columns = (region.any(dim=dim).nonzero().flatten().tolist() for dim in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _check_side(side: int, height: int, width: int) -> None:
    if not 1 <= side <= min(height, width):
        raise InputError(
            f"the box's side is {side} and the map {height} x {width}; give a side from 1 to its shorter one"
        )


def _check(image: Tensor, saliency: Tensor, fill: Tensor) -> None:
    check_map(saliency, image=image, positive=True)
    if fill.shape != image.shape:
        raise InputError(f"the fill has shape {tuple(fill.shape)}, the image {tuple(image.shape)}; they have to agree")


def _positive(whole: Tensor) -> Tensor:
    if not 0 < whole.item() < math.inf:
        raise InputError(
            f"the prototype's activation on the image is {whole.item():g}, but shares of it need a positive value; "
            "choose another image or prototype"
        )
    return whole
