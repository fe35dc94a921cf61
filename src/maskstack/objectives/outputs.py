"""Finding the tensor in the output of a network, and choosing one of several by its name or place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from maskstack.errors import InputError, ModelError, a_type

LOGIT_KEYS = ("logits", "out", "output", "prediction", "predictions", "pred")


def find_tensor(output: Any) -> Tensor:
    """Find the tensor with the result in a network's output.

    This is the output itself if it is a tensor; the attribute ``logits`` of an object; the value of ``logits`` (or
    ``out``, ``output``, ...) or the only tensor of a mapping; and the first tensor of a tuple or list that has
    dimensions, as networks with auxiliary heads return the main result first.

    Raises:
        ModelError: No such tensor exists; the message names the type of the output.
    """
    found = _find(output)
    named = named_tensors(output) if found is None else {}
    if len(named) == 1:
        found = next(iter(named.values()))
    if found is None:
        if not named:
            raise ModelError(
                f"the network returned {_describe(output)}, which holds no tensor; return the tensor itself: float(), "
                "item(), tolist() and NumPy cut off the gradient"
            )
        names = list(named)
        if isinstance(output, list) and isinstance(output[0], Mapping) and "boxes" in output[0]:
            raise ModelError(
                "the network returned detections, a mapping with boxes for each image; explain one of its boxes with "
                "objectives.box_score(box, function of the output -> boxes and scores)"
            )
        choose = f"choose one with output= ({_some(names)}), or "
        raise ModelError(
            f"the network returned {_describe(output)}, in which no single tensor could be found; {choose}pass an "
            "objective that reads it: objectives.custom(function of the output -> one number per image)"
        )
    return found


def select_tensor(output: Any, name: str | None) -> Tensor:
    """The tensor of this name in a network's output, see :func:`named_tensors`; that of :func:`find_tensor` for None.

    Raises:
        InputError: The output has no tensor of this name.
        ModelError: No name is given, and no single tensor could be found.
    """
    if name is None:
        return find_tensor(output)
    named = named_tensors(output)
    if name not in named:
        raise InputError(f"the network has no output {name!r}; its outputs are {_some(list(named))}")
    return named[name]


def named_tensors(output: Any) -> dict[str, Tensor]:
    """All tensors of an output by name: their keys, fields or places; a single tensor has the name of its place, 0.

    >>> import torch
    >>> list(named_tensors({"out": torch.zeros(1), "stages": [torch.zeros(1), torch.zeros(1)]}))
    ['out', 'stages.0', 'stages.1']
    """
    if isinstance(output, Tensor):
        return {"0": output}
    found: dict[str, Tensor] = {}
    for name, value in _parts(output):
        if isinstance(value, Tensor):
            found[name] = value
        elif isinstance(value, Mapping | tuple | list):
            found |= {f"{name}.{inner}": each for inner, each in named_tensors(value).items()}
    return found


def _parts(output: Any) -> list[tuple[str, Any]]:
    if isinstance(output, Mapping):
        return [(str(key), value) for key, value in output.items()]
    if isinstance(output, tuple | list):
        fields = getattr(output, "_fields", None)
        names = fields if fields is not None and len(fields) == len(output) else range(len(output))
        return [(str(name), value) for name, value in zip(names, output, strict=True)]
    return [(name, value) for name, value in getattr(output, "__dict__", {}).items() if isinstance(value, Tensor)]


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
        every = [found for item in output if (found := _find(item)) is not None]
        # A tensor without dimensions is a loss beside the result.
        return next((found for found in every if found.ndim), every[0] if every else None)
    return None


def _describe(output: Any) -> str:
    kind = type(output).__name__
    if isinstance(output, Mapping) and output:
        return f"a {kind} with keys {', '.join(map(str, list(output)[:6]))}"
    if isinstance(output, tuple | list) and output:
        return f"a {kind} of {', '.join(type(item).__name__ for item in output[:4])}"
    if output is None:
        return "None"
    empty = isinstance(output, Mapping | tuple | list)
    return f"an empty {kind}" if empty else a_type(output)


def _some(names: list[str], *, most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none that are tensors") + more


def as_rows(output: Tensor) -> Tensor:
    """The output as B x K where it has no positions: B becomes B x 1, and dimensions of 1 at its end are removed."""
    if output.ndim == 0:
        return output.reshape(1, 1)
    while output.ndim > 2 and output.shape[-1] == 1:
        output = output.squeeze(-1)
    return output.unsqueeze(1) if output.ndim == 1 else output
