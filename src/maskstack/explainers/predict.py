"""What a network says of images, before anything is explained."""

from __future__ import annotations

import torch
from torch import Tensor

from maskstack.errors import ModelError
from maskstack.explainers.untouched import untouched
from maskstack.models import LoadedModel
from maskstack.objectives import class_scores
from maskstack.outputs import find_tensor


def class_probabilities(net: LoadedModel, images: Tensor) -> Tensor:
    """Probability of each class, B x K; of a network with a single output, B x 1.

    Args:
        net: The network; it comes back as it was.
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
                f"the network does not take images of shape {tuple(images.shape[1:])}; give the size it was made for, "
                f"as size=224 in the spec ({reason})"
            ) from error
    scores = class_scores(find_tensor(output)).float()
    if not torch.isfinite(scores).all():
        raise ModelError("the network's answer is NaN or infinite; check its weights and normalisation")
    return scores.sigmoid() if scores.shape[1] == 1 else scores.softmax(dim=1)
