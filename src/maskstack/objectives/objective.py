"""What an objective is: one real number per image, read from the network's output (the paper's "detection node")."""

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
"""What an objective knows of each image: tensors whose first dimension runs over the images."""


@dataclass(frozen=True, eq=False)
class Objective:
    """A scalar per image, read from the network's output.

    Made by the functions of this module. An objective is first bound to a batch, which fills in predicted classes and
    checks targets, and then read for any selection of the batch's images.

    Attributes:
        name: What is read, in words.
        read: From the output for P images, and what is known of these, to P values.
        rows: What is known of each image; of one row (for all images alike) or B rows.
        wanted: Keys of ``rows`` that hold class indices, checked against the output when the objective is bound.
        predicts: Whether the key ``target`` is filled in with the predicted class.
        raw: Whether ``read`` takes the network's output as it is, rather than the tensor found in it.
    """

    name: str
    read: Callable[[Any, Rows], Tensor]
    rows: Rows = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    predicts: bool = False
    raw: bool = False

    def bind(self, output: Any, images: int) -> Objective:
        """Fit the objective to a batch: predicted classes filled in, targets checked, one row per image.

        Args:
            output: The network's output for the batch as it is.
            images: Number of images B in the batch.

        Raises:
            InputError: A class is out of range, or there are not as many targets as images.
            ModelError: The output has no tensor to read, or no class dimension.
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
        """The bound objective for the images of these indices."""
        return replace(self, rows={key: values[images.to(values.device)] for key, values in self.rows.items()})

    def __call__(self, output: Any) -> Tensor:
        """Read the scalars of the selected images from the network's output for them: P values, float32.

        Raises:
            ModelError: The output cannot be read this way, or what was read is not one number per image.
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
        """Class index of each image of a bound objective, or None if it is about no class."""
        return self.rows["target"].tolist() if "target" in self.rows else None


def class_scores(output: Tensor) -> Tensor:
    """The output as scores of classes, B x K.

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
    """Class of the highest score of each image: B."""
    return class_scores(output).detach().argmax(dim=1)


def custom(function: Callable[[Any], Tensor], *, name: str = "custom") -> Objective:
    """Any function from the network's output, as it is, to one number per image.

    The function sees the outputs of any selection of the batch's images, in any order and number; it must read each
    image by itself. What differs between the images of a batch goes into an :class:`Objective` with rows.
    """
    return Objective(name, lambda output, _rows: function(output), raw=True)


def _check_classes(key: str, indices: Tensor, classes: int) -> None:
    wrong = indices[(indices < 0) | (indices >= classes)]
    if len(wrong):
        raise InputError(f"{key} {int(wrong[0])} is out of range; the network has classes 0 to {classes - 1}")
