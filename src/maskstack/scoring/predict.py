"""What a network predicts for images, before anything is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskstack.defaults import with_usual_defaults
from maskstack.errors import ModelError
from maskstack.objectives import Output, Reading
from maskstack.objectives.objective import class_rows
from maskstack.objectives.reading import without_classes
from maskstack.scoring.failures import readable
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.session import predict_and_read
from maskstack.scoring.untouched import device_of, untouched
from maskstack.scoring.user_model import Model, UserModel


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network gives for images.

    Attributes:
        reading: What the output is.
        values: Probability of each class, B x classes; the numbers themselves, B x K, of a regression.
    """

    reading: Reading
    values: Tensor


@with_usual_defaults
def prediction(model: Model, images: Tensor, *, output: Output = None) -> Prediction:
    """Run the network once and read what its output is.

    Args:
        model: The network, or what ``load_model`` returned; its state is restored afterwards.
        images: B x C x H x W, preprocessed for the network.
        output: Which output is read, and how, see :class:`maskstack.MDM`.

    Raises:
        InputError: There is no such output.
        ModelError: The network does not take the images, or its output is not finite or has neither classes nor
            numbers.
    """
    network = UserModel.of(model, meaning="probability", output=output)
    with untouched(network.model) as found, torch.no_grad(), readable():
        images = images.to(device_of(network.model, images))
        arguments = network.arguments.bind(len(images), images.device)
        prepared = PreparedModel(network.model, found=found, arguments=arguments, dtype=images.dtype)
        outputs, reading = predict_and_read(prepared, images, network, batch_size=max(1, len(images)))
    if reading is None or reading.kind in ("map", "embedding"):
        raise ModelError("the network's output cannot be read" if reading is None else without_classes(reading))
    scores = torch.cat([class_rows(each, reading) for each in outputs])
    if not torch.isfinite(scores).all():
        raise ModelError("the network's output is NaN or infinite; check its weights and normalisation")
    return Prediction(reading, scores if reading.kind == "number" else reading.probabilities(scores))


def class_probabilities(model: Model, images: Tensor, *, output: Output = None) -> Tensor:
    """Probability of each class, B x K; a single output has two classes.

    Args:
        model: The network, or what ``load_model`` returned; its state is restored afterwards.
        images: B x C x H x W, preprocessed for the network.
        output: Which output is read, and how, see :class:`maskstack.MDM`.

    Raises:
        InputError: There is no such output.
        ModelError: The network does not take the images, or its output is not finite or has no classes.
    """
    found = prediction(model, images, output=output)
    if found.reading.kind == "number":
        raise ModelError(
            f"the network's output is {found.reading.words()}, not class scores; if they are class scores, say it with "
            "output='logits'"
        )
    return found.values


@with_usual_defaults
def network_output(model: Model, images: Tensor) -> Any:
    """The network's output for images as it is, without gradients, from a network that is restored afterwards.

    Args:
        model: The network, or what ``load_model`` returned.
        images: B x C x H x W, preprocessed for the network.

    Raises:
        ModelError: The network does not take the images.
    """
    own = UserModel.of(model, meaning="probability")
    with untouched(own.model) as found, torch.no_grad(), readable():
        images = images.to(device_of(own.model, images))
        arguments = own.arguments.bind(len(images), images.device)
        return PreparedModel(own.model, found=found, arguments=arguments, dtype=images.dtype).first(images)
