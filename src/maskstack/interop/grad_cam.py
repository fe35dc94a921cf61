"""MDM in the calling convention of pytorch-grad-cam."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskstack import objectives
from maskstack.errors import InputError, ModelError
from maskstack.explainers.mdm import MDM
from maskstack.objectives import Objective
from maskstack.objectives.outputs import find_tensor
from maskstack.scoring.predict import network_output

Target = Callable[[Any], Tensor]
"""A target of pytorch-grad-cam: from an image's own output to a number."""

_IGNORED = ("use_cuda", "compute_input_gradient", "uses_gradients", "tta_transforms", "detach")
"""Options of pytorch-grad-cam's classes that have no meaning for MDM."""


class MDMCAM:
    """A replacement for ``GradCAM``: ``with MDMCAM(model=model) as cam: cam(input_tensor=x, targets=targets)``.

    Args:
        model: The network.
        target_layers: Accepted and ignored, because MDM does not use layers.
        reshape_transform: Accepted and ignored.
        **settings: Settings of :class:`MDM`; other options of pytorch-grad-cam are ignored with a warning.

    Attributes:
        model: The network.
    """

    def __init__(self, model: Any, target_layers: Any = None, reshape_transform: Any = None, **settings: Any) -> None:
        del target_layers, reshape_transform
        _warn([name for name in _IGNORED if settings.pop(name, None)])
        self.mdm = MDM(model, **settings)
        self.model = self.mdm.model
        self._explained: Tensor | None = None
        self._outputs: Any = None

    def __call__(
        self,
        input_tensor: Tensor,
        targets: Sequence[Target] | Sequence[int] | Tensor | int | None = None,
        aug_smooth: bool = False,
        eigen_smooth: bool = False,
        **options: Any,
    ) -> NDArray[np.float32]:
        """Explain a batch.

        Args:
            input_tensor: B x C x H x W.
            targets: One callable per image, from that image's own output to one number, such as
                ``ClassifierOutputTarget``; or class indices; None explains each image's predicted class. The output of
                a detector, a list of mappings, is handed over as it is.
            aug_smooth: Ignored with a warning.
            eigen_smooth: Ignored with a warning.
            **options: Unknown options are ignored with a warning.

        Returns:
            Maps, float32, B x H x W in [0, 1].

        Raises:
            InputError: There are not as many targets as images, or they are neither callables nor class indices.
            ModelError: A target gives several numbers for an image.
        """
        smoothing = {"aug_smooth": aug_smooth, "eigen_smooth": eigen_smooth}
        _warn([name for name, wanted in smoothing.items() if wanted] + list(options))
        objective = None if targets is None else _objective(targets, len(input_tensor))
        self._explained, self._outputs = input_tensor, None
        saliency: NDArray[np.float32] = self.mdm(input_tensor, objective).saliency[:, 0].cpu().numpy()
        return saliency

    @property
    def outputs(self) -> Any:
        """The network's output for the images that were explained last, without gradients; one more pass."""
        if self._outputs is None and self._explained is not None:
            self._outputs = network_output(self.mdm.user_model.with_(None), self._explained)
        return self._outputs

    def __enter__(self) -> MDMCAM:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Do nothing, because there are no hooks to remove."""


def _warn(names: Sequence[str]) -> None:
    if names:
        warnings.warn(f"MDMCAM ignores {', '.join(names)}; masks have no such option", UserWarning, stacklevel=3)


def _objective(targets: Any, images: int) -> Objective:
    """The objective that targets of pytorch-grad-cam, or class indices, stand for."""
    if isinstance(targets, Tensor | np.ndarray):
        targets = targets.tolist()
    targets = [targets] * images if callable(targets) or isinstance(targets, int | np.integer) else list(targets)
    if len(targets) != images:
        raise InputError(f"{len(targets)} targets for {images} images; give one per image, or None")
    classes = [_class_of(target) for target in targets]
    if all(each is not None for each in classes):
        return objectives.class_logit(torch.tensor(classes))
    if not all(callable(target) for target in targets):
        raise InputError("targets are neither functions of an image's output nor class indices; give one kind")

    def read(output: Any, rows: objectives.Rows) -> Tensor:
        items = _items(output)
        if len(items) != len(rows["image"]):
            raise ModelError(f"the network gave {len(items)} outputs for {len(rows['image'])} images")
        return torch.stack(
            [_value(targets[index], item) for index, item in zip(rows["image"].tolist(), items, strict=True)]
        )

    return Objective("targets", read, {"image": torch.arange(images)}, raw=True)


def _class_of(target: Any) -> int | None:
    """The class index that a target stands for, if its value is that class's logit."""
    if type(target).__name__ == "ClassifierOutputTarget":
        target = target.category
    whole = isinstance(target, int | np.integer) and not isinstance(target, bool)
    return int(target) if whole else None


def _items(output: Any) -> Any:
    """Each image's own output: an entry of a detector's list, or a row of the tensor."""
    if isinstance(output, list | tuple) and output and all(isinstance(each, Mapping) for each in output):
        return output
    return find_tensor(output).float()


def _value(target: Target, item: Any) -> Tensor:
    """The target's number for an image."""
    value = torch.as_tensor(target(item))
    if value.numel() != 1:
        name = getattr(target, "__name__", type(target).__name__)
        raise ModelError(f"the target {name} gave {value.numel()} numbers for an image; it must give one")
    value = value.reshape(()).float()
    if isinstance(item, Mapping) and not value.requires_grad:
        # A detector that finds nothing gives a constant; its empty outputs still lead back to the image.
        for each in item.values():
            if isinstance(each, Tensor) and each.requires_grad:
                value = value + 0 * each.sum()
    return value
