"""The objective: a function from the network's output to one real number per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from maskstack.errors import InputError, ModelError
from maskstack.objectives.outputs import find_tensor

Target = int | Sequence[int] | Tensor | None
"""A class index for all images, one per image, or None for each image's predicted class."""

Rows = Mapping[str, Tensor]
"""Data of each image that an objective needs, by key: tensors whose first dimension is that of the images."""


@dataclass(frozen=True, eq=False)
class Objective:
    """A function from the network's output to one real number per image.

    An objective is first bound to a batch, which sets predicted classes and checks targets. Then it can be called with
    the output for any selection of the batch's images.

    Attributes:
        name: Name of the objective.
        read: Function from the output for P images, and the rows of these images, to P values.
        rows: Data of each image: one row for all images, or B rows.
        wanted: Keys of ``rows`` with class indices, which are checked against the output when the objective is bound.
        predicts: Whether the key ``target`` is set to the predicted class.
        raw: Whether ``read`` gets the network's raw output, rather than the tensor found in it.
    """

    name: str
    read: Callable[[Any, Rows], Tensor]
    rows: Rows = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    predicts: bool = False
    raw: bool = False

    def bind(self, output: Any, images: int) -> Objective:
        """Bind the objective to a batch: set predicted classes, check targets, and expand to one row per image.

        Args:
            output: The network's raw output for the batch.
            images: Number of images B in the batch.

        Raises:
            InputError: A class is out of range, or the number of targets is not the number of images.
            ModelError: The output contains no tensor, or has no class dimension.
        """
        rows = dict(self.rows)
        if self.predicts:
            rows["target"] = predicted_class(find_tensor(output))
        for key, values in rows.items():
            if len(values) not in (1, images):
                raise InputError(f"{len(values)} values of {key} for {images} images; give one, or one per image")
            rows[key] = values.expand(images, *values.shape[1:])
        for key in self.wanted:
            _check_classes(key, rows[key], class_scores(find_tensor(output)).shape[1])
        return replace(self, rows=rows, predicts=False)

    def select(self, images: Tensor) -> Objective:
        """The bound objective for a selection of the images.

        Args:
            images: Indices of the images, P.
        """
        return replace(self, rows={key: values[images.to(values.device)] for key, values in self.rows.items()})

    def __call__(self, output: Any) -> Tensor:
        """Compute the values of the selected images from the network's output for them: P values, float32.

        Raises:
            ModelError: The output has the wrong form, or the result is not one number per image.
        """
        found = output if self.raw else find_tensor(output)
        device = found.device if isinstance(found, Tensor) else None
        rows = {key: values.to(device) for key, values in self.rows.items()}
        values = self.read(found.float() if isinstance(found, Tensor) else found, rows)
        if not isinstance(values, Tensor) or values.ndim != 1:
            what = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"a {type(values).__name__}"
            raise ModelError(f"the objective {self.name} gave {what}; it must give one number per image, shape (B,)")
        return values.float()

    @property
    def targets(self) -> list[int] | None:
        """Class index of each image of a bound objective; None if the objective is not for a class."""
        return self.rows["target"].tolist() if "target" in self.rows else None


def class_scores(output: Tensor) -> Tensor:
    """The output as class scores, B x K.

    Raises:
        ModelError: The output is not B x K.
    """
    if output.ndim == 1:
        output = output.unsqueeze(1)
    if output.ndim != 2:
        raise ModelError(
            f"the network's output has shape {tuple(output.shape)}, not images x classes; use objectives.region for a "
            "map of scores, or objectives.custom"
        )
    return output


def predicted_class(output: Tensor) -> Tensor:
    """Class with the highest score for each image, B."""
    return class_scores(output).detach().argmax(dim=1)


def custom(function: Callable[[Any], Tensor], *, name: str = "custom") -> Objective:
    """An objective from any function of the network's raw output.

    The function is called with the outputs for any selection of the batch's images, in any order; the value of an image
    must not depend on the other images. Use an :class:`Objective` with rows for data that differs between images.

    Args:
        function: Function from the raw output for P images to P numbers.
        name: Name of the objective.
    """
    return Objective(name, lambda output, _rows: function(output), raw=True)


def _check_classes(key: str, indices: Tensor, classes: int) -> None:
    wrong = indices[(indices < 0) | (indices >= classes)]
    if len(wrong):
        raise InputError(f"{key} {int(wrong[0])} is out of range; the network has classes 0 to {classes - 1}")
