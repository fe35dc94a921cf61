"""Objectives of one class: its logit, its probability, and its difference to other classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.objectives.objective import ClassRead, Objective, Rows, Target
from maskstack.objectives.reading import Reading, pick


def class_name(names: Sequence[str], index: int) -> str:
    """Name of a class, or ``class`` and its index if the name is unknown."""
    return names[index] if 0 <= index < len(names) else f"class {index}"


def class_logit(target: Target = None) -> Objective:
    """The logit of the class; of a network that gives probabilities, the logarithm of their odds.

    Args:
        target: A class index for all images, one per image, or None for the predicted class.
    """
    return _of_class("class_logit", target, lambda reading, scores, rows: reading.logit(scores, rows["target"]))


def class_probability(target: Target = None, *, activation: str | None = None) -> Objective:
    """The probability of the class.

    Probabilities in the network's output are used as they are. A single output has two classes: the probability of
    class 0 is 1 minus that of class 1.

    Args:
        target: A class index for all images, one per image, or None for the predicted class.
        activation: What makes probabilities of logits: ``softmax``, or ``sigmoid`` if an image can have several
            classes; None for what the network states, which is usually softmax.

    Raises:
        InputError: The activation is another word.
    """
    log_read = _log_probability(activation)

    def read(reading: Reading, scores: Tensor, rows: Rows) -> Tensor:
        if reading.kind in ("probability", "probabilities", "independent_probabilities"):
            return pick(reading.probabilities(scores), rows["target"])
        return log_read(reading, scores, rows).exp()

    return _of_class("class_probability", target, read)


def log_probability(target: Target = None, *, activation: str | None = None) -> Objective:
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
    both = {"target": class_indices("target", target), "other": class_indices("other", other)}

    def read(reading: Reading, scores: Tensor, rows: Rows) -> Tensor:
        values = reading.comparable(scores)
        return pick(values, rows["target"]) - pick(values, rows["other"])

    return replace(_objective("contrast", read, both, wanted=("target", "other")), compares=True)


def margin(target: Target = None) -> Objective:
    """Logit of the class minus the highest logit of all other classes.

    Args:
        target: A class index for all images, one per image, or None for the predicted class.
    """

    def read(reading: Reading, scores: Tensor, rows: Rows) -> Tensor:
        values = reading.comparable(scores)
        own = functional.one_hot(rows["target"], values.shape[1]).bool()
        return pick(values, rows["target"]) - values.masked_fill(own, -torch.inf).amax(dim=1)

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


def _of_class(name: str, target: Target, read: ClassRead) -> Objective:
    rows = {} if target is None else {"target": class_indices("target", target)}
    return _objective(name, read, rows, wanted=("target",), predicts=target is None)


def _objective(name: str, read: ClassRead, rows: Rows, *, wanted: tuple[str, ...], predicts: bool = False) -> Objective:
    return Objective(name, _unread, rows, wanted=wanted, predicts=predicts, of_class=read)


def _unread(_output: Tensor, _rows: Rows) -> Tensor:
    raise AssertionError("the score of a class is read by of_class")


def _log_probability(activation: str | None) -> ClassRead:
    if activation not in (None, "softmax", "sigmoid"):
        raise InputError(f"activation is {activation!r}; it must be one of softmax, sigmoid")

    def read(reading: Reading, scores: Tensor, rows: Rows) -> Tensor:
        return pick(reading.log_probabilities(scores, activation), rows["target"])

    return read


def class_indices(key: str, values: int | Sequence[int] | Tensor) -> Tensor:
    """Class indices as a tensor of one dimension.

    Raises:
        InputError: They are not whole numbers, or there are none.
    """
    try:
        indices = torch.as_tensor(values)
        indices = indices.unsqueeze(0) if indices.ndim == 0 else indices
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{key} is {values!r}; it must be a class index or one per image") from error
    if indices.ndim != 1 or indices.is_floating_point() or indices.dtype == torch.bool or len(indices) == 0:
        shown = f"of shape {tuple(indices.shape)}" if indices.ndim > 1 else repr(values)
        raise InputError(f"{key} is {shown}; it must be a class index or one per image, whole numbers")
    return indices.long()
