"""Objectives of one class: its logit, its probability, and its difference to other classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError, ModelError
from maskstack.objectives.objective import Objective, Rows, Target, class_scores


def class_name(names: Sequence[str], index: int) -> str:
    """Name of a class, or ``class`` and its index if the name is unknown."""
    return names[index] if 0 <= index < len(names) else f"class {index}"


def class_logit(target: Target = None) -> Objective:
    """The logit of the class.

    Args:
        target: A class index for all images, one per image, or None for the predicted class.
    """
    return _of_class("class_logit", target, lambda scores, rows: _pick(scores, rows["target"]))


def class_probability(target: Target = None, *, activation: str = "softmax") -> Objective:
    """The probability of the class.

    For a network with a single output, the sigmoid is used, as softmax over one class is always 1.

    Args:
        target: A class index for all images, one per image, or None for the predicted class.
        activation: ``softmax``, or ``sigmoid`` if an image can have several classes.

    Raises:
        InputError: The activation is another word.
    """
    log_read = _log_probability(activation)
    return _of_class("class_probability", target, lambda scores, rows: log_read(scores, rows).exp())


def log_probability(target: Target = None, *, activation: str = "softmax") -> Objective:
    """The logarithm of the probability of the class, see :func:`class_probability`."""
    return _of_class("log_probability", target, _log_probability(activation))


def contrast(target: int | Sequence[int] | Tensor, other: int | Sequence[int] | Tensor) -> Objective:
    """Logit of one class minus that of another: evidence for the first class but not for the second.

    Args:
        target: A class index for all images, or one per image.
        other: The class whose logit is subtracted, in the same form.

    Raises:
        InputError: A target is not made of class indices.
    """
    both = {"target": _indices("target", target), "other": _indices("other", other)}
    return Objective(
        "contrast",
        lambda output, rows: _pick(class_scores(output), rows["target"]) - _pick(class_scores(output), rows["other"]),
        both,
        wanted=("target", "other"),
    )


def margin(target: Target = None) -> Objective:
    """Logit of the class minus the greatest logit of the other classes.

    Args:
        target: A class index for all images, one per image, or None for the predicted class.

    Raises:
        ModelError: The network has fewer than two classes; raised when the output is read.
    """

    def read(scores: Tensor, rows: Rows) -> Tensor:
        if scores.shape[1] < 2:
            raise ModelError("margin needs at least two classes; use class_logit for a single output")
        own = functional.one_hot(rows["target"], scores.shape[1]).bool()
        return _pick(scores, rows["target"]) - scores.masked_fill(own, -torch.inf).amax(dim=1)

    return _of_class("margin", target, read)


Meaning = Literal["probability", "log_probability", "logit", "margin"]
"""Name of the objective for a class index."""

NAMED: Mapping[str, Callable[..., Objective]] = {
    "probability": class_probability,
    "log_probability": log_probability,
    "logit": class_logit,
    "margin": margin,
}
"""Objectives that need only a target, by their names on the command line."""


def _of_class(name: str, target: Target, read: Callable[[Tensor, Rows], Tensor]) -> Objective:
    rows = {} if target is None else {"target": _indices("target", target)}
    return Objective(
        name, lambda output, rows: read(class_scores(output), rows), rows, wanted=("target",), predicts=target is None
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
        indices = torch.as_tensor(values)
        indices = indices.unsqueeze(0) if indices.ndim == 0 else indices
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{key} is {values!r}; it must be a class index or one per image") from error
    if indices.ndim != 1 or indices.is_floating_point() or indices.dtype == torch.bool or len(indices) == 0:
        raise InputError(f"{key} is {values!r}; it must be a class index or one per image, whole numbers")
    return indices.long()
