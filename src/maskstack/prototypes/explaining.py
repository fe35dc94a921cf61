"""What a page says of an image: the prototypes that spoke for a class, and where, here and in their own images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from maskstack.errors import InputError
from maskstack.explanation import Explanation
from maskstack.prototypes.checkpoint import Prototypes
from maskstack.prototypes.push import duplicates
from maskstack.prototypes.search import finder


@dataclass(frozen=True, eq=False)
class Said:
    """What one prototype said of an image.

    Attributes:
        prototype: Its number.
        activation: Its similarity to the image.
        weight: What the class makes of a unit of it.
        source: Name of the training image it comes from.
        here: H x W in [0, 1], its region in the image.
        picture: Its own training image; None where it is not at hand.
        there: H x W in [0, 1], its region in that; None where it is not at hand.
    """

    prototype: int
    activation: float
    weight: float
    source: str
    here: Tensor
    picture: Image.Image | None
    there: Tensor | None

    @property
    def contribution(self) -> float:
        """What it added to the class's logit."""
        return self.activation * self.weight


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network said of an image, and why.

    Attributes:
        label: The class that is explained.
        name: Of the class.
        logit: Of the class.
        probability: Of the class.
        said: The prototypes that contributed most, first the greatest.
        found: The explanations of the regions in the image, a row for each of ``said``.
    """

    label: int
    name: str
    logit: float
    probability: float
    said: tuple[Said, ...]
    found: Explanation


def answer(
    prototypes: Prototypes,
    image: Tensor,
    *,
    label: int | None = None,
    top: int = 3,
    method: str = "mdm",
    data: Path | None = None,
) -> Answer:
    """Explain an image by the prototypes of a class that contributed most to it.

    Args:
        prototypes: The network.
        image: C x H x W, as the network takes it.
        label: The class; the one with the highest logit if None.
        top: How many prototypes.
        method: How regions are searched for, see :func:`maskstack.prototypes.locate`.
        data: Training data's folder, for pictures that the checkpoint does not hold.

    Raises:
        InputError: There is no such class, or a method that is unknown.
    """
    network = prototypes.network
    with torch.no_grad():
        logits = network(image.unsqueeze(0))[0]
        activations = network.activations(image.unsqueeze(0))[0]
    label = int(logits.argmax()) if label is None else label
    if not 0 <= label < len(logits):
        raise InputError(f"class {label} is out of range; the network has classes 0 to {len(logits) - 1}")
    probabilities = logits.sigmoid() if prototypes.multi_label else logits.softmax(dim=0)
    own = torch.tensor(prototypes.prototypes_of(label))
    weights = network.weights.detach()[own, label]
    order = (weights * activations[own]).argsort(descending=True, stable=True)[:top]
    chosen = own[order].tolist()
    search = finder(network, method)
    found = search(image.expand(len(chosen), -1, -1, -1), chosen)
    pictures, there = sources(prototypes, chosen, method=method, data=data)
    said = tuple(
        Said(
            number,
            float(activations[number]),
            float(network.weights.detach()[number, label]),
            prototypes.sources[number].image,
            found.saliency[row, 0],
            pictures[row],
            there[row],
        )
        for row, number in enumerate(chosen)
    )
    return Answer(label, prototypes.class_names[label], float(logits[label]), float(probabilities[label]), said, found)


def sources(
    prototypes: Prototypes, numbers: list[int], *, method: str, data: Path | None = None
) -> tuple[list[Image.Image | None], list[Tensor | None]]:
    """The training images that prototypes come from, and their regions there, found in one batch.

    Args:
        prototypes: The network.
        numbers: Of the prototypes.
        method: How regions are searched for.
        data: Training data's folder.

    Returns:
        For each a picture and an H x W map; None for both where the picture is not at hand.
    """
    pictures = [prototypes.source_picture(number, data=data) for number in numbers]
    at_hand = [row for row, picture in enumerate(pictures) if picture is not None]
    regions: list[Tensor | None] = [None] * len(numbers)
    if at_hand:
        images = torch.stack([prototypes.prepare(picture) for picture in pictures if picture is not None])
        found = finder(prototypes.network, method, nearness=True)(images, [numbers[row] for row in at_hand])
        for place, row in enumerate(at_hand):
            regions[row] = found.saliency[place, 0]
    return pictures, regions


def notes(prototypes: Prototypes) -> dict[int, str]:
    """What is wrong with prototypes: which of them are the same as another."""
    return {later: f"duplicate of {earlier}" for later, earlier in duplicates(prototypes.network).items()}
