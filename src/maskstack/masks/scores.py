"""Scores of masked images during a search."""

from __future__ import annotations

import torch
from torch import Tensor

from maskstack.batches import Batches
from maskstack.errors import ModelError
from maskstack.masks.losses import Reference, consistency
from maskstack.masks.opening import opened
from maskstack.masks.result import Score
from maskstack.masks.settings import SearchSettings
from maskstack.tensors import blend


def score_of(score: Score, rows: Tensor) -> Score:
    """The score of images made from some of a batch's images, given the indices of these in it."""
    return lambda images, own: score(images, rows[own])


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
    rows = torch.arange(len(images), device=images.device) if which is None else which

    def part(places: range) -> Tensor:
        chunk = slice(places.start, places.stop)
        return one_score_each(score, images[chunk].contiguous(), rows[chunk])

    return torch.cat(batches.run(range(len(images)), part))


def check_finite(before: Tensor) -> None:
    """Check the images' own scores.

    Raises:
        ModelError: One is not finite.
    """
    wrong = (~torch.isfinite(before)).nonzero().flatten().tolist()
    if wrong:
        raise ModelError(
            f"the network's score for image {wrong[0]} is {before[wrong[0]].item()}; check the image's "
            "normalisation and the network's weights"
        )


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
