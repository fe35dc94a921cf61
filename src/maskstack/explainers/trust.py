"""How far a map can be trusted: its region alone, the image without it, another fill, the sizes among each other."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.explainers.inputs import check_images
from maskstack.explainers.network import Network
from maskstack.explainers.subject import Model, Subject, bind
from maskstack.explainers.untouched import device_of, untouched
from maskstack.explanation import Explanation
from maskstack.masks.batches import Batches
from maskstack.masks.fills import blend
from maskstack.masks.losses import reference_scale
from maskstack.masks.result import Score
from maskstack.metrics.agreement import mean_agreement
from maskstack.metrics.order import keep_top
from maskstack.objectives import Objective, Target
from maskstack.trust import Trust

PASSES = 4
"""Images sent forward to measure one map: the fill alone, the region alone, the image without it, the map itself."""

REGION = 0.3
"""Share of the pixels that are the region of a map."""

CELLS = 4
"""The fill keeps the mean colours of so many cells either way."""

LEAST_GAP = 0.05
"""An image's score above the fill's by less than this share of it is no evidence to divide."""


def trust(
    model: Model,
    images: Tensor,
    saliency: Tensor,
    objective: Objective | Callable[[Any], Tensor] | Target = None,
    *,
    meaning: str = "probability",
    batch_size: int = 32,
) -> Trust:
    """Measure any method's maps, in six forward passes an image: two for the prediction and the score.

    Args:
        model: The network, or what ``load_model`` returned; comes back as it was.
        images: B x C x H x W, floating point, as the network takes them.
        saliency: Maps of these images, B x H x W or B x 1 x H x W, from 0 to 1.
        objective: What the maps explain, see :class:`maskstack.MDM`.
        meaning: What a class index means: a name of :data:`maskstack.objectives.NAMED`.
        batch_size: Images in one forward pass at most.

    Returns:
        ``kept``, ``removed`` and ``fill``, on the images' device; the rest is NaN.

    Raises:
        InputError: The images, the maps or the target cannot be used.
        ModelError: The network's output cannot be read.
    """
    check_images(images)
    subject = Subject.of(model, objective=meaning)
    goal = subject.goal(objective)
    maps = saliency[:, 0] if saliency.ndim == 4 and saliency.shape[1] == 1 else saliency
    if maps.shape != (len(images), *images.shape[2:]) or not (maps.amin() >= 0 and maps.amax() <= 1):
        raise InputError(
            f"the maps have shape {tuple(saliency.shape)}; they must be {len(images)} x {images.shape[2]} x "
            f"{images.shape[3]}, from 0 to 1"
        )
    with untouched(subject.model):
        network = Network(subject.model, dtype=images.dtype, channels_last=True)
        moved = images.detach().to(device_of(subject.model, images))
        bound = bind(network, moved, goal, batch_size=batch_size)

        def score(batch: Tensor, rows: Tensor) -> Tensor:
            return bound.select(rows)(network(batch))

        moved = moved.float()
        every = torch.arange(len(moved), device=moved.device)
        with torch.no_grad():
            before = torch.cat(Batches(batch_size).run(every, lambda rows: score(moved[rows], rows)))
        return measure(score, moved, maps.to(moved.device), before, batch_size=batch_size).to(images.device)


def with_trust(
    explanation: Explanation, score: Score, images: Tensor, *, batch_size: int, sizes: bool = True
) -> Explanation:
    """The explanation with its maps measured: ``trust`` filled in, low trust said in ``degenerate``, passes counted.

    To be called where the network is untouched and in evaluation mode.

    Args:
        explanation: Of these images.
        score: The score that the maps explain, as the search calls it.
        images: B x C x H x W, float32, on the network's device.
        batch_size: Images in one forward pass at most.
        sizes: Whether the explanation's masks are of several sizes for the same thing, and so should agree.
    """
    started = time.perf_counter()
    stack, before = (values.to(images.device) for values in (explanation.stack[:, 0], explanation.score_before))
    found = measure(score, images, stack, before, masks=explanation.masks if sizes else None, batch_size=batch_size)
    found = found.to(explanation.saliency.device)
    return dataclasses.replace(
        explanation,
        trust=found,
        degenerate=with_doubts(explanation.degenerate, found),
        forward_passes=explanation.forward_passes + PASSES,
        seconds=explanation.seconds + time.perf_counter() - started,
    )


def with_doubts(reasons: tuple[str | None, ...], found: Trust) -> tuple[str | None, ...]:
    """Each image's reason not to trust its map; where there was none, the first one of its low trust."""
    return tuple(reason or next(iter(found.doubts(row)), None) for row, reason in enumerate(reasons))


def measure(
    score: Score, images: Tensor, maps: Tensor, before: Tensor, *, masks: Tensor | None = None, batch_size: int
) -> Trust:
    """Measure maps in :data:`PASSES` forward passes an image.

    Args:
        score: From images and the index of each one's original to scores.
        images: B x C x H x W, float32.
        maps: B x H x W in [0, 1].
        before: Score of each image, B.
        masks: Masks of each size, B x S x H x W; None if there are none to compare.
        batch_size: Images in one forward pass at most.
    """

    def scores(rows: Tensor) -> Tensor:
        own, some = images[rows], maps[rows]
        fill = colours(own)
        region = torch.stack([keep_top(one, REGION) for one in some]).unsqueeze(1)
        # One kind at a time, so that no pass is larger than the batch.
        shown = fill, torch.where(region, own, fill), torch.where(region, fill, own), blend(some, own, fill)
        return torch.stack([score(each, rows) for each in shown], dim=1)

    every = torch.arange(len(images), device=images.device)
    with torch.no_grad():
        hidden, alone, without, under = torch.cat(Batches(batch_size).run(every, scores)).float().unbind(dim=1)
    gap = before - hidden
    gap = gap.masked_fill(gap < LEAST_GAP * reference_scale(before, hidden), torch.nan)
    nothing = torch.full_like(before, torch.nan)
    # A single mask has no pair: its mean is NaN as well.
    sizes = nothing if masks is None else torch.stack([mean_agreement(each) for each in masks]).to(before)
    return Trust(
        kept=(alone - hidden) / gap,
        removed=(without - hidden) / gap,
        fill=(under - hidden) / gap,
        sizes=sizes,
        seeds=nothing.new_empty(len(before), 0),
        randomization=nothing,
    )


def colours(images: Tensor) -> Tensor:
    """What no search trains with: each image's own colours in a few cells, smoothed, so that no shape is left.

    Args:
        images: B x C x H x W.
    """
    cells = functional.adaptive_avg_pool2d(images, CELLS)
    return functional.interpolate(cells, size=images.shape[2:], mode="bilinear", align_corners=False)
