"""Whether the parts of an explanation fit each other, and are in their ranges: for files that may be damaged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from maskstack.reliability import Trust

_ROUNDING = 1e-5
_SCORES = ("score_before", "score_under_stack", "opening")


def check_parts(
    tensors: Mapping[str, Tensor], grids: tuple[Tensor, ...], fields: Mapping[str, Any], trust: Trust
) -> None:
    """Check the shapes, types and ranges of the parts of an explanation.

    Args:
        tensors: The tensors by name, without grids and trust.
        grids: The learned grids.
        fields: All else by name.
        trust: The trust in the maps.

    Raises:
        ValueError: A part does not fit; the message names it.
    """
    maps = tensors["saliency"]
    if maps.ndim != 4 or maps.shape[1] != 1:
        raise ValueError(f"the saliency is {_shape(maps)}, not B x 1 x H x W")
    count, area = len(maps), tuple(maps.shape[2:])
    _check_fields(fields, count)
    sizes = tensors["masks"].shape[1] if tensors["masks"].ndim == 4 else 0
    shapes: dict[str, tuple[int, ...]] = {
        "saliency": (count, 1, *area), "stack": (count, 1, *area), "spread": (count, 1, *area),
        "masks": (count, sizes, *area),
    }  # fmt: skip
    shapes |= dict.fromkeys(_SCORES, (count,)) | dict.fromkeys(("forward_passes", "backward_passes"), (count,))
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{name} is {_shape(tensors[name])}, not {_shape(torch.empty(shape, device='meta'))}")
    for name in ("score_hidden", "score_under_masks", "steps"):
        if tensors[name].ndim != 2 or len(tensors[name]) != count:
            raise ValueError(f"{name} is {_shape(tensors[name])}, not one row for each image")
    for name in ("steps", "forward_passes", "backward_passes"):
        if tensors[name].is_floating_point() or bool((tensors[name] < 0).any()):
            raise ValueError(f"{name} has numbers that are not counts")
    # A search that failed, and says so, may have left maps without values.
    failed = torch.tensor([reason is not None for reason in trust.problems], dtype=torch.bool)
    for name in ("saliency", "stack", "spread", "masks"):
        _check_range(name, tensors[name], failed)
    _check_trust(trust, count)
    for grid in grids:
        if grid.ndim != 3 or len(grid) != count:
            raise ValueError(f"a grid is {_shape(grid)}, not B x h x w")


def _check_trust(trust: Trust, count: int) -> None:
    if len(trust.problems) != count or not all(each is None or isinstance(each, str) for each in trust.problems):
        raise ValueError(f"problems does not have one entry for each of the {count} images")
    for name, values in trust.tensors().items():
        if len(values) != count:
            raise ValueError(f"trust.{name} does not have one row for each of the {count} images")
    for name in ("agreement", "seeds", "randomization"):
        if bool((getattr(trust, name).abs() > 1 + _ROUNDING).any()):
            raise ValueError(f"{name} has values outside [-1, 1]")
    if bool((trust.probability < -_ROUNDING).any()) or bool((trust.probability > 1 + _ROUNDING).any()):
        raise ValueError("probability has values outside [0, 1]")


def _check_range(name: str, values: Tensor, failed: Tensor) -> None:
    if not values.is_floating_point():
        raise ValueError(f"{name} is of type {values.dtype}")
    inside = (values >= -_ROUNDING) & (values <= 1 + _ROUNDING)
    inside |= values.isnan() & failed.view(-1, 1, 1, 1)
    if not bool(inside.all()):
        raise ValueError(f"{name} has values outside [0, 1]")


def _check_fields(fields: Mapping[str, Any], count: int) -> None:
    for name, kind in (("target", int), ("target_name", str)):
        values = fields[name]
        if values is None:
            continue
        if not isinstance(values, tuple) or len(values) != count:
            raise ValueError(f"{name} does not have one entry for each of the {count} images")
        if not all(type(value) is kind for value in values):
            raise ValueError(f"{name} has entries of a wrong type")
        if kind is int and min(values, default=0) < 0:
            raise ValueError("target has a negative index")
    for name in ("method", "objective", "passes_run"):
        if not isinstance(fields[name], str):
            raise ValueError(f"{name} is not text")
    seconds = fields["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 0:
        raise ValueError("seconds is not a number of 0 or more")
    for name in ("settings", "versions", "notes"):
        if not isinstance(fields.get(name, {}), dict):
            raise ValueError(f"{name} is not a table")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"
