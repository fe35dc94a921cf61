"""Faithfulness: does the score follow what the map calls important?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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
    """
    order = saliency.flatten().argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    rank = rank.view(saliency.shape)
    counts = [round(step * len(order) / steps) for step in range(steps + 1)]
    scores = []
    for first in range(0, len(counts), batch_size):
        taken = torch.tensor(counts[first : first + batch_size], device=rank.device)
        turned = rank < taken.view(-1, 1, 1, 1)  # N 1 H W
        scores.append(score(torch.where(turned, end, start)))
    return torch.cat(scores)


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
    return _area(pixel_curve(score, saliency, image, fill, steps=steps))


def insertion(score: Score, image: Tensor, saliency: Tensor, fill: Tensor, *, steps: int = 20) -> Tensor:
    """Insertion AUC: area under the score while the most salient pixels are put onto the fill; high is good.

    See :func:`deletion` for the arguments.
    """
    return _area(pixel_curve(score, saliency, fill, image, steps=steps))


def average_drop(before: Tensor, masked: Tensor) -> Tensor:
    """Relative drop of the score under the map (Chattopadhay et al. 2018), per image: max(0, Y - O) / Y.

    >>> average_drop(torch.tensor([0.8, 0.5]), torch.tensor([0.6, 0.9]))
    tensor([0.2500, 0.0000])
    """
    return (before - masked).clamp_min(0) / before


def average_increase(before: Tensor, masked: Tensor) -> Tensor:
    """Whether the score rises under the map, per image: 1 where O > Y, else 0."""
    return (masked > before).float()


def _area(curve: Tensor) -> Tensor:
    return torch.trapezoid(curve, dx=1 / (len(curve) - 1))
