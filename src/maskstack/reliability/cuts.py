"""Cuts of a map: the smallest of its regions that suffices for a score, and what remains without it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.reliability.fills import cell_colours, spread_colours
from maskstack.tensors import ranks

AREAS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.19, 0.25, 0.32, 0.4, 0.5)
"""Shares of the pixels that are tried as a region, from the smallest to the largest."""

PIECES, LEAST_PIECE = 4, 0.005
"""Number of pieces of a cut that are tried each by itself, and their least share of the pixels."""

CELL = 4
"""Pieces that are closer than this number of pixels may count as one."""

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


def with_pieces(regions: Tensor) -> Tensor:
    """Regions, A x H x W booleans, and each piece of those that fall into several, from the smallest to the largest.

    Args:
        regions: A x H x W booleans; regions of no pixel are left out.
    """
    found = []
    for region, labels in zip(regions, _labels(regions), strict=True):
        names, sizes = labels[region].unique(return_counts=True)
        large = sizes >= LEAST_PIECE * region.numel()
        largest = sizes.masked_fill(~large, 0).argsort(descending=True)[:PIECES]
        pieces = [(labels == names[place]) & region for place in largest.tolist() if large[place]]
        found += [region] if region.any() else []
        found += pieces if len(names) > 1 else []
    found.sort(key=lambda region: int(region.sum()))
    return torch.stack(found) if found else regions[:0]


def _labels(regions: Tensor) -> Tensor:
    """A number for each connected piece of each region: A x H x W int64, 0 outside of the regions."""
    pool = functional.max_pool3d if regions.ndim == 4 else functional.max_pool2d
    cells = pool(regions.unsqueeze(1).float(), CELL, ceil_mode=True)
    numbers = torch.arange(1, cells[0].numel() + 1, device=cells.device, dtype=torch.float32)
    labels = numbers.view(cells[0].shape) * cells
    while True:
        spread = pool(labels, 3, stride=1, padding=1) * cells
        if torch.equal(spread, labels):
            break
        labels = spread
    for dim in range(2, labels.ndim):
        labels = labels.repeat_interleave(CELL, dim=dim)
    inside = tuple(slice(0, size) for size in regions.shape[1:])
    return labels[:, 0][(slice(None), *inside)].long() * regions


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
