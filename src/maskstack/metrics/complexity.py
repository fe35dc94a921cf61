"""Complexity: how few pixels does the map speak of? Entropy and Gini index order maps differently; compare neither."""

from __future__ import annotations

import torch
from torch import Tensor

from maskstack.metrics.order import check_map


def entropy(saliency: Tensor) -> Tensor:
    """Entropy of the map's shares of its sum (complexity, Bhatt et al. 2020); low is simple.

    Args:
        saliency: H x W, not negative.

    Returns:
        A scalar in nats, from 0 for a single pixel to log(H * W) for a constant map, the map of zeros among them.

    Raises:
        InputError: The map is not H x W, or holds NaN or negative values.

    >>> entropy(torch.tensor([[0.0, 0.5], [0.5, 0.0]])).exp()
    tensor(2.)
    """
    shares = _shares(saliency)
    return _like(saliency, torch.special.entr(shares).sum())


def gini(saliency: Tensor) -> Tensor:
    """Gini index of the map's values (sparseness, Chalasani et al. 2020; Hurley and Rickard 2009); high is sparse.

    Args:
        saliency: H x W, not negative.

    Returns:
        A scalar, from 0 for a constant map, the map of zeros among them, to 1 - 1 / (H * W) for a single pixel.

    Raises:
        InputError: The map is not H x W, or holds NaN or negative values.

    >>> gini(torch.tensor([[0.0, 0.0], [0.0, 3.0]]))
    tensor(0.7500)
    """
    shares = _shares(saliency).sort().values
    count = len(shares)
    places = torch.arange(1, count + 1, dtype=shares.dtype, device=shares.device)
    return _like(saliency, (1 - 2 * (shares * (count - places + 0.5)).sum() / count).clamp_min(0))


def _like(saliency: Tensor, value: Tensor) -> Tensor:
    return value.to(saliency.dtype if saliency.is_floating_point() else torch.float32)


def _shares(saliency: Tensor) -> Tensor:
    """Of the sum, in double precision; a map of zeros is constant."""
    check_map(saliency, positive=True)
    values = saliency.flatten().double()
    values = values / values.max().clamp_min(torch.finfo(values.dtype).tiny)  # The sum of huge values is infinite.
    total = values.sum()
    return values / total if total > 0 else torch.full_like(values, 1 / len(values))
