"""The search of a group of images: masks, masked images, scores and losses, a step, and again until all are done."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from maskstack.batches import Batches
from maskstack.errors import ModelError
from maskstack.masks.adam import DampedAdam
from maskstack.masks.fills import Fills
from maskstack.masks.grids import Upsampler
from maskstack.masks.losses import Reference, area_and_contour, consistency, mask_value, removal
from maskstack.masks.problems import Problems
from maskstack.masks.result import OnProgress, Progress, Score, SearchResult
from maskstack.masks.scores import check_finite, image_scores, one_score_each, open_stack
from maskstack.masks.settings import SearchSettings
from maskstack.masks.shifts import even_shifts
from maskstack.masks.shown import Scene, Sides, shown
from maskstack.reliability.measure import pooled
from maskstack.tensors import blend, sent


def search_group(
    score: Score,
    images: Tensor,
    *,
    settings: SearchSettings,
    batches: Batches,
    fill_image: Tensor | None = None,
    start: Tensor | None = None,
    mask_cap: Tensor | None = None,
    progress: OnProgress | None = None,
) -> SearchResult:
    """Learn the masks of a group of images, all at the same time.

    See :func:`maskstack.masks.search.search`; ``batches`` runs the passes, a few images at a time.
    """
    size = tuple(images.shape[2:])
    upsampler = Upsampler.build(settings.sizes, size, images.device, blur=settings.grid_blur * min(size))
    problems = Problems.lay_out(len(images), upsampler, settings, start=start, mask_cap=mask_cap)
    reach = round(settings.shift * min(size))
    shifts = even_shifts(settings.members * settings.steps, reach, dims=len(size)).tolist()
    fills = Fills(settings.fill, images, blur=settings.blur, seed=settings.seed, given=fill_image, margin=reach)
    before = image_scores(score, images, batches)
    check_finite(before)
    first_fill = fills(0)  # kept, because noise would be other noise the next time
    later = (fills(turn) for turn in range(1, len(settings.fill)))
    hidden = [image_scores(score, fill, batches) for fill in chain([first_fill], later)]
    reference = Reference.of(before, torch.stack(hidden, dim=1))
    shown_score = torch.full((len(problems),), torch.nan, dtype=torch.float32, device=images.device)
    hidden_score = shown_score.clone()
    optimiser = DampedAdam(problems.free, problems.cells, problems.rates, damping=settings.damping)
    gradient = torch.zeros_like(optimiser.first)
    images_of, members_of = problems.image.tolist(), problems.member.tolist()
    # Each member is a step further in its turns than the one before, so that a step has all kinds of them.
    turns = [
        [turn_of(step + member, settings.removal_every) for member in range(settings.members)]
        for step in range(settings.steps)
    ]
    removing_of = torch.tensor([[removing for removing, _ in each] for each in turns], device=images.device)

    def scene(problem: int, step: int, sides: Sequence[Sides]) -> Scene:
        member = members_of[problem]
        removing, _ = turns[step][member]
        return Scene(sides[member], removing, images_of[problem], shifts[member * settings.steps + step])

    def learn(step: int, sides: Sequence[Sides], listed: Sequence[int], working: Tensor, places: range) -> Tensor:
        """The losses of some of the listed problems in a step; their gradients and scores are noted."""
        part = slice(places.start, places.stop)
        chunk = working[part]
        # Slices of all problems are taken and written without a copy.
        which = part if len(listed) == len(problems) else chunk
        with torch.enable_grad():
            free = problems.free.detach()[which].requires_grad_(True)
            rows, removing = problems.image[chunk], removing_of[step][problems.member[chunk]]
            masks = problems.masks(free, chunk)
            masked = shown(masks, [scene(problem, step, sides) for problem in listed[part]])
            scores = one_score_each(score, masked, rows)
            losses = mask_losses(scores, masks, reference.select(rows), settings, removing)
            slopes = _slopes(losses, scores, free, masked)
        last = scores.detach().float()
        shown_score[chunk] = torch.where(removing, shown_score[chunk], last)
        hidden_score[chunk] = torch.where(removing, last, hidden_score[chunk])
        slopes = optimiser.packed(slopes)
        gradient[which] = slopes
        # A problem ends where a value is not finite; its loss is set to NaN to say so.
        # The sum of a gradient is not finite where any of its values is not.
        return losses.detach().masked_fill(~torch.isfinite(slopes.sum(dim=1) + last), torch.nan)

    listed = list(range(len(problems)))
    working = torch.tensor(listed, device=images.device)
    for step in range(settings.steps):
        sides = [fills.sides(turn + member) for member, (_, turn) in enumerate(turns[step])]
        losses = torch.cat(batches.run(range(len(listed)), partial(learn, step, sides, listed, working)))
        optimiser.step(gradient, problems.record(working, losses, step))
        problems.keep_in_range()
        if progress is not None:
            state = Progress(
                step=step + 1,
                steps=settings.steps,
                open=int(problems.open.sum()),
                problems=len(problems),
                loss=problems.loss,
                shown_score=shown_score.clone(),
                hidden_score=hidden_score.clone(),
                preview=problems.stack,
            )
            if progress(state) is False:
                break
        # The only time in a step that the host waits for the device.
        still = [number for number, is_open in enumerate(problems.open.tolist()) if is_open]
        if not still:
            break
        if still != listed:
            listed, working = still, sent(torch.tensor(still), images.device)
    return _result(score, images, problems, reference, first_fill, batches)


def turn_of(step: int, removal_every: int) -> tuple[bool, int]:
    """Whether a step is a removal step, and how many steps of its kind came before it; each kind uses all fills.

    >>> [turn_of(step, 3) for step in range(6)]
    [(False, 0), (False, 1), (True, 0), (False, 2), (False, 3), (True, 1)]
    """
    if not removal_every:
        return False, step
    removals = (step + 1) // removal_every
    removing = (step + 1) % removal_every == 0
    return removing, removals - 1 if removing else step - removals


def mask_losses(
    scores: Tensor, masks: Tensor, reference: Reference, settings: SearchSettings, removing: Tensor
) -> Tensor:
    """The loss of each problem, P: consistency or removal, plus the terms for area and smoothness."""
    kept = consistency(scores, reference.before, reference.scale, settings.consistency)
    left = settings.removal * removal(scores, reference.hidden, reference.scale)
    losses = torch.where(removing, left, kept)
    if not settings.smoothness:
        return losses + settings.mask_weight * mask_value(masks)
    area, contour = area_and_contour(masks)
    return losses + settings.mask_weight * area + settings.smoothness * contour


def _slopes(losses: Tensor, scores: Tensor, free: Tensor, masked: Tensor) -> Tensor:
    """Gradient of the free values."""
    # The gradient of the masked images is computed too. The area term always gives the grids a gradient, so with the
    # grids alone a network that passes no gradient would go unnoticed.
    image_gradient, gradient = torch.autograd.grad(losses.sum(), [masked, free], allow_unused=True)
    if not scores.requires_grad or image_gradient is None:
        raise ModelError(
            "no gradient reaches the image through this network and objective; masks need a differentiable "
            "output, so avoid detach, argmax, rounding and NumPy"
        )
    return gradient


def _result(
    score: Score, images: Tensor, problems: Problems, reference: Reference, fill: Tensor, batches: Batches
) -> SearchResult:
    masks, members = problems.all_masks(), problems.member_stacks()
    stack, opening = open_stack(score, images, members.mean(dim=1), reference, fill, problems.settings)
    under = [image_scores(score, blend(mask, images, fill), batches) for mask in masks.unbind(dim=1)]
    steps = problems.steps.reshape(len(images), problems.settings.members, -1).amax(dim=1)
    return SearchResult(
        grids=problems.grids(),
        masks=masks,
        stack=stack,
        opening=opening,
        members=pooled(members),
        # Along a dimension that is not the last, Tensor.std takes several times as long.
        spread=(members - members.mean(dim=1, keepdim=True)).square().mean(dim=1).sqrt(),
        before=reference.before,
        hidden=reference.hidden,
        under_masks=torch.stack(under, dim=1),
        under_stack=image_scores(score, blend(stack, images, fill), batches),
        steps=steps.expand(len(images), masks.shape[1]).clone(),
        failed=problems.failed.reshape(len(images), -1).any(dim=1),
    )
