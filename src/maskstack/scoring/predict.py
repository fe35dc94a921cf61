"""What a network predicts for images, before anything is explained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from maskstack.errors import ModelError
from maskstack.objectives import class_scores
from maskstack.objectives.outputs import find_tensor
from maskstack.scoring.failures import readable
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.untouched import device_of, untouched
from maskstack.scoring.user_model import Model, UserModel


def class_probabilities(model: Model, images: Tensor) -> Tensor:
    """Probability of each class, B x K; of a network with a single output, B x 1.

    Args:
        model: The network, or what ``load_model`` returned; its state is restored afterwards.
        images: B x C x H x W, preprocessed for the network.

    Raises:
        ModelError: The network does not take the images, or its output is not finite.
    """
    output = network_output(model, images)
    scores = class_scores(find_tensor(output)).float()
    if not torch.isfinite(scores).all():
        raise ModelError("the network's output is NaN or infinite; check its weights and normalisation")
    return scores.sigmoid() if scores.shape[1] == 1 else scores.softmax(dim=1)


def network_output(model: Model, images: Tensor) -> Any:
    """The network's output for images as it is, without gradients, from a network that is restored afterwards.

    Args:
        model: The network, or what ``load_model`` returned.
        images: B x C x H x W, preprocessed for the network.

    Raises:
        ModelError: The network does not take the images.
    """
    own = UserModel.of(model, meaning="probability")
    with torch.no_grad(), untouched(own.model) as found, readable():
        images = images.to(device_of(own.model, images))
        arguments = own.arguments.bind(len(images), images.device)
        return PreparedModel(own.model, found=found, arguments=arguments, dtype=images.dtype).first(images)
