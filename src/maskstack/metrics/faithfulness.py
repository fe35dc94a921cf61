"""Faithfulness: does the score depend on the pixels that the map marks as important?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.metrics.order import check_map
from maskstack.tensors import ranks

Score = Callable[[Tensor], Tensor]
"""Function from N images, N x C x H x W, to N scores, without gradient."""


def pixel_curve(
    score: Score, saliency: Tensor, start: Tensor, end: Tensor, *, steps: int = 20, batch_size: int = 32
) -> Tensor:
    """Scores while pixels are replaced, from ``start`` to ``end``, the most salient first.

    Args:
        score: Scores of N images; called with batches of the images along the curve.
        saliency: Map, H x W; equal values are ranked in reading order.
        start: Image at the start, C x H x W.
        end: Image at the end, C x H x W.
        steps: Number of steps, each of which replaces an equal share of the pixels.
        batch_size: Largest number of images in one call of ``score``.

    Returns:
        Scores after 0, 1/steps ... 1 of the pixels, steps + 1.

    Raises:
        InputError: The map does not fit the images or contains NaN, the images do not fit each other, ``steps`` or
            ``batch_size`` is below 1, or ``score`` does not give one number per image.
    """
    if steps < 1 or batch_size < 1:
        raise InputError(f"steps is {steps} and batch_size {batch_size}; both must be at least 1")
    try:
        shape = np.broadcast_shapes(start.shape, end.shape)
    except ValueError as error:
        raise InputError(
            f"the images at the start and at the end have shapes {tuple(start.shape)} and {tuple(end.shape)}; both "
            "must be C x H x W"
        ) from error
    if len(shape) != 3:
        raise InputError(f"the image has shape {tuple(shape)}; it must be C x H x W")
    start, end = start.expand(shape), end.expand(shape)
    check_map(saliency, image=start)
    rank = ranks(saliency).to(start.device)
    counts = [round(step * rank.numel() / steps) for step in range(steps + 1)]
    scores = []
    for first in range(0, len(counts), batch_size):
        taken = torch.tensor(counts[first : first + batch_size], dtype=rank.dtype, device=rank.device)
        turned = rank < taken.view(-1, 1, 1, 1)  # N 1 H W
        found = score(torch.where(turned, end, start))
        if found.shape != (len(taken),):
            raise InputError(
                f"the score gave shape {tuple(found.shape)} for {len(taken)} images; it must give one number per image"
            )
        scores.append(found)
    return torch.cat(scores)


def area_under(curve: Tensor) -> Tensor:
    """Area under a curve of scores at equal steps from 0 to 1, by the trapezoidal rule with both ends.

    Args:
        curve: Scores, at least two.

    Returns:
        A scalar between the least and the greatest score.

    Raises:
        InputError: The curve is not a list of at least two scores.

    >>> area_under(torch.tensor([0.0, 1.0, 1.0]))
    tensor(0.7500)
    """
    if curve.dim() != 1 or len(curve) < 2:
        raise InputError(f"the curve has shape {tuple(curve.shape)}; give at least two scores")
    return torch.trapezoid(curve, dx=1 / (len(curve) - 1))


def deletion(score: Score, image: Tensor, saliency: Tensor, fill: Tensor, *, steps: int = 20) -> Tensor:
    """Deletion AUC (Petsiuk et al. 2018): area under the score while the most salient pixels are removed; low is good.

    Args:
        score: Scores of N images.
        image: Image, C x H x W.
        saliency: Map, H x W.
        fill: Values of removed pixels, C x H x W.
        steps: Number of steps, each of which removes an equal share of the pixels.

    Returns:
        The area as a scalar, in units of the score.
    """
    return area_under(pixel_curve(score, saliency, image, fill, steps=steps))


def insertion(score: Score, image: Tensor, saliency: Tensor, fill: Tensor, *, steps: int = 20) -> Tensor:
    """Insertion AUC: area under the score while the most salient pixels are inserted into the fill; high is good.

    See :func:`deletion` for the arguments.
    """
    return area_under(pixel_curve(score, saliency, fill, image, steps=steps))


def average_drop(before: Tensor, masked: Tensor) -> Tensor:
    """Relative drop of the score when the image is multiplied by its map (Chattopadhay et al. 2018): max(0, Y - O) / Y.

    Args:
        before: Y, scores of the images, N, not negative.
        masked: O, scores of the images times their maps, N, not negative.

    Returns:
        N shares in [0, 1]; 0 where Y is 0, as it cannot drop, and NaN where a score is NaN.

    Raises:
        InputError: The scores have different shapes.

    >>> average_drop(torch.tensor([0.8, 0.5]), torch.tensor([0.6, 0.9]))
    tensor([0.2500, 0.0000])
    """
    _check_pairs(before, masked)
    drop = (before - masked).clamp_min(0) / before
    return torch.where(before <= 0, torch.zeros_like(drop), drop)


def average_increase(before: Tensor, masked: Tensor) -> Tensor:
    """Whether the score rises when the image is multiplied by its map (Chattopadhay et al. 2018): 1 if O > Y, else 0.

    Args:
        before: Y, scores of the images, N.
        masked: O, scores of the images times their maps, N.

    Returns:
        N values 0 or 1; NaN where a score is NaN.

    Raises:
        InputError: The scores have different shapes.
    """
    _check_pairs(before, masked)
    return (masked > before).float().masked_fill(before.isnan() | masked.isnan(), torch.nan)


def _check_pairs(before: Tensor, masked: Tensor) -> None:
    if before.shape != masked.shape:
        raise InputError(
            f"the scores before and under the map have shapes {tuple(before.shape)} and {tuple(masked.shape)}; both "
            "must have one score per image"
        )
