"""One image as one network sees it: what every method explains and every metric judges by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from maskstack.datasets import AnnotatedImage, Carrier, Truth
from maskstack.errors import InputError, ModelError
from maskstack.models import LoadedModel
from maskstack.objectives import class_scores
from maskstack.objectives.outputs import find_tensor

TARGETS = ("label", "predicted")
"""Which class is explained: the image's label (the predicted class where it has none), or the predicted class."""


@dataclass(frozen=True)
class Case:
    """An image, the class to explain, and what is known of it.

    Attributes:
        image: C x H x W, as the network takes it.
        target: The class that is explained.
        predicted: The class the network takes the image for.
        truth: Boxes and masks in the network's pixels.
        score: Probabilities of the target for N images.
        network: Answers for N images: N x K.
    """

    image: Tensor
    target: int
    predicted: int
    truth: Truth
    score: Callable[[Tensor], Tensor]
    network: Callable[[Tensor], Tensor]

    @cached_property
    def before(self) -> Tensor:
        """Probability of the target on the image, a scalar."""
        return self.score(self.image.unsqueeze(0))[0]


class Cases:
    """Makes the cases of one network.

    Args:
        net: The network.
        target: Of :data:`TARGETS`.
    """

    def __init__(self, net: LoadedModel, *, target: str = "label") -> None:
        self.net, self.target = net, target
        self.carrier = Carrier(net.preprocess)
        self.device = next((p.device for p in net.model.parameters()), torch.device("cpu"))

    def __call__(self, annotated: AnnotatedImage) -> Case:
        """Open an image, let its boxes follow it, and look up the class to explain.

        Raises:
            InputError: The file cannot be read, or its label is none of the network's classes.
            ModelError: The network's answer is not a finite number per class.
        """
        picture = annotated.open()
        image = self.net.preprocess(picture).to(self.device)
        answers = self._answers(image.unsqueeze(0))[0]
        predicted = int(answers.argmax())
        wanted = annotated.label if self.target == "label" else None
        target = predicted if wanted is None else wanted
        if not 0 <= target < len(answers):
            raise InputError(f"label {target} is out of range; the network has classes 0 to {len(answers) - 1}")

        def score(images: Tensor) -> Tensor:
            return probabilities(self._answers(images))[:, target]

        truth = self.carrier.carry(annotated, picture)
        return Case(image, target, predicted, truth, score, self._answers)

    def predicted(self, annotated: AnnotatedImage) -> int:
        """The class the network takes an image for."""
        image = self.net.preprocess(annotated.open()).to(self.device)
        return int(self._answers(image.unsqueeze(0))[0].argmax())

    @torch.no_grad()
    def _answers(self, images: Tensor) -> Tensor:
        output = self.net.model(images.contiguous(memory_format=torch.channels_last))
        scores = class_scores(find_tensor(output)).float()
        if not torch.isfinite(scores).all():
            raise ModelError("the network's answer is NaN or infinite; check its weights and normalisation")
        return scores


def probabilities(answers: Tensor) -> Tensor:
    """Softmax over the classes; of a network with a single output, its sigmoid."""
    return answers.sigmoid() if answers.shape[1] == 1 else answers.softmax(dim=1)
