"""Several regions of one image: search, cut out the smallest region that suffices, and search in what is left."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from maskstack.batches import Batches
from maskstack.masks.result import OnProgress, Progress, Score, SearchResult
from maskstack.masks.search import image_scores, search
from maskstack.masks.settings import SearchSettings
from maskstack.reliability.cuts import AREAS, FILLS, cuts, scores_over_fills, shares, smallest_sufficient
from maskstack.reliability.evidence import Regions
from maskstack.tensors import minmax

CUT_PASSES = FILLS * (len(AREAS) + 1)
"""Forward passes with which a region is cut out of a map."""


def search_regions(
    score: Score,
    images: Tensor,
    *,
    settings: SearchSettings,
    count: int,
    keep: float,
    progress: OnProgress | None = None,
) -> tuple[SearchResult, Regions]:
    """Search for regions that each keep a share of the score by themselves and have no pixel in common.

    Each search may open its masks only outside of the regions found before it. It ends for an image where no region of
    what is left suffices. The idea is that of HDM (arXiv 2301.04970).

    Args:
        score: The score to keep. Its gradient has to reach the images.
        images: B x C x H x W, float32, preprocessed for the network.
        settings: How to search, each time.
        count: Number of regions at most.
        keep: Share of the score that each region has to keep.
        progress: Called after each step of each search; may end the search for further regions by returning False.

    Returns:
        The result of the first search, which is that of a search for one map, and the regions.
    """
    masks = torch.zeros(len(images), count, *images.shape[2:], dtype=torch.bool, device=images.device)
    maps = torch.zeros_like(masks, dtype=torch.float32)
    kept = torch.full(masks.shape[:2], torch.nan, device=images.device)
    remaining = torch.ones(len(images), device=images.device)
    first: SearchResult | None = None
    rows = torch.arange(len(images), device=images.device)
    stopped = False

    def scores(batch: Tensor, originals: Tensor) -> Tensor:
        return image_scores(score, batch, Batches(settings.batch_size), originals)

    def report(state: Progress) -> bool:
        nonlocal stopped
        stopped = progress is not None and progress(state) is False
        return not stopped

    for number in range(count):
        free = ~masks[rows].any(dim=1)
        found = search(
            partial(_score_of, score, rows),
            images[rows],
            settings=settings,
            mask_cap=free.float() if number else None,
            progress=report,
        )
        first = first or found
        maps[rows, number] = minmax(found.stack)
        done = []
        for own, row in enumerate(rows.tolist()):
            candidates = cuts(found.stack[own], free[own])
            nothing = torch.zeros_like(candidates[:1])
            each = scores_over_fills(scores, images[row], torch.cat([nothing, candidates]), row)
            share = shares(each[1:], first.before[row], each[0])
            chosen = smallest_sufficient(share, keep)
            if chosen is None:
                done.append(own)
                continue
            masks[row, number] = candidates[chosen]
            kept[row, number] = share[chosen].amin()
            rest = scores_over_fills(scores, images[row], ~masks[row].any(dim=0, keepdim=True), row)
            remaining[row] = shares(rest, first.before[row], each[0]).amax()
        rows = rows[[own for own in range(len(rows)) if own not in done]]
        if stopped or not len(rows):
            break
    assert first is not None
    return first, Regions(masks=masks, kept=kept, remaining=remaining, maps=maps)


def _score_of(score: Score, rows: Tensor, images: Tensor, own: Tensor) -> Tensor:
    """The score of images made from some of the batch's, given the indices of these."""
    return score(images, rows[own])
