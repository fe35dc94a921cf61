"""What is kept: one real number per image, read from the network's output (the paper's "detection node")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError, ModelError
from maskstack.outputs import find_tensor

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


def class_logit(target: Target = None) -> Objective:
    """The class's output as it is."""
    return _of_class("class_logit", target, lambda scores, rows: _pick(scores, rows["target"]))


def class_probability(target: Target = None, *, activation: str = "softmax") -> Objective:
    """The class's probability.

    A network with a single output is read through the sigmoid, as softmax over one class is always 1.

    Args:
        target: A class index for all images, one per image, or None for the predicted class.
        activation: ``softmax``, or ``sigmoid`` where classes do not exclude each other.

    Raises:
        InputError: The activation is neither.
    """
    log_read = _log_probability(activation)
    return _of_class("class_probability", target, lambda scores, rows: log_read(scores, rows).exp())


def log_probability(target: Target = None, *, activation: str = "softmax") -> Objective:
    """The logarithm of the class's probability, see :func:`class_probability`."""
    return _of_class("log_probability", target, _log_probability(activation))


def contrast(target: int | Sequence[int] | Tensor, other: int | Sequence[int] | Tensor) -> Objective:
    """Logit of one class less that of another: what speaks for the one and not for the other."""
    both = {"target": _indices("target", target), "other": _indices("other", other)}
    return Objective(
        "contrast",
        lambda output, rows: _pick(class_scores(output), rows["target"]) - _pick(class_scores(output), rows["other"]),
        both,
        wanted=("target", "other"),
    )


def margin(target: Target = None) -> Objective:
    """Logit of the class less that of the best other class.

    Raises:
        ModelError: When read, if the network has fewer than two classes.
    """

    def read(scores: Tensor, rows: Rows) -> Tensor:
        if scores.shape[1] < 2:
            raise ModelError("margin needs at least two classes; use class_logit for a single output")
        own = functional.one_hot(rows["target"], scores.shape[1]).bool()
        return _pick(scores, rows["target"]) - scores.masked_fill(own, -torch.inf).amax(dim=1)

    return _of_class("margin", target, read)


def cosine(embedding: Tensor) -> Objective:
    """Cosine of the network's output, an embedding, to a given one.

    Args:
        embedding: D for all images, or B x D.
    """
    rows = {"embedding": _finite("embedding", torch.atleast_2d(embedding.detach().float()))}

    def read(output: Tensor, rows: Rows) -> Tensor:
        if output.ndim != 2 or output.shape[1] != rows["embedding"].shape[1]:
            raise ModelError(
                f"the network's output has shape {tuple(output.shape)}, the embedding has "
                f"{rows['embedding'].shape[1]} values; they must match"
            )
        return functional.cosine_similarity(output, rows["embedding"], dim=1)

    return Objective("cosine", read, rows)


def region(mask: Tensor, channel: int) -> Objective:
    """Mean of one channel of the output over a region, as of a segmentation network.

    Args:
        mask: Weights or booleans over the output's pixels, h x w for all images or B x h x w.
        channel: Channel of the output, B x K x h x w.

    Raises:
        InputError: The mask is empty, or when read, does not fit the output.
    """
    weights = mask.detach().float()
    weights = weights.unsqueeze(0) if weights.ndim == 2 else weights
    if weights.ndim != 3 or not torch.isfinite(weights).all() or (weights.sum(dim=(1, 2)) <= 0).any():
        raise InputError("the region's mask must be h x w or B x h x w and mark at least one pixel of each image")

    def read(output: Tensor, rows: Rows) -> Tensor:
        if output.ndim != 4 or output.shape[2:] != rows["region"].shape[1:]:
            raise InputError(
                f"the region's mask is {tuple(rows['region'].shape[1:])} and the network's output "
                f"{tuple(output.shape)}; give a mask over the output's own pixels"
            )
        if not 0 <= channel < output.shape[1]:
            raise InputError(f"channel {channel} is out of range; the output has channels 0 to {output.shape[1] - 1}")
        return (output[:, channel] * rows["region"]).sum(dim=(1, 2)) / rows["region"].sum(dim=(1, 2))

    return Objective("region", read, {"region": weights})


