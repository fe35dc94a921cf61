"""The one protocol of this package."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from maskstack.explanation import Explanation
from maskstack.objectives import Objective, Target


class Explainer(Protocol):
    """Anything that explains a batch of images: B x C x H x W and what to explain, to an explanation."""

    def __call__(self, images: Tensor, objective: Objective | Target = None, /) -> Explanation:
        """Explain the objective (or the class, or the predicted class) on each image."""
        ...
