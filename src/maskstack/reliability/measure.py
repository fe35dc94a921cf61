"""Measures of how far a map can be trusted: what it keeps of the score, and what remains without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.reliability.fills import cell_colours, mean_colour, spread_colours
from maskstack.reliability.trust import Trust
from maskstack.reliability.verdict import REGION_SHARE
from maskstack.tensors import mean_agreement, rank_agreement, score_scale

PASSES = 6
"""Forward passes to measure one map: for each of two fills the fill alone, what is shown, and what is hidden."""

BLANK = "a blank image scores as high, so no region explains the score"

CELLS = 56
"""Largest number of cells a side of the maps whose agreement is measured; to sort all pixels would take longer."""

TOGETHER = 16
"""Maps that are measured at the same time, so that memory does not grow with the number of images."""

LEAST_GAP_TO_FILL = 0.05
"""Least gap between the score of the image and that of a fill, as a share; below it the shares are NaN."""


def measure(
    scores: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    before: Tensor,
    *,
    probability: Tensor | None = None,
    members: Tensor | None = None,
    problems: Sequence[str | None] | None = None,
) -> Trust:
    """Measure any method's maps in :data:`PASSES` forward passes an image.

    Args:
        scores: Function from images, and the index of the original of each, to scores without gradient, such as
            ``scored.scores`` inside :func:`maskstack.scoring.scoring`.
        images: B x C x H x W, float32.
        maps: B x H x W in [0, 1].
        before: Score of each image, B.
        probability: Probability of the class that is explained, B; None if the objective is not about a class.
        members: Maps of each member of a committee, B x K x H x W, which should agree; None if there are none.
        problems: Why a map cannot be used, for each image; None where nothing went wrong.

    Raises:
        InputError: The maps are not of the images' size, or not from 0 to 1.
    """
    if maps.shape != (len(images), *images.shape[2:]) or not (maps.amin() >= 0 and maps.amax() <= 1):
        wanted = " x ".join(map(str, (len(images), *images.shape[2:])))
        raise InputError(f"the maps have shape {tuple(maps.shape)}; they must be {wanted}, from 0 to 1")
    parts = []
    for first in range(0, len(images), TOGETHER):
        own = slice(first, min(first + TOGETHER, len(images)))
        parts.append(
            _measure(
                partial(_scores_from, scores, first),
                images[own],
                maps[own],
                before[own],
                probability=None if probability is None else probability[own],
                members=None if members is None else members[own],
                problems=(None,) * (own.stop - first) if problems is None else problems[own],
            )
        )
    return Trust.joined(parts)


def _scores_from(scores: Callable[[Tensor, Tensor], Tensor], first: int, images: Tensor, rows: Tensor) -> Tensor:
    """Scores of images made from those of a part of the batch, which begins with this one."""
    return scores(images, first + rows)


def _measure(
    scores: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    before: Tensor,
    *,
    probability: Tensor | None,
    members: Tensor | None,
    problems: Sequence[str | None],
) -> Trust:
    """Measure the maps of some images together, see :func:`measure`."""
    region, soft = region_of(maps).to(images), maps.unsqueeze(1)
    cells, mean = cell_colours(images), mean_colour(images)
    found = [
        _shares(scores, images, region, before, hidden=cells, around=cells, within=cells),
        _shares(
            scores,
            images,
            soft,
            before,
            hidden=mean,
            around=spread_colours(images, soft),
            within=spread_colours(images, 1 - soft),
        ),
    ]
    kept = torch.stack([kept for kept, _ in found], dim=1)
    blank = kept.isnan().all(dim=1).tolist()
    not_measured = torch.full_like(before, torch.nan)
    # A single member has no pair: its mean is NaN as well.
    agreement = not_measured if members is None else torch.stack([mean_agreement(each) for each in pooled(members)])
    return Trust(
        kept=kept,
        remaining=torch.stack([remaining for _, remaining in found], dim=1),
        agreement=agreement.to(before),
        probability=not_measured if probability is None else probability,
        seeds=not_measured.new_empty(len(before), 0),
        randomization=not_measured,
        problems=tuple(problem or (BLANK if none else None) for problem, none in zip(problems, blank, strict=True)),
    )


def pooled(maps: Tensor) -> Tensor:
    """Maps, B x K x H x W, as means over at most :data:`CELLS` cells a side; a constant map stays constant."""
    size = [min(side, CELLS) for side in maps.shape[2:]]
    if size == list(maps.shape[2:]):
        return maps
    places = tuple(range(2, maps.ndim))
    low, high = maps.amin(dim=places, keepdim=True), maps.amax(dim=places, keepdim=True)
    return torch.where(low == high, low, functional.interpolate(maps, size=size, mode="area"))


def region_of(maps: Tensor, share: float = REGION_SHARE) -> Tensor:
    """The most salient pixels of each map, B x 1 x H x W booleans; equal values are taken in reading order.

    Args:
        maps: B x H x W.
        share: Their share of all pixels.
    """
    values = maps.flatten(1)
    count = round(share * values.shape[1])
    if not count:
        return torch.zeros_like(maps, dtype=torch.bool).unsqueeze(1)
    # Selecting the last value that belongs to it takes a small part of the time that sorting takes.
    least = values.kthvalue(values.shape[1] - count + 1, dim=1, keepdim=True).values
    above, equal = values > least, values == least
    left = count - above.sum(dim=1, keepdim=True)
    return (above | (equal & (equal.cumsum(dim=1) <= left))).view_as(maps).unsqueeze(1)


def likeness(maps: Tensor, others: Tensor) -> Tensor:
    """Rank correlation of each image's two maps, B.

    Args:
        maps: B x 1 x H x W.
        others: B x 1 x H x W.
    """
    pairs = torch.cat([maps, others], dim=1)
    return torch.stack([rank_agreement(pair)[0, 1] for pair in pairs]).float()


def _shares(
    scores: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    masks: Tensor,
    before: Tensor,
    *,
    hidden: Tensor,
    around: Tensor,
    within: Tensor,
) -> tuple[Tensor, Tensor]:
    """Share of the score that is kept under masks, and share that remains under the inverted masks, B each.

    Args:
        scores: See :func:`measure`.
        images: B x C x H x W.
        masks: B x 1 x H x W in [0, 1].
        before: Score of each image, B.
        hidden: What is shown where everything is hidden, B x C x H x W.
        around: What is shown where the mask is closed.
        within: What is shown where the inverted mask is closed.
    """
    every = torch.arange(len(images), device=images.device)
    nothing = scores(hidden, every).float()
    shown = scores(torch.lerp(around, images, masks), every).float()
    without = scores(torch.lerp(images, within, masks), every).float()
    gap = before - nothing
    gap = gap.masked_fill(gap < LEAST_GAP_TO_FILL * score_scale(before, nothing), torch.nan)
    return (shown - nothing) / gap, (without - nothing) / gap
