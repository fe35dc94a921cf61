"""Faithfulness: does the score follow what the map calls important?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.metrics.order import check_map, ranks

Score = Callable[[Tensor], Tensor]
"""From N images, N x C x H x W, to N scores, without gradient."""


def pixel_curve(
    score: Score, saliency: Tensor, start: Tensor, end: Tensor, *, steps: int = 20, batch_size: int = 32
) -> Tensor:
    """Scores while pixels turn from ``start`` to ``end``, the most salient first.

    Args:
        score: The score of one image at a time; called with chunks of the curve.
        saliency: Map, H x W; equal values are taken in reading order.
        start: Image before, C x H x W.
        end: Image after, C x H x W.
        steps: Number of equal shares of the pixels.
        batch_size: Images in one call of ``score``.

    Returns:
        Scores after 0, 1/steps ... 1 of the pixels: steps + 1.

    Raises:
        InputError: The map does not fit the images or holds NaN, or ``steps`` or ``batch_size`` is below 1.
    """
    if steps < 1 or batch_size < 1:
        raise InputError(f"steps is {steps} and batch_size {batch_size}; both have to be at least 1")
    check_map(saliency, image=start)
    rank = ranks(saliency).to(start.device)
    counts = [round(step * rank.numel() / steps) for step in range(steps + 1)]
    scores = []
    for first in range(0, len(counts), batch_size):
        taken = torch.tensor(counts[first : first + batch_size], dtype=rank.dtype, device=rank.device)
        turned = rank < taken.view(-1, 1, 1, 1)  # N 1 H W
        scores.append(score(torch.where(turned, end, start)))
    return torch.cat(scores)


def area_under(curve: Tensor) -> Tensor:
    """Area under scores at equal steps from 0 to 1, by trapezoids, both ends included.

    Args:
        curve: Two or more scores.

    Returns:
        A scalar between the least and the greatest score.

    >>> area_under(torch.tensor([0.0, 1.0, 1.0]))
    tensor(0.7500)
    """
    return torch.trapezoid(curve, dx=1 / (len(curve) - 1))


def deletion(score: Score, image: Tensor, saliency: Tensor, fill: Tensor, *, steps: int = 20) -> Tensor:
    """Deletion AUC (Petsiuk et al. 2018): area under the score while the most salient pixels are removed; low is good.

    Args:
        score: Score of N images.
        image: C x H x W.
        saliency: H x W.
        fill: What removed pixels show, C x H x W.
        steps: Number of equal shares; the trapezoid includes both ends.

    Returns:
        The area as a scalar, in units of the score.
    """
    return area_under(pixel_curve(score, saliency, image, fill, steps=steps))


def insertion(score: Score, image: Tensor, saliency: Tensor, fill: Tensor, *, steps: int = 20) -> Tensor:
    """Insertion AUC: area under the score while the most salient pixels are put onto the fill; high is good.

    See :func:`deletion` for the arguments.
    """
    return area_under(pixel_curve(score, saliency, fill, image, steps=steps))


def average_drop(before: Tensor, masked: Tensor) -> Tensor:
    """Relative drop of the score under the map (Chattopadhay et al. 2018), per image: max(0, Y - O) / Y.

    Args:
        before: Y, scores of the images, N, not negative.
        masked: O, scores of the images times their maps, N.

    Returns:
        N shares in [0, 1]; 0 where Y is 0, which cannot drop.

    >>> average_drop(torch.tensor([0.8, 0.5]), torch.tensor([0.6, 0.9]))
    tensor([0.2500, 0.0000])
    """
    drop = (before - masked).clamp_min(0) / before
    return torch.where(before > 0, drop, torch.zeros_like(drop))


def average_increase(before: Tensor, masked: Tensor) -> Tensor:
    """Whether the score rises under the map (Chattopadhay et al. 2018), per image: 1 where O > Y, else 0."""
    return (masked > before).float()
