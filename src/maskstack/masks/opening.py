"""Opening a map after the search until the network's score is back."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskstack.tensors import minmax, spread_over

OPENINGS = 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.5
"""What is added to the log-odds of a map, tried from the least to the most."""


MOST_LOST = 0.5
"""A map that loses more than this share of the score does not explain it."""


def opened(stack: Tensor, loss: Callable[[Tensor, Tensor], Tensor], *, allowed: float) -> tuple[Tensor, Tensor]:
    """Add to each map's log-odds the least of :data:`OPENINGS` at which the network loses no more than allowed.

    The map is the stack scaled to [0, 1]. The order of its pixels stays the same. A search weighs the area against the
    score, and over one fill of several at a time. So its map may lose some of the score over a certain fill, or in the
    worst case all of it.

    Args:
        stack: B x H x W in [0, 1], or with any other number of spatial dimensions.
        loss: The loss of score under maps and the indices of their images: (P x H x W, P) to P.
        allowed: The loss that is allowed.

    Returns:
        The maps, B x H x W, scaled to [0, 1] and opened, and what was added to the log-odds of each, B. Where no
        opening loses as little as allowed, nothing is added, except where the map itself loses more than
        :data:`MOST_LOST`: there it is the opening of the least loss.
    """
    dims = stack.ndim - 1
    log_odds = minmax(stack, dims=dims).logit(eps=1e-6)
    least = torch.full_like(stack.flatten(1)[:, 0], torch.inf)
    first, opening = least.clone(), torch.zeros_like(least)
    for more in OPENINGS:
        rows = (least > allowed).nonzero().flatten()
        if len(rows) == 0:
            break
        found = loss(minmax((log_odds[rows] + more).sigmoid(), dims=dims), rows)
        first[rows] = torch.where(first[rows].isinf(), found, first[rows])
        better = found < least[rows]
        least[rows] = torch.where(better, found, least[rows])
        opening[rows] = torch.where(better, more, opening[rows])
    opening = torch.where((least <= allowed) | (first > MOST_LOST), opening, 0)
    return minmax((log_odds + spread_over(opening, stack)).sigmoid(), dims=dims), opening
