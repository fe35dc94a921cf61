"""Complexity: how few pixels does the map mark? Entropy and Gini index can rank maps in different orders."""

from __future__ import annotations

import torch
from torch import Tensor

from maskstack.metrics.order import check_map, of_map


def entropy(saliency: Tensor) -> Tensor:
    """Entropy of the pixels' shares of the map's sum (complexity, Bhatt et al. 2020); low is simple.

    Args:
        saliency: Map, H x W, not negative.

    Returns:
        A scalar in nats, from 0 for a single pixel to log(H * W) for a constant map, such as a map of zeros.

    Raises:
        InputError: The map is not H x W, or contains NaN, negative or infinite values.

    >>> entropy(torch.tensor([[0.0, 0.5], [0.5, 0.0]])).exp()
    tensor(2.)
    """
    shares = _shares(saliency)
    return of_map(saliency, torch.special.entr(shares).sum())


def gini(saliency: Tensor) -> Tensor:
    """Gini index of the map's values (sparseness, Chalasani et al. 2020; Hurley and Rickard 2009); high is sparse.

    Args:
        saliency: Map, H x W, not negative.

    Returns:
        A scalar, from 0 for a constant map, such as a map of zeros, to 1 - 1 / (H * W) for a single pixel.

    Raises:
        InputError: The map is not H x W, or contains NaN, negative or infinite values.

    >>> gini(torch.tensor([[0.0, 0.0], [0.0, 3.0]]))
    tensor(0.7500)
    """
    shares = _shares(saliency).sort().values
    count = len(shares)
    places = torch.arange(1, count + 1, dtype=shares.dtype, device=shares.device)
    return of_map(saliency, (1 - 2 * (shares * (count - places + 0.5)).sum() / count).clamp_min(0))


def _shares(saliency: Tensor) -> Tensor:
    """Each pixel's share of the map's sum, in double precision; for a map of zeros, all shares are equal."""
    check_map(saliency, positive=True)
    values = saliency.flatten().double()
    values = values / values.max().clamp_min(
        torch.finfo(values.dtype).tiny
    )  # The sum of huge values could be infinite.
    total = values.sum()
    return values / total if total > 0 else torch.full_like(values, 1 / len(values))