def box_score(box: Sequence[float] | Tensor, reduce: Callable[[Any], tuple[Tensor, Tensor]]) -> Objective:
    """Score of one box of a detection network: the best of score x overlap over its detections.

    Args:
        box: x1 y1 x2 y2 for all images, or B x 4, in the units of the detections.
        reduce: From the network's output as it is to boxes (B x N x 4) and scores (B x N), padded with zero scores.

    Raises:
        InputError: The box is not four numbers with x1 < x2 and y1 < y2.
    """
    wrong = f"box is {box!r}; a box is x1 y1 x2 y2 with x1 < x2 and y1 < y2"
    try:
        boxes = torch.atleast_2d(torch.as_tensor(box, dtype=torch.float32).detach())
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(wrong) from error
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not torch.isfinite(boxes).all():
        raise InputError(wrong)
    if len(boxes) == 0 or not (boxes[:, 2:] > boxes[:, :2]).all():
        raise InputError(wrong)

    def read(output: Any, rows: Rows) -> Tensor:
        found, scores = reduce(output)
        overlaps = _overlap(found, rows["box"].to(found).unsqueeze(1))
        # One detection of score zero more, as a masked image may have none at all.
        return functional.pad(overlaps * scores, (0, 1)).amax(dim=1)

    return Objective("box_score", read, {"box": boxes}, raw=True)


def custom(function: Callable[[Any], Tensor], *, name: str = "custom") -> Objective:
    """Any function from the network's output, as it is, to one number per image.

    The function sees the outputs of any selection of the batch's images, in any order and number; it must read each image
    by itself. What differs between the images of a batch goes into an :class:`Objective` with rows.
    """
    return Objective(name, lambda output, _rows: function(output), raw=True)


NAMED: Mapping[str, Callable[..., Objective]] = {
    "probability": class_probability,
    "log_probability": log_probability,
    "logit": class_logit,
    "margin": margin,
}
"""The objectives that need only a target, by the names the command line has for them."""


def _of_class(name: str, target: Target, read: Callable[[Tensor, Rows], Tensor]) -> Objective:
    rows = {} if target is None else {"target": _indices("target", target)}
    return Objective(
        name,
        lambda output, rows: read(class_scores(output), rows),
        rows,
        wanted=("target",),
        predicts=target is None,
    )


def _log_probability(activation: str) -> Callable[[Tensor, Rows], Tensor]:
    if activation not in ("softmax", "sigmoid"):
        raise InputError(f"activation is {activation!r}; it must be one of softmax, sigmoid")

    def read(scores: Tensor, rows: Rows) -> Tensor:
        alone = activation == "sigmoid" or scores.shape[1] == 1
        logs = functional.logsigmoid(scores) if alone else functional.log_softmax(scores, dim=1)
        return _pick(logs, rows["target"])

    return read


def _pick(scores: Tensor, target: Tensor) -> Tensor:
    return scores.gather(1, target.unsqueeze(1)).squeeze(1)


def _indices(key: str, values: int | Sequence[int] | Tensor) -> Tensor:
    try:
        indices = torch.atleast_1d(torch.as_tensor(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{key} is {values!r}; it must be a class index or one per image") from error
    if indices.ndim != 1 or indices.is_floating_point() or indices.dtype == torch.bool or len(indices) == 0:
        raise InputError(f"{key} is {values!r}; it must be a class index or one per image, whole numbers")
    return indices.long()


def _check_classes(key: str, indices: Tensor, classes: int) -> None:
    wrong = indices[(indices < 0) | (indices >= classes)]
    if len(wrong):
        raise InputError(f"{key} {int(wrong[0])} is out of range; the network has classes 0 to {classes - 1}")


def _finite(key: str, values: Tensor) -> Tensor:
    if values.ndim != 2 or not torch.isfinite(values).all():
        raise InputError(f"{key} must be finite numbers, D for all images or B x D")
    return values


def _overlap(boxes: Tensor, box: Tensor) -> Tensor:
    """Intersection over union: B x N x 4 and B x 1 x 4 to B x N."""
    inner = torch.minimum(boxes[..., 2:], box[..., 2:]) - torch.maximum(boxes[..., :2], box[..., :2])
    shared = inner.clamp_min(0).prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).clamp_min(0).prod(dim=-1) for each in (boxes, box)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(1e-9)
