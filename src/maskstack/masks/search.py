"""The search: compute masks, masked images, scores and losses, take a step, and repeat until every problem is done."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskstack.batches import Batches
from maskstack.errors import InputError, ModelError
from maskstack.masks.adam import DampedAdam
from maskstack.masks.fills import Fills
from maskstack.masks.grids import Upsampler
from maskstack.masks.losses import Reference, consistency, mask_value, removal, total_variation
from maskstack.masks.opening import opened
from maskstack.masks.problems import Problems
from maskstack.masks.result import OnProgress, Progress, Score, SearchResult
from maskstack.masks.settings import SearchSettings
from maskstack.masks.shifts import even_shifts, shift_images, shifted_indices
from maskstack.tensors import blend, spread_over


def search(
    score: Score,
    images: Tensor,
    *,
    settings: SearchSettings,
    fill_image: Tensor | None = None,
    start: Tensor | None = None,
    mask_cap: Tensor | None = None,
    progress: OnProgress | None = None,
) -> SearchResult:
    """Learn the masks of a batch of images.

    Args:
        score: The score to keep. Its gradient has to reach the images.
        images: B x C x H x W, or volumes B x C x D x H x W, float32, preprocessed for the network.
        settings: How to search.
        fill_image: The fill of the name ``given``; broadcasts to the images.
        start: Masks to begin with, B x H x W in (0, 1), averaged over each grid's cells; None for ``settings.start``.
        mask_cap: Masks are multiplied by it, B x H x W in [0, 1], so that they can only open within it; None for 1.
        progress: Called after each step; may end the search by returning False.

    Raises:
        InputError: A grid is larger than the image, the given fill is missing, or fill, start or cap do not fit.
        ModelError: No gradient reaches the images, the images' own score is not finite, or memory runs out.
    """
    images = images.detach()
    if start is not None:
        _check_masks("start", start, images, inside=(start > 0) & (start < 1), values="between 0 and 1")
    if mask_cap is not None:
        _check_masks("mask_cap", mask_cap, images, inside=(mask_cap >= 0) & (mask_cap <= 1), values="from 0 to 1")
    size = tuple(images.shape[2:])
    batches = Batches(settings.batch_size)
    upsampler = Upsampler.build(settings.sizes, size, images.device, blur=settings.grid_blur * min(size))
    problems = Problems.lay_out(len(images), upsampler, settings, start=start, mask_cap=mask_cap)
    fills = Fills(settings.fill, images, blur=settings.blur, seed=settings.seed, given=fill_image)
    before = image_scores(score, images, batches)
    _check_finite(before)
    hidden = [image_scores(score, fills(turn), batches) for turn in range(len(settings.fill))]
    reference = Reference.of(before, torch.stack(hidden, dim=1))
    shown_score = torch.full((len(problems),), torch.nan, dtype=torch.float32, device=images.device)
    hidden_score = shown_score.clone()
    optimiser = DampedAdam(problems.free, problems.cells, problems.rates, damping=settings.damping)
    reach = round(settings.shift * min(size))
    shifts = even_shifts(settings.members * settings.steps, reach, dims=len(size)).to(images.device)
    for step in range(settings.steps):
        working = problems.open.nonzero().flatten()
        # Each member is a step further in its turns than the one before, so that a step has all kinds of them.
        turns = [turn_of(step + member, settings.removal_every) for member in range(settings.members)]
        is_removing = torch.tensor([removing for removing, _ in turns], device=images.device)
        step_fills = [fills(turn + member) for member, (_, turn) in enumerate(turns)]
        gradient = torch.zeros_like(problems.free)

        def learn(chunk: Tensor) -> Tensor:
            with torch.enable_grad():
                free = problems.free.detach()[chunk].requires_grad_(True)
                rows, member = problems.image[chunk], problems.member[chunk]
                removing = is_removing[member]  # noqa: B023 (called within this step only)
                masks = problems.masks(free, chunk)
                shown = torch.where(spread_over(removing, masks), 1 - masks, masks)
                image, fill = _take(images, rows), _take_fill(step_fills, rows, member)  # noqa: B023
                if settings.shift:
                    shown, image, fill = _shifted(shifts[member * settings.steps + step], shown, image, fill)  # noqa: B023
                masked = blend(shown, image, fill)
                scores = one_score_each(score, masked, rows)
                losses = mask_losses(scores, masks, reference.select(rows), settings, removing)
                slopes, reached = _gradients(losses, scores, free, masked)
            last = scores.detach().float()
            shown_score[chunk] = torch.where(removing, shown_score[chunk], last)
            hidden_score[chunk] = torch.where(removing, last, hidden_score[chunk])
            gradient[chunk] = slopes  # noqa: B023
            return losses.detach().masked_fill(~reached, torch.nan)

        losses = torch.cat(batches.run(working, learn))
        optimiser.step(gradient)
        problems.record(working, losses, step)
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
        if not problems.open.any():
            break
    return _result(score, images, problems, reference, fills(0), batches)


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
    losses = losses + settings.mask_weight * mask_value(masks)
    if settings.smoothness:
        losses = losses + settings.smoothness * total_variation(masks)
    return losses


def one_score_each(score: Score, images: Tensor, rows: Tensor) -> Tensor:
    """The scores of masked images, checked: one number per image.

    Raises:
        ModelError: The objective gives another shape.
    """
    scores = score(images, rows)
    if scores.shape != rows.shape:
        raise ModelError(
            f"the objective gave shape {tuple(scores.shape)} for {len(rows)} images; it must give one number per image"
        )
    return scores


@torch.no_grad()
def image_scores(score: Score, images: Tensor, batches: Batches, which: Tensor | None = None) -> Tensor:
    """Scores without gradient, P, of P images; ``which`` has the index of each one's original, else 0 to P - 1."""
    every = torch.arange(len(images), device=images.device)
    rows = every if which is None else which
    return torch.cat(batches.run(every, lambda chunk: one_score_each(score, images[chunk], rows[chunk])))


