"""The way of every method but the mask search: run the network untouched and counted, then scale the maps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.explainers.inputs import check_images
from maskstack.explainers.network import Network
from maskstack.explainers.scored import ScoredNetwork
from maskstack.explainers.subject import Subject, bind, versions
from maskstack.explainers.untouched import device_of, untouched
from maskstack.explanation import Explanation
from maskstack.objectives import Objective, Target


@dataclass(frozen=True)
class Maps:
    """What a method found for a batch.

    Attributes:
        values: B x h x w, any real numbers, high where the evidence is; upsampled where coarser than the image.
        grids: What the method itself works with, where that is coarser than the image: B x h x w each.
        notes: What the reader has to know, such as the layer that was used.
    """

    values: Tensor
    grids: tuple[Tensor, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


Attribute = Callable[[ScoredNetwork, Tensor], Maps]
"""A method: from a scored network and images B x C x H x W to maps."""


def explain(
    attribute: Attribute,
    subject: Subject,
    images: Tensor,
    objective: Objective | Callable[[Any], Tensor] | Target = None,
    *,
    method: str,
    settings: Mapping[str, Any],
    batch_size: int = 32,
) -> Explanation:
    """Explain a batch by a method that gives only maps.

    Args:
        attribute: The method.
        subject: The network and what a class index means to it.
        images: B x C x H x W, floating point, as the network takes them.
        objective: See :class:`maskstack.MDM`.
        method: Its name, for the result.
        settings: Its settings, for the result; what JSON can hold.
        batch_size: Images in one pass where the targets are looked up.

    Returns:
        Maps scaled to [0, 1] each; ``stack`` is the same map, as there are no masks.

    Raises:
        InputError: The images or the target cannot be used.
        ModelError: The network's output cannot be read.
    """
    check_images(images)
    goal = subject.goal(objective)
    started = time.perf_counter()
    with untouched(subject.model):
        network = Network(subject.model, dtype=images.dtype, channels_last=True)
        moved = images.detach().to(device_of(subject.model, images))
        bound = bind(network, moved, goal, batch_size=batch_size)
        scored = ScoredNetwork(network, bound, len(images))
        before = scored.scores(moved.float(), torch.arange(len(images)), batch_size=batch_size)
        with torch.enable_grad():
            found = attribute(scored, moved.float())
    device = images.device
    values = found.values.detach().to(device).float()
    saliency = _scaled(values, (images.shape[2], images.shape[3]))
    several = len(images)
    return Explanation(
        saliency=saliency,
        stack=saliency,
        masks=torch.empty(several, 0, *saliency.shape[2:], device=device),
        grids=tuple(grid.detach().to(device).float() for grid in found.grids),
        method=method,
        objective=bound.name,
        target=None if bound.targets is None else tuple(bound.targets),
        target_name=subject.names(bound),
        score_before=before.to(device),
        score_hidden=torch.empty(0, several, device=device),
        score_under_masks=torch.empty(several, 0, device=device),
        score_under_stack=torch.full((several,), torch.nan, device=device),
        steps=torch.empty(several, 0, dtype=torch.int64, device=device),
        forward_passes=(scored.forward_passes + 1).to(device),  # and the prediction
        backward_passes=scored.backward_passes.to(device),
        seconds=time.perf_counter() - started,
        settings=dict(settings),
        versions=versions(moved.device),
        degenerate=tuple(_doubt(value) for value in values),
        notes=dict(found.notes),
    )


def _scaled(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps of the images' size, each from 0 to 1: B x 1 x H x W. A map that is the same everywhere becomes zero."""
    values = values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).unsqueeze(1)
    if values.shape[2:] != size:
        values = functional.interpolate(values, size=size, mode="bilinear", align_corners=False)
    low, high = values.amin(dim=(1, 2, 3), keepdim=True), values.amax(dim=(1, 2, 3), keepdim=True)
    return (values - low) / (high - low).clamp_min(torch.finfo(torch.float32).tiny)


def _doubt(values: Tensor) -> str | None:
    if not torch.isfinite(values).all():
        return "the method gave NaN or infinite values"
    if values.amax() == values.amin():
        return "the map is the same everywhere"
    return None
