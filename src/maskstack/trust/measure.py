"""Measures of trust in a map: its region alone, the image without it, another fill, agreement between sizes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.tensors import blend, mean_agreement, rank_agreement, ranks, score_scale
from maskstack.trust.verdict import Trust

PASSES = 4
"""Forward passes to measure one map: the fill alone, the region alone, the image without it, the map itself."""

REGION = 0.3
"""Share of the pixels that are the region of a map."""

CELLS = 4
"""Number of cells in each direction whose mean colours the fill keeps."""

LEAST_GAP = 0.05
"""Least gap between the score of the image and that of the fill, as a share; below it the shares are NaN."""


def measure(
    scores: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    before: Tensor,
    *,
    masks: Tensor | None = None,
) -> Trust:
    """Measure any method's maps in :data:`PASSES` forward passes an image.

    Args:
        scores: Function from images, and the index of the original of each, to scores without gradient, such as
            ``scored.scores`` inside :func:`maskstack.scoring.scoring`.
        images: B x C x H x W, float32.
        maps: B x H x W in [0, 1].
        before: Score of each image, B.
        masks: Masks of each size, B x S x H x W, which should agree; None if there are none to compare.

    Raises:
        InputError: The maps are not of the images' size, or not from 0 to 1.
    """
    if maps.shape != (len(images), *images.shape[2:]) or not (maps.amin() >= 0 and maps.amax() <= 1):
        wanted = " x ".join(map(str, (len(images), *images.shape[2:])))
        raise InputError(f"the maps have shape {tuple(maps.shape)}; they must be {wanted}, from 0 to 1")
    every = torch.arange(len(images), device=images.device)
    fill = cell_colours(images)
    region = torch.stack([ranks(each) < round(REGION * each.numel()) for each in maps]).unsqueeze(1)
    hidden = scores(fill, every).float()
    alone = scores(torch.where(region, images, fill), every).float()
    without = scores(torch.where(region, fill, images), every).float()
    under = scores(blend(maps, images, fill), every).float()
    gap = before - hidden
    gap = gap.masked_fill(gap < LEAST_GAP * score_scale(before, hidden), torch.nan)
    not_measured = torch.full_like(before, torch.nan)
    # A single mask has no pair: its mean is NaN as well.
    sizes = not_measured if masks is None else torch.stack([mean_agreement(each) for each in masks]).to(before)
    return Trust(
        kept=(alone - hidden) / gap,
        removed=(without - hidden) / gap,
        fill=(under - hidden) / gap,
        sizes=sizes,
        seeds=not_measured.new_empty(len(before), 0),
        randomization=not_measured,
    )


def likeness(maps: Tensor, others: Tensor) -> Tensor:
    """Rank correlation of each image's two maps, B.

    Args:
        maps: B x 1 x H x W.
        others: B x 1 x H x W.
    """
    pairs = torch.cat([maps, others], dim=1)
    return torch.stack([rank_agreement(pair)[0, 1] for pair in pairs]).float()


def cell_colours(images: Tensor) -> Tensor:
    """A fill that no search uses: each image's mean colours in a few cells, smoothed, so that shapes are not visible.

    Args:
        images: B x C x H x W.
    """
    if images.ndim == 5:
        deep = functional.adaptive_avg_pool3d(images, CELLS)
        return functional.interpolate(deep, size=images.shape[2:], mode="trilinear", align_corners=False)
    cells = functional.adaptive_avg_pool2d(images, CELLS)
    return functional.interpolate(cells, size=images.shape[2:], mode="bilinear", align_corners=False)
