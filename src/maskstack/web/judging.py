"""What the page measures: what a network says of a photo, and how faithful a map is to it."""

from __future__ import annotations

import torch
from torch import Tensor

from maskstack.errors import ModelError
from maskstack.explainers.untouched import untouched
from maskstack.metrics import area_under, blur, pixel_curve
from maskstack.models import LoadedModel
from maskstack.objectives import class_scores
from maskstack.outputs import find_tensor

STEPS = 20
"""Equal shares of the pixels on the curves."""

BLUR = 10 / 224
"""Deviation of the blur that hides, as a share of the image's shorter side."""


def class_probabilities(net: LoadedModel, images: Tensor) -> Tensor:
    """Probability of each class, B x K; of a network with a single output, B x 1.

    Args:
        net: The network.
        images: B x C x H x W, as the network takes them.

    Raises:
        ModelError: The network does not take the images, or its answer is not finite.
    """
    with torch.no_grad(), untouched(net.model):
        try:
            output = net.model(images)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(
                f"the network does not take images of {tuple(images.shape[1:])}; give size= in its spec ({reason})"
            ) from error
        scores = class_scores(find_tensor(output)).float()
    if not torch.isfinite(scores).all():
        raise ModelError("the network's answer is NaN or infinite; check its weights and normalisation")
    return scores.sigmoid() if scores.shape[1] == 1 else scores.softmax(dim=1)


def curves(net: LoadedModel, image: Tensor, saliency: Tensor, target: int) -> tuple[list[float], list[float]]:
    """Insertion and deletion curve of a map, both between the photo and its wide blur.

    Args:
        net: The network.
        image: C x H x W, as the network takes it.
        saliency: H x W.
        target: Class whose probability is followed.
    """
    hidden = blur(image, sigma=BLUR * min(image.shape[1:]))

    def score(batch: Tensor) -> Tensor:
        return class_probabilities(net, batch)[:, target]

    saliency = saliency.to(image.device)
    inserted = pixel_curve(score, saliency, hidden, image, steps=STEPS)
    deleted = pixel_curve(score, saliency, image, hidden, steps=STEPS)
    return inserted.tolist(), deleted.tolist()


def area(curve: list[float]) -> float:
    """Area under a curve at equal steps."""
    return float(area_under(torch.tensor(curve)))
