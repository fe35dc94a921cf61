"""One image as one network sees it, with the class to explain and the annotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from maskstack.datasets import AnnotatedImage, AnnotationTransform, GroundTruth
from maskstack.errors import InputError
from maskstack.models import LoadedModel
from maskstack.scoring import class_probabilities

TARGETS = ("label", "predicted")
"""Which class is explained: the image's label (the predicted class where it has none), or the predicted class."""


@dataclass(frozen=True)
class Case:
    """An image, the class to explain, and the annotations.

    Attributes:
        image: C x H x W, preprocessed for the network.
        target: The class that is explained.
        predicted: The class that the network predicts.
        truth: Boxes and masks in the network's pixels.
        probabilities: From N images to the probability of each class, N x K.
    """

    image: Tensor
    target: int
    predicted: int
    truth: GroundTruth
    probabilities: Callable[[Tensor], Tensor]

    def score(self, images: Tensor) -> Tensor:
        """Probabilities of the target for N images, N."""
        return self.probabilities(images)[:, self.target]

    @cached_property
    def before(self) -> Tensor:
        """Probability of the target on the image, a scalar."""
        return self.score(self.image.unsqueeze(0))[0]


class Cases:
    """Makes the cases of one network.

    Args:
        net: The network.
        target: Which class is explained, one of :data:`TARGETS`.
    """

    def __init__(self, net: LoadedModel, *, target: str = "label") -> None:
        self.net, self.target = net, target
        self.transform = AnnotationTransform(net.preprocess)
        self.device = next((p.device for p in net.model.parameters()), torch.device("cpu"))

    def __call__(self, annotated: AnnotatedImage) -> Case:
        """Open an image, map its annotations to the network's pixels, and find the class to explain.

        Raises:
            InputError: The file cannot be read, or its label is not one of the network's classes.
            ModelError: The network's output is not a finite number per class.
        """
        picture = annotated.open()
        image = self._input(picture)
        found = self._probabilities(image.unsqueeze(0))[0]
        predicted = int(found.argmax())
        wanted = annotated.label if self.target == "label" else None
        target = predicted if wanted is None else wanted
        if not 0 <= target < len(found):
            raise InputError(f"label {target} is out of range; the network has classes 0 to {len(found) - 1}")
        return Case(image, target, predicted, self.transform(annotated, picture), self._probabilities)

    def predicted(self, annotated: AnnotatedImage) -> int:
        """The class that the network predicts for an image."""
        return int(self._probabilities(self._input(annotated.open()).unsqueeze(0))[0].argmax())

    def _input(self, picture: Image.Image) -> Tensor:
        return self.net.preprocess(picture).to(self.device)

    def _probabilities(self, images: Tensor) -> Tensor:
        return class_probabilities(self.net, images.contiguous(memory_format=torch.channels_last))
