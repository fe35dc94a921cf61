"""The variants of ``docs/choices.md``: other methods and controls, then the default with one setting changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.photographs import Photograph
from maskstack import MDM
from maskstack.models import LoadedModel
from maskstack.tensors import minmax

Method = Callable[[LoadedModel, Photograph], tuple[Tensor, Tensor, int]]
"""Computes saliency (H x W), stack (H x W) and the number of passes from a network and a photograph."""


def mdm(**settings: Any) -> Method:
    """MDM with these changes to the default."""

    def explain(net: LoadedModel, photo: Photograph) -> tuple[Tensor, Tensor, int]:
        found = MDM(net, **settings)(photo.image.unsqueeze(0), photo.target)
        return found.saliency[0, 0], found.stack[0, 0], int(found.backward_passes[0])

    return explain


def grad_cam(net: LoadedModel, photo: Photograph) -> tuple[Tensor, Tensor, int]:
    """Grad-CAM at the last convolution, by the grad-cam package."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    last = [module for module in net.model.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    image = photo.image.unsqueeze(0).requires_grad_(True)
    with GradCAM(model=net.model, target_layers=[last]) as cam:
        saliency = torch.from_numpy(cam(input_tensor=image, targets=[ClassifierOutputTarget(photo.target)])[0])
    return saliency, saliency, 1


def random_map(_net: LoadedModel, photo: Photograph) -> tuple[Tensor, Tensor, int]:
    """Control: independent noise."""
    noise = torch.rand(photo.inside.shape, generator=torch.Generator().manual_seed(photo.target))
    return noise, noise, 0


def centre(_net: LoadedModel, photo: Photograph) -> tuple[Tensor, Tensor, int]:
    """Control: a Gaussian in the middle of the image."""
    height, width = photo.inside.shape
    down, across = torch.linspace(-1, 1, height).unsqueeze(1), torch.linspace(-1, 1, width)
    bump = minmax(torch.exp(-(down**2 + across**2) / (2 * 0.4**2)))
    return bump, bump, 0


FORMER: Mapping[str, Any] = {
    "sizes": (3, 7, 14, 28, 56),
    "stack": "mean",
    "removal_every": 0,
    "steps": 60,
    "learning_rate": 0.1,
    "start": 0.5,
}
"""The former default, without the log-odds stack and without the steps that score the hidden part."""

VARIANTS: Mapping[str, Method] = {
    "random map": random_map,
    "centre Gaussian": centre,
    "Grad-CAM": grad_cam,
    "paper": mdm(preset="paper"),
    "former default": mdm(**FORMER),
    "former, log-odds stack": mdm(**{**FORMER, "stack": "log_odds", "learning_rate": 0.6}),
    "former, log-odds stack, removal": mdm(
        **{**FORMER, "stack": "log_odds", "learning_rate": 0.6, "removal_every": 2},
    ),
    "default": mdm(),
    "fast": mdm(preset="fast"),
    "fine": mdm(preset="fine"),
    "mean stack": mdm(stack="mean", learning_rate=0.1),
    "no removal": mdm(removal_every=0),
    "removal every 3": mdm(removal_every=3),
    "removal 1": mdm(removal=1.0),
    "removal 6": mdm(removal=6.0),
    "without 112 cells": mdm(sizes=(3, 7, 14, 28, 56)),
    "without 3 cells": mdm(sizes=(7, 14, 28, 56, 112)),
    "mask weight 1": mdm(mask_weight=1.0),
    "mask weight 4": mdm(mask_weight=4.0),
    "smoothness 0": mdm(smoothness=0.0),
    "smoothness 0.15": mdm(smoothness=0.15),
    "fill zero": mdm(fill="zero"),
    "fill zero, blur": mdm(fill=("zero", "blur")),
    "start 0.5": mdm(start=0.5),
    "start 0.8": mdm(start=0.8),
    "learning rate 0.3": mdm(learning_rate=0.3),
    "60 steps": mdm(steps=60),
    "log-probability": mdm(objective="log_probability"),
    "logit": mdm(objective="logit"),
    "bf16": mdm(precision="bf16"),
}
