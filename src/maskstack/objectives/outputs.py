"""Finding the tensor in the output of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from maskstack.errors import ModelError

LOGIT_KEYS = ("logits", "out", "output", "prediction", "predictions", "pred")


def find_tensor(output: Any) -> Tensor:
    """Find the tensor with the result in a network's output.

    This is the output itself if it is a tensor; the attribute ``logits`` of an object; the value of ``logits`` (or
    ``out``, ``output``, ...) or the only tensor of a mapping; and the first tensor of a tuple or list, as networks with
    auxiliary heads return the main result first.

    Raises:
        ModelError: No such tensor exists; the message names the type of the output.
    """
    found = _find(output)
    if found is None:
        raise ModelError(
            f"the network returned {_describe(output)}, in which no single tensor could be found; pass an objective "
            "that reads it: objectives.custom(function of the output -> one number per image)"
        )
    return found


def _find(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    logits = getattr(output, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    if isinstance(output, Mapping):
        for key in LOGIT_KEYS:
            value = output.get(key)
            if isinstance(value, Tensor):
                return value
        tensors = [value for value in output.values() if isinstance(value, Tensor)]
        return tensors[0] if len(tensors) == 1 else None
    if isinstance(output, tuple | list):
        return next((found for item in output if (found := _find(item)) is not None), None)
    return None


def _describe(output: Any) -> str:
    kind = type(output).__name__
    if isinstance(output, Mapping):
        return f"a {kind} with keys {', '.join(map(str, list(output)[:6]))}"
    if isinstance(output, tuple | list):
        return f"a {kind} of {', '.join(type(item).__name__ for item in output[:4]) or 'nothing'}"
    return f"a {kind}"
