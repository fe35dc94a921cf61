"""Cuts of a map: the smallest of its regions that suffices for a score, and what remains without it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskstack.reliability.fills import cell_colours, spread_colours
from maskstack.tensors import ranks

AREAS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.19, 0.25, 0.32, 0.4, 0.5)
"""Shares of the pixels that are tried as a region, from the smallest to the largest."""

FILLS = 2
"""Number of fills over which regions are scored."""

Scores = Callable[[Tensor, Tensor], Tensor]
"""From images, and the index of the original of each, to scores without gradient."""


def cuts(saliency: Tensor, allowed: Tensor | None = None) -> Tensor:
    """The regions of a map, one for each of :data:`AREAS`: A x H x W booleans.

    Args:
        saliency: H x W.
        allowed: Pixels that a region may hold, H x W booleans; None for all. Areas are shares of all pixels.
    """
    if allowed is not None:
        saliency = saliency.masked_fill(~allowed, -torch.inf)
    places = ranks(saliency)
    found = torch.stack([places < round(area * saliency.numel()) for area in AREAS])
    return found if allowed is None else found & allowed


def scores_over_fills(scores: Scores, image: Tensor, shown: Tensor, row: int) -> Tensor:
    """Scores of an image with only some pixels shown, over each fill: N x 2.

    Args:
        scores: The scores.
        image: C x H x W.
        shown: The pixels that are shown, N x H x W booleans.
        row: Index of the image.
    """
    images, shown = image.expand(len(shown), *image.shape), shown.unsqueeze(1)
    rows = torch.full((len(shown),), row, device=image.device)
    fills = cell_colours(images), spread_colours(images, shown)
    return torch.stack([scores(torch.where(shown, images, fill), rows).float() for fill in fills], dim=1)


def shares(scores: Tensor, before: Tensor, hidden: Tensor) -> Tensor:
    """Scores N x F as shares: 0 is the score of each fill alone, F, and 1 that of the image; NaN without a gap."""
    gap = before - hidden
    return (scores - hidden) / gap.masked_fill(gap <= 0, torch.nan)


def smallest_sufficient(kept: Tensor, least: float) -> int | None:
    """Index of the first region that keeps this share over the fills, A x F, or None."""
    found = (kept.amin(dim=1) >= least).nonzero()
    return int(found[0]) if len(found) else None
