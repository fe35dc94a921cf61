"""The objective: a function from the network's output to one real number per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from maskstack.errors import InputError, ModelError, a_type
from maskstack.objectives.outputs import as_rows, select_tensor
from maskstack.objectives.reading import Reading, assumed, pick, without_classes

NUMBER = "number"
"""Name of the objective that is the output's own number."""

Target = int | Sequence[int] | Tensor | None
"""A class index for all images, one per image, or None for each image's predicted class."""

Rows = Mapping[str, Tensor]
"""Data of each image that an objective needs, by key: tensors whose first dimension is that of the images."""


ClassRead = Callable[[Reading, Tensor, Rows], Tensor]
"""From what the output is, the output B x K and the rows of its images to one number per image."""


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
        of_class: For scores of a class, takes the place of ``read``: it also gets what the output is.
        nothing: What a score of exactly zero means, for the reader of the result; empty if it means nothing special.
        compares: Whether the score compares two classes, so that a fill may favour one of them by chance.
        reading: What the output is, once the objective is bound.
    """

    name: str
    read: Callable[[Any, Rows], Tensor]
    rows: Rows = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    predicts: bool = False
    raw: bool = False
    of_class: ClassRead | None = None
    nothing: str = ""
    compares: bool = False
    reading: Reading | None = None

    def bind(self, output: Any, images: int, reading: Reading | None = None) -> Objective:
        """Bind the objective to a batch: set predicted classes, check targets, and expand to one row per image.

        A network that gives numbers has no classes: an objective for a class becomes that for the number.

        Args:
            output: The network's raw output for the batch.
            images: Number of images B in the batch.
            reading: What the output is; None to take it for logits.

        Raises:
            InputError: A class is out of range, or the number of targets is not the number of images.
            ModelError: The output contains no tensor, or has no class dimension.
        """
        rows = dict(self.rows)
        bound = replace(self, reading=reading)
        if self.of_class is not None:
            scores = output if isinstance(output, Tensor) else class_rows(output, reading)
            scores = as_rows(scores)
            bound = self._for_classes(reading or assumed(scores))
            if bound.predicts and bound.reading is not None:
                rows["target"] = bound.reading.predicted(scores.detach())
        for key, values in rows.items():
            if len(values) not in (1, images):
                several = "" if images == 1 else "s"
                raise InputError(
                    f"{len(values)} values of {key} for {images} image{several}; give one, or one per image"
                )
            rows[key] = values.expand(images, *values.shape[1:])
        if bound.of_class is not None and bound.reading is not None:
            for key in self.wanted:
                check_classes(key, rows.get(key), bound.reading)
            if bound.name == NUMBER and bound.reading.classes == 1:
                rows = {}
        return replace(bound, rows=rows, predicts=False)

    def stands_for(self, name: str) -> bool:
        """Whether an objective with this name may have been bound from this one."""
        return name == self.name or (self.of_class is not None and name == NUMBER)

    def output_doubt(self) -> str:
        """What is not certain in the reading of the output, where it matters to this objective; empty otherwise."""
        if self.reading is None or self.raw or (self.of_class is None and not self.reading.names):
            return ""
        return self.reading.doubt

    def _for_classes(self, reading: Reading) -> Objective:
        """The objective for an output of this kind."""
        if reading.kind == "number":
            if self.predicts and reading.classes > 1:
                raise InputError(
                    f"the network's output is {reading.words()}, of which none is predicted; give the index of one, or "
                    "output='logits' if these are class scores"
                )
            return replace(self, name=NUMBER, of_class=_number, reading=reading, predicts=False)
        single = reading.kind == "embedding" and self.name == "class_logit" and not self.predicts
        if reading.kind == "map" or (reading.kind == "embedding" and not single):
            raise ModelError(without_classes(reading))
        return replace(self, reading=reading)

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
        found = output if self.raw else select_tensor(output, self.reading.name if self.reading else None)
        device = found.device if isinstance(found, Tensor) else None
        rows = {key: values.to(device) for key, values in self.rows.items()}
        found = found.float() if isinstance(found, Tensor) else found
        if self.of_class is not None:
            scores = as_rows(found)
            values = self.of_class(self.reading or assumed(scores), scores, rows)
        else:
            values = self.read(found, rows)
        if not isinstance(values, Tensor) or values.ndim != 1:
            what = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else a_type(values)
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


def class_rows(output: Any, reading: Reading | None = None) -> Tensor:
    """The chosen output as B x K float32 values, where it has no positions."""
    return as_rows(select_tensor(output, reading.name if reading else None)).float()


def predicted_class(output: Tensor) -> Tensor:
    """Class with the highest score for each image, B, of an output of logits."""
    scores = class_scores(output).detach()
    return assumed(scores).predicted(scores)


def custom(function: Callable[[Any], Tensor], *, name: str = "custom") -> Objective:
    """An objective from any function of the network's raw output.

    The function is called with the outputs for any selection of the batch's images, in any order; the value of an image
    must not depend on the other images. Use an :class:`Objective` with rows for data that differs between images.

    Args:
        function: Function from the raw output for P images to P numbers.
        name: Name of the objective.
    """
    return Objective(name, lambda output, _rows: function(output), raw=True)


def _number(_reading: Reading, values: Tensor, rows: Rows) -> Tensor:
    return pick(values, rows["target"]) if "target" in rows else values[:, 0]


def check_classes(key: str, indices: Tensor | None, reading: Reading) -> None:
    """Check that the output has classes of these indices.

    Raises:
        InputError: It does not.
    """
    wrong = [] if indices is None else indices[(indices < 0) | (indices >= reading.classes)].tolist()
    if wrong and reading.classes == 1:
        raise InputError(
            f"{key} {wrong[0]} is out of range; the network gives one value for each image, so leave {key} out; if it "
            "should give a score for each class, remove the argmax or the choice of one at its end"
        )
    if wrong:
        what = "classes" if reading.kind not in ("number", "embedding") else "values"
        raise InputError(f"{key} {wrong[0]} is out of range; the network has {what} 0 to {reading.classes - 1}")
