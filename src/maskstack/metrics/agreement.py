"""Do maps order the pixels alike? Spearman's rank correlation in torch, on whatever device the maps are."""

from __future__ import annotations

import torch
from torch import Tensor


def rank_agreement(maps: Tensor) -> Tensor:
    """Spearman's rank correlation of each two maps; equal values share their mean rank.

    The same as :func:`rank_correlation`, without scipy.

    Args:
        maps: N x H x W.

    Returns:
        N x N, float64, from -1 to 1; 0 where one of the two maps is constant, and 1 where both are, since they order
        the pixels alike; NaN where one holds NaN.

    >>> rank_agreement(torch.tensor([[[0.1, 0.2, 0.4]], [[3.0, 2.0, 1.0]]])).round(decimals=6)
    tensor([[ 1., -1.],
            [-1.,  1.]], dtype=torch.float64)
    """
    ranks = torch.stack([_mean_ranks(values) for values in maps.detach().flatten(1)])
    ranks = ranks - ranks.mean(dim=1, keepdim=True)
    size = ranks.norm(dim=1, keepdim=True)
    flat = size == 0
    units = ranks / size.masked_fill(flat, 1)
    both = (flat & flat.T).double()
    found: Tensor = (units @ units.T).clamp(-1, 1) + both
    return found


def mean_agreement(maps: Tensor) -> Tensor:
    """Mean rank correlation over all pairs of maps, a scalar; NaN for fewer than two maps.

    Args:
        maps: N x H x W.
    """
    found = rank_agreement(maps) if len(maps) > 1 else torch.empty(0, 0, dtype=torch.float64, device=maps.device)
    upper = torch.ones_like(found, dtype=torch.bool).triu(1)
    return found[upper].mean()


def _mean_ranks(values: Tensor) -> Tensor:
    if values.isnan().any():
        return torch.full_like(values, torch.nan, dtype=torch.float64)
    ordered = values.sort().values
    below, upto = torch.searchsorted(ordered, values), torch.searchsorted(ordered, values, right=True)
    return (below + upto).double() / 2
