"""Several regions of one image: search, cut out the smallest region that suffices, and search in what is left."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskstack.batches import Batches
from maskstack.masks.fills import given_fill
from maskstack.masks.result import OnProgress, Progress, Score, SearchResult
from maskstack.masks.scores import image_scores, score_of
from maskstack.masks.search import search
from maskstack.masks.settings import SearchSettings
from maskstack.reliability.cuts import AREAS, FILLS, PIECES, Scores, cuts, scores_over_fills, shares, with_pieces
from maskstack.reliability.evidence import Regions
from maskstack.tensors import minmax

CUT_PASSES = FILLS * (len(AREAS) * (1 + PIECES) + 2)
"""Forward passes at most with which a region is cut out of a map."""


def regions_passes(count: int) -> int:
    """Maximum number of forward passes with which this number of regions is cut out, besides the searches.

    Each search is followed by cuts until one fails, and by one look at what remains.
    """
    return 2 * count * CUT_PASSES + count * 2 * FILLS


def search_regions(
    score: Score,
    images: Tensor,
    *,
    settings: SearchSettings,
    count: int,
    keep: float,
    fill_image: Tensor | None = None,
    progress: OnProgress | None = None,
) -> tuple[SearchResult, Regions]:
    """Search for regions that each keep a share of the score by themselves and have no pixel in common.

    The smallest region that suffices is cut out of the map: one of its cuts, or a connected piece of one. It is
    followed by the next smallest in the same map. Where the map holds no further one, the image is searched again, with
    masks that may open only outside of the regions found before. It ends for an image where a search finds none. The
    idea is that of HDM (arXiv 2301.04970).

    Args:
        score: The score to keep. Its gradient has to reach the images.
        images: B x C x H x W, float32, preprocessed for the network.
        settings: How to search, each time.
        count: Number of regions at most.
        keep: Share of the score that each region has to keep.
        fill_image: The fill of the name ``given``; broadcasts to the images.
        progress: Called after each step of each search; may end the search for further regions by returning False.

    Returns:
        The result of the first search, which is that of a search for one map, and the regions.
    """
    given = None if fill_image is None else given_fill(images, fill_image)
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
            score_of(score, rows),
            images[rows],
            settings=settings,
            fill_image=None if given is None else given[rows],
            mask_cap=free.float() if number else None,
            progress=report,
        )
        first = first or found
        left = []
        for own, row in enumerate(rows.tolist()):
            cut = _Cutter(scores, images[row], row, first.before[row], keep)
            taken = masks[row].any(dim=0)
            place = int(masks[row].flatten(1).any(dim=1).sum())
            before = place
            while place < count and (region := cut.next(found.stack[own], ~taken)) is not None:
                masks[row, place], kept[row, place] = region
                maps[row, place] = minmax(found.stack[own], dims=free.ndim - 1)
                taken, place = taken | region[0], place + 1
            remaining[row] = cut.remaining(~taken)
            if before < place < count:
                left.append(row)
        rows = torch.tensor(left, dtype=torch.long, device=images.device)
        if stopped or not len(rows):
            break
    assert first is not None
    return first, Regions(masks=masks, kept=kept, remaining=remaining, maps=maps)


@dataclass(frozen=True)
class _Cutter:
    """Cuts regions that suffice out of maps of one image."""

    scores: Scores
    image: Tensor
    row: int
    before: Tensor
    keep: float

    def next(self, saliency: Tensor, free: Tensor) -> tuple[Tensor, Tensor] | None:
        """The smallest region of a map within the free pixels that suffices, H x W, and what it keeps; None if none."""
        candidates = with_pieces(cuts(saliency, free))
        if not len(candidates):
            return None
        kept = self._shares(candidates).amin(dim=1)
        enough = (kept >= self.keep).nonzero()
        return (candidates[enough[0, 0]], kept[enough[0, 0]]) if len(enough) else None

    def remaining(self, shown: Tensor) -> Tensor:
        """The share of the score with only these pixels shown, the higher of both fills."""
        return self._shares(shown.unsqueeze(0)).amax()

    def _shares(self, shown: Tensor) -> Tensor:
        """Shares over the fills, N x F, with only these pixels shown, N x H x W."""
        each = scores_over_fills(self.scores, self.image, torch.cat([torch.zeros_like(shown[:1]), shown]), self.row)
        return shares(each[1:], self.before, each[0])
