"""The curves that the page measures: how faithful a map is to the network."""

from __future__ import annotations

import torch
from torch import Tensor

from maskstack.metrics import area_under, blur, pixel_curve
from maskstack.models import LoadedModel
from maskstack.scoring.predict import class_probabilities

STEPS = 20
"""Number of steps of the curves; each changes the same share of the pixels."""

BLUR = 10 / 224
"""Standard deviation of the blur that hides pixels, as a share of the image's shorter side."""


def curves(net: LoadedModel, image: Tensor, saliency: Tensor, target: int) -> tuple[list[float], list[float]]:
    """Insertion and deletion curve of a map, both between the photo and its blurred version.

    Args:
        net: The network.
        image: C x H x W, preprocessed for the network.
        saliency: H x W.
        target: Class whose probability is measured.
    """
    hidden = blur(image, sigma=BLUR * min(image.shape[1:]))

    def score(batch: Tensor) -> Tensor:
        return class_probabilities(net, batch)[:, target]

    saliency = saliency.to(image.device)
    inserted = pixel_curve(score, saliency, hidden, image, steps=STEPS)
    deleted = pixel_curve(score, saliency, image, hidden, steps=STEPS)
    return inserted.tolist(), deleted.tolist()


def area(curve: list[float]) -> float:
    """Area under a curve of equal steps."""
    return float(area_under(torch.tensor(curve)))
