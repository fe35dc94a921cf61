"""How long a network takes on this machine, measured before the work to tell its expected time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from maskstack.objectives.outputs import named_tensors


def pass_seconds(model: Callable[[Tensor], Any], images: Tensor) -> tuple[float, float]:
    """Seconds of a forward and of a backward pass, each the shorter of two.

    Args:
        model: The network.
        images: B x C x H x W, on the network's device.
    """
    forward = backward = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        leaf = images.detach().requires_grad_(True)
        outputs = [each for each in named_tensors(model(leaf.clone())).values() if each.requires_grad]
        between = time.perf_counter()
        if outputs:
            torch.autograd.grad(torch.stack([each.float().sum() for each in outputs]).sum(), leaf, allow_unused=True)
        forward, backward = min(forward, between - started), min(backward, time.perf_counter() - between)
    return forward, backward


def expected_seconds(model: Callable[[Tensor], Any], images: Tensor, passes: Mapping[str, int]) -> float:
    """Seconds that so many ``forward`` and ``backward`` passes of an image are expected to take.

    Args:
        model: The network.
        images: As many images as a pass has, B x C x H x W, on the network's device.
        passes: Numbers of passes, each of one image.
    """
    forward, backward = pass_seconds(model, images)
    return (forward * passes["forward"] + backward * passes["backward"]) / len(images)