def open_stack(
    score: Score, images: Tensor, stack: Tensor, reference: Reference, fill: Tensor, settings: SearchSettings
) -> tuple[Tensor, Tensor]:
    """Open the stacks, B x H x W, until their maps keep the settings' share of the score over a fill.

    Returns:
        The stacks, and what was added to the log-odds of each, B.
    """

    def loss(maps: Tensor, rows: Tensor) -> Tensor:
        shown = blend(maps, images[rows], fill[rows])
        scores = image_scores(score, shown, Batches(settings.batch_size), rows)
        return consistency(scores, reference.before[rows], reference.scale[rows])

    if not settings.keep:
        return stack, torch.zeros_like(reference.before)
    return opened(stack, loss, allowed=1 - settings.keep)


def _gradients(losses: Tensor, scores: Tensor, free: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the free values, and for which problems it and the score are finite."""
    # The gradient of the masked images is computed too. The area term always gives the grids a gradient, so with the
    # grids alone a network that passes no gradient would go unnoticed.
    image_gradient, gradient = torch.autograd.grad(losses.sum(), [masked, free], allow_unused=True)
    if not scores.requires_grad or image_gradient is None:
        raise ModelError(
            "no gradient reaches the image through this network and objective; masks need a differentiable "
            "output, so avoid detach, argmax, rounding and NumPy"
        )
    # A problem ends where a value is not finite; its loss is set to NaN to say so.
    return gradient, torch.isfinite(gradient).flatten(1).all(dim=1) & torch.isfinite(scores)


def _result(
    score: Score, images: Tensor, problems: Problems, reference: Reference, fill: Tensor, batches: Batches
) -> SearchResult:
    masks = problems.all_masks()
    stack, opening = open_stack(score, images, problems.stack(), reference, fill, problems.settings)
    under = [image_scores(score, blend(mask, images, fill), batches) for mask in masks.unbind(dim=1)]
    members = problems.member_stacks()
    steps = problems.steps.reshape(len(images), problems.settings.members, -1).amax(dim=1)
    return SearchResult(
        grids=problems.grids(),
        masks=masks,
        stack=stack,
        opening=opening,
        members=members,
        before=reference.before,
        hidden=reference.hidden,
        under_masks=torch.stack(under, dim=1),
        under_stack=image_scores(score, blend(stack, images, fill), batches),
        steps=steps.expand(len(images), masks.shape[1]).clone(),
        failed=problems.failed.reshape(len(images), -1).any(dim=1),
    )


def _check_masks(name: str, masks: Tensor, images: Tensor, *, inside: Tensor, values: str) -> None:
    expected = images[:, 0].shape
    if masks.shape != expected or not inside.all():
        raise InputError(f"{name} has shape {tuple(masks.shape)}; it must be {tuple(expected)}, with values {values}")


def _check_finite(before: Tensor) -> None:
    wrong = (~torch.isfinite(before)).nonzero().flatten().tolist()
    if wrong:
        raise ModelError(
            f"the network's score for image {wrong[0]} is {before[wrong[0]].item()}; check the image's "
            "normalisation and the network's weights"
        )


def _take_fill(fills: Sequence[Tensor], rows: Tensor, member: Tensor) -> Tensor:
    """The fill of each problem, P x C x H x W, from those of each member, B x C x H x W each."""
    found = _take(fills[0], rows)
    for number, fill in enumerate(fills[1:], start=1):
        found = torch.where(spread_over(member == number, found), fill[rows], found)
    return found


def _shifted(shifts: Tensor, masks: Tensor, images: Tensor, fill: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Masks, images and fills, each problem's shifted alike; the edges are reflected."""
    indices = [shifted_indices(shifts[:, axis], side) for axis, side in enumerate(masks.shape[1:])]
    moved = shift_images(masks.unsqueeze(1), *indices).squeeze(1)
    return moved, shift_images(images, *indices), shift_images(fill, *indices)


def _take(tensor: Tensor, rows: Tensor) -> Tensor:
    """Rows of a tensor, without a copy if all rows are selected."""
    if len(rows) == len(tensor) and torch.equal(rows, torch.arange(len(rows), device=rows.device)):
        return tensor
    return tensor[rows]
