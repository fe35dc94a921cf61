"""The search: one step for all open problems, until they are done."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from maskstack.errors import InputError, ModelError
from maskstack.masks.batches import Batches
from maskstack.masks.fills import Fills, blend
from maskstack.masks.grids import Upsampler
from maskstack.masks.losses import consistency, mask_value, reference_scale, removal, total_variation
from maskstack.masks.problems import Problems
from maskstack.masks.result import OnProgress, Progress, Score, SearchResult
from maskstack.masks.settings import SearchSettings
from maskstack.masks.stack import stack_masks


def search(
    score: Score,
    images: Tensor,
    *,
    settings: SearchSettings,
    fill_image: Tensor | None = None,
    start: Tensor | None = None,
    limit: Tensor | None = None,
    progress: OnProgress | None = None,
) -> SearchResult:
    """Learn the masks of a batch of images.

    Args:
        score: The activation to keep. Its gradient has to reach the images.
        images: B x C x H x W, float32, as the network takes them.
        settings: How to search.
        fill_image: The fill of the name ``given``; broadcasts to the images.
        start: Masks to begin with, B x H x W in (0, 1), averaged over each grid's cells; None for ``settings.start``.
        limit: What masks are multiplied with, B x H x W in [0, 1], so that they can only open within it; None for 1.
        progress: Called after each step; may end the search by returning False.

    Raises:
        InputError: A grid is larger than the image, the given fill is missing, or fill, start or limit do not fit.
        ModelError: No gradient reaches the images, the images' own activation is not finite, or memory runs out.
    """
    if start is not None and (start.shape != images[:, 0].shape or not ((start > 0) & (start < 1)).all()):
        raise InputError(
            f"start has shape {tuple(start.shape)}; it must be {tuple(images[:, 0].shape)}, with values between 0 and 1"
        )
    if limit is not None and (limit.shape != images[:, 0].shape or not ((limit >= 0) & (limit <= 1)).all()):
        raise InputError(
            f"limit has shape {tuple(limit.shape)}; it must be {tuple(images[:, 0].shape)}, with values from 0 to 1"
        )
    with torch.enable_grad():
        return _Search(score, images.detach(), settings, fill_image, start, limit).run(progress)


class _Search:
    def __init__(
        self,
        score: Score,
        images: Tensor,
        settings: SearchSettings,
        fill_image: Tensor | None,
        start: Tensor | None,
        limit: Tensor | None,
    ) -> None:
        self.started = time.perf_counter()
        self.score, self.images, self.settings, self.limit = score, images, settings, limit
        self.upsampler = Upsampler.build(settings.sizes, (images.shape[-2], images.shape[-1]), images.device)
        self.problems = Problems.lay_out(len(images), self.upsampler, settings, start=start)
        self.batches = Batches(settings.batch_size)
        self.fill = Fills(settings.fill, images, blur=settings.blur, seed=settings.seed, given=fill_image)
        self.kept = torch.full((len(self.problems.open),), torch.nan, dtype=torch.float32, device=images.device)
        self.left = self.kept.clone()

    def run(self, progress: OnProgress | None) -> SearchResult:
        before = self._scores(self.images)
        if not torch.isfinite(before).all():
            which = (~torch.isfinite(before)).nonzero().flatten().tolist()
            raise ModelError(
                f"the network's answer for image {which[0]} is {before[which[0]].item()}; check the image's "
                "normalisation and the network's weights"
            )
        hidden = torch.stack([self._scores(self.fill(index)) for index in range(len(self.settings.fill))])
        self.before, self.hidden, self.scale = before, hidden, reference_scale(before, hidden)
        self._learn(progress)
        return self._result(before, hidden)

    def _learn(self, progress: OnProgress | None) -> None:
        problems = self.problems
        problems.free.requires_grad_(True)
        optimiser = torch.optim.Adam([problems.free], lr=self.settings.learning_rate)
        kept = problems.free.detach().clone()
        for step in range(self.settings.steps):
            working = problems.open.nonzero().flatten()
            losses, gradient = self._step(working, step)
            problems.free.grad = gradient
            optimiser.step()
            with torch.no_grad():
                problems.hold()
                problems.record(working, losses, step)
                # Adam's momentum goes on moving what has left the batch, so what counts is kept aside.
                fine = working[~problems.failed[working]]
                kept[fine] = problems.free[fine]
            if progress is not None and progress(self._progress(step, kept)) is False:
                break
            if not problems.open.any():
                break
        problems.free = kept

    def _step(self, working: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Losses of the problems worked on, and the gradient of all free values (zero elsewhere)."""
        gradient = torch.zeros_like(self.problems.free)
        removing, turn = self._turn(step)
        fill = self.fill(turn)

        def work(chunk: Tensor) -> Tensor:
            losses, gradient[chunk] = self._losses(chunk, fill, removing)
            return losses

        return torch.cat(self.batches.run(working, work)), gradient

    def _turn(self, step: int) -> tuple[bool, int]:
        """Whether a step asks the hidden part, and how many of its kind were before it: each has all fills in turn."""
        every = self.settings.removal_every
        if not every:
            return False, step
        removals = (step + 1) // every
        removing = (step + 1) % every == 0
        return removing, removals - 1 if removing else step - removals

    def _losses(self, chunk: Tensor, fill: Tensor, removing: bool) -> tuple[Tensor, Tensor]:
        rows = self.problems.image[chunk]
        free = self.problems.free.detach()[chunk].requires_grad_(True)
        masks = self._masks(free, chunk)  # P H W
        masked = blend(1 - masks if removing else masks, _take(self.images, rows), _take(fill, rows))
        activation = self._score(masked, rows)
        (self.left if removing else self.kept)[chunk] = activation.detach().float()
        scale = self.scale[rows]
        if removing:
            losses = self.settings.removal * removal(activation, self.hidden[:, rows], scale)
        else:
            losses = consistency(activation, self.before[rows], scale, self.settings.consistency)
        losses = losses + self.settings.mask_weight * mask_value(masks)
        if self.settings.smoothness:
            losses = losses + self.settings.smoothness * total_variation(masks)
        # The masked images are asked for too: with only the grids, whose price always has a gradient, a network that
        # lets none through would go unnoticed.
        reached, gradient = torch.autograd.grad(losses.sum(), [masked, free], allow_unused=True)
        if not activation.requires_grad or reached is None:
            raise ModelError(
                "no gradient reaches the image through this network and objective; masks can only be learned where "
                "the output is differentiable (no detach, argmax, rounding or numpy on the way)"
            )
        # Where a value is not finite the problem ends: its loss is made to say so, whichever way it came about.
        whole = torch.isfinite(gradient).flatten(1).all(dim=1) & torch.isfinite(activation)
        return losses.detach().masked_fill(~whole, torch.nan), gradient

    def _score(self, images: Tensor, rows: Tensor) -> Tensor:
        """The score, checked: one number per image."""
        activation = self.score(images, rows)
        if activation.shape != rows.shape:
            raise ModelError(
                f"the objective gave shape {tuple(activation.shape)} for {len(rows)} images; it must give one number "
                "per image"
            )
        return activation

    def _masks(self, free: Tensor, chunk: Tensor) -> Tensor:
        """The mask of each problem of a chunk, P x H x W: its upsampled grid, or the stack of them."""
        values = self.problems.upsampled(free)
        joint = self.settings.joint
        masks = self.upsampler.mean(values) if joint else self.upsampler(values[:, 0], self.problems.size[chunk, 0])
        masks = masks.sigmoid() if self.problems.in_log_odds else masks
        return masks if self.limit is None else masks * self.limit[self.problems.image[chunk]]

    def _scores(self, images: Tensor) -> Tensor:
        """Activation of one image for each original image, without gradient."""
        every = torch.arange(len(images), device=images.device)
        with torch.no_grad():
            return torch.cat(self.batches.run(every, lambda chunk: self._score(images[chunk], chunk)))

    def _per_size(self, values: Tensor) -> Tensor:
        """Values of all grids by image and size, B x S x h x w, padded."""
        return values.detach().reshape(len(self.images), len(self.upsampler.sizes), *self.upsampler.cells)

    def _all_masks(self, free: Tensor) -> Tensor:
        values = self._per_size(self.problems.upsampled(free))
        sizes = torch.arange(values.shape[1], device=values.device).expand(len(values), -1)
        masks = self.upsampler(values, sizes)
        masks = masks.sigmoid() if self.problems.in_log_odds else masks.clamp(0, 1)  # rounding may leave the range
        return masks if self.limit is None else masks * self.limit.unsqueeze(1)

    def _stack(self, free: Tensor) -> Tensor:
        if self.problems.in_log_odds:  # from the log-odds themselves: the masks' have been rounded to 0 and 1
            stack = self.upsampler.mean(self._per_size(free)).sigmoid()
            return stack if self.limit is None else stack * self.limit
        return stack_masks(self._all_masks(free), self.settings.stack)

    def _progress(self, step: int, free: Tensor) -> Progress:
        return Progress(
            step=step + 1,
            steps=self.settings.steps,
            open=int(self.problems.open.sum()),
            problems=len(self.problems.open),
            loss=self.problems.loss,
            kept=self.kept.clone(),
            left=self.left.clone(),
            preview=lambda: self._stack(free),
        )

    def _result(self, before: Tensor, hidden: Tensor) -> SearchResult:
        count, sizes = len(self.images), len(self.upsampler.sizes)
        free = self.problems.free
        values, masks, stack = self._per_size(self.problems.values(free)), self._all_masks(free), self._stack(free)
        fill = self.fill(0)
        under = [self._scores(blend(mask, self.images, fill)) for mask in masks.unbind(dim=1)]
        steps = self.problems.steps.reshape(count, -1)
        backward = steps.sum(dim=1)
        failed = self.problems.failed.reshape(count, -1).any(dim=1)
        return SearchResult(
            grids=tuple(self.upsampler.crop(values[:, size], size).clone() for size in range(sizes)),
            masks=masks,
            stack=stack,
            before=before,
            hidden=hidden,
            under_masks=torch.stack(under, dim=1),
            under_stack=self._scores(blend(stack, self.images, fill)),
            steps=steps.expand(count, sizes).clone(),
            # before, under each fill alone, under each mask and under the stack
            forward_passes=backward + 2 + len(self.settings.fill) + sizes,
            backward_passes=backward,
            failed=failed,
            seconds=time.perf_counter() - self.started,
        )


def _take(tensor: Tensor, rows: Tensor) -> Tensor:
    """Rows of a tensor, without a copy where they are all of it."""
    if len(rows) == len(tensor) and torch.equal(rows, torch.arange(len(rows), device=rows.device)):
        return tensor
    return tensor[rows]
