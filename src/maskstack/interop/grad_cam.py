"""MDM in the calling convention of pytorch-grad-cam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskstack import objectives
from maskstack.errors import InputError
from maskstack.explainers.mdm import MDM
from maskstack.objectives import Objective


class MDMCAM:
    """A replacement for ``GradCAM``: ``with MDMCAM(model=model) as cam: cam(input_tensor=x, targets=targets)``.

    Args:
        model: The network.
        target_layers: Accepted and ignored, because MDM does not use layers.
        reshape_transform: Accepted and ignored.
        **settings: Settings of :class:`MDM`.
    """

    def __init__(self, model: Any, target_layers: Any = None, reshape_transform: Any = None, **settings: Any) -> None:
        del target_layers, reshape_transform
        self.mdm = MDM(model, **settings)

    def __call__(
        self, input_tensor: Tensor, targets: Sequence[Callable[[Tensor], Tensor]] | None = None, **_options: Any
    ) -> NDArray[np.float32]:
        """Explain a batch.

        Args:
            input_tensor: B x C x H x W.
            targets: One callable per image, from that image's output row to a number, such as
                ``ClassifierOutputTarget``; None explains each image's predicted class.
            **_options: Ignored (``aug_smooth``, ``eigen_smooth``).

        Returns:
            Maps, float32, B x H x W in [0, 1].

        Raises:
            InputError: There are not as many targets as images.
        """
        objective = None if targets is None else _per_image(targets, len(input_tensor))
        saliency: NDArray[np.float32] = self.mdm(input_tensor, objective).saliency[:, 0].cpu().numpy()
        return saliency

    def __enter__(self) -> MDMCAM:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Do nothing, because there are no hooks to remove."""


def _per_image(targets: Sequence[Callable[[Tensor], Tensor]], images: int) -> Objective:
    if len(targets) != images:
        raise InputError(f"{len(targets)} targets for {images} images; give one per image, or None")
    classes = [getattr(target, "category", None) for target in targets]
    if all(isinstance(category, int) and type(target).__name__ == "ClassifierOutputTarget"
           for category, target in zip(classes, targets, strict=True)):  # fmt: skip
        return objectives.class_logit(torch.tensor(classes))

    def read(output: Tensor, rows: objectives.Rows) -> Tensor:
        return torch.stack([targets[index](row) for index, row in zip(rows["image"].tolist(), output, strict=True)])

    return Objective("targets", read, {"image": torch.arange(images)})
