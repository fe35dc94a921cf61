"""The search for the masks of a batch of images, a group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maskstack.batches import Batches
from maskstack.errors import InputError
from maskstack.masks.fills import given_fill
from maskstack.masks.result import OnProgress, Progress, Score, SearchResult
from maskstack.masks.scores import score_of
from maskstack.masks.settings import SearchSettings
from maskstack.masks.steps import search_group


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
        progress: Called after each step, with what belongs to the images that are searched for at the time. May end the
            search by returning False; the images after them then get a single step.

    Images are searched for in groups of the settings' ``batch_size``, so that memory does not grow with their number,
    but for the result. What is found for an image does not depend on the others.

    Raises:
        InputError: A grid is larger than the image, the given fill is missing, or fill, start or cap do not fit.
        ModelError: No gradient reaches the images, the images' own score is not finite, or memory runs out.
    """
    images = images.detach()
    if start is not None:
        _check_masks("start", start, images, inside=(start > 0) & (start < 1), values="between 0 and 1")
    if mask_cap is not None:
        _check_masks("mask_cap", mask_cap, images, inside=(mask_cap >= 0) & (mask_cap <= 1), values="from 0 to 1")
    given = None if fill_image is None else given_fill(images, fill_image)
    batches = Batches(settings.batch_size)
    every = torch.arange(len(images), device=images.device)
    groups = range(0, len(images), settings.batch_size)
    report = None if progress is None else _GroupsProgress(progress, len(groups))

    def found() -> Iterator[SearchResult]:
        for first in groups:
            own = slice(first, first + settings.batch_size)
            yield search_group(
                score_of(score, every[own]),
                images[own],
                settings=settings,
                batches=batches,
                fill_image=None if given is None else given[own],
                start=None if start is None else start[own],
                mask_cap=None if mask_cap is None else mask_cap[own],
                progress=report,
            )
            if report is not None:
                report.before += settings.steps

    return SearchResult.gathered(found(), len(images))


@dataclass
class _GroupsProgress:
    """Reports the progress of each group as that of all groups."""

    progress: OnProgress
    groups: int
    before: int = 0
    stopped: bool = False

    def __call__(self, state: Progress) -> bool:
        if not self.stopped:
            joined = replace(state, step=self.before + state.step, steps=self.groups * state.steps)
            self.stopped = self.progress(joined) is False
        return not self.stopped


def _check_masks(name: str, masks: Tensor, images: Tensor, *, inside: Tensor, values: str) -> None:
    expected = images[:, 0].shape
    if masks.shape != expected or not inside.all():
        raise InputError(f"{name} has shape {tuple(masks.shape)}; it must be {tuple(expected)}, with values {values}")
