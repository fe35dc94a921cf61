"""A check that a function that holds tensors does not mix up the rows of images and of something else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from maskstack.errors import ModelError
from maskstack.objectives import Objective
from maskstack.objectives.outputs import find_tensor
from maskstack.scoring.failures import PassError
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.reach import Reach

TOLERANCE = 1e-2
"""Allowed difference of an image's output alone and in the batch, as a share of the largest value."""

_ADVICE = (
    "give what belongs to each image as maskstack.with_arguments(model, rows) or additional_forward_args, so that its "
    "rows follow the images"
)


def check_alone(prepared: PreparedModel, images: Tensor, output: Any) -> int:
    """Check that an image's output does not depend on the other images, where a batch norm uses the batch's statistics.

    A search runs masked images together, so each would change the scores of the others. Not every such norm does harm:
    some networks use one to normalise their weights. So the last image is run beside another one.

    Args:
        prepared: The network, after its first pass.
        images: B x C x H x W.
        output: The output for the last images.

    Returns:
        How many images were run.

    Raises:
        ModelError: The output depends on the other images.
    """
    expected = _rows(output)
    if not prepared.batch_statistics or prepared.is_random or expected is None:
        return 0
    rows = torch.tensor([len(images) - 1] * 2, device=images.device)
    try:
        beside = _rows(prepared.first(torch.cat([images[-1:], 1 - images[-1:]]), rows))
    except PassError:  # a network for one image at a time
        return 0
    if beside is not None and len(beside) == len(rows) and not _alike(beside[0], expected):
        raise ModelError(
            "the network's output for an image depends on the other images in the pass, as with batch norms that have "
            "no running statistics; set batch_size=1, or give the norms running statistics"
        )
    return len(rows)


def check_rows(prepared: PreparedModel, images: Tensor, output: Any, found: Reach) -> int:
    """Check that an image's output does not depend on its place in the batch, where the network may hold other rows.

    A function may hold a table with a row for each image. A search runs other selections of the images, and then row 0
    would be used for another image. So the last image is run alone, or a single image twice.

    Args:
        prepared: The network, after its first pass.
        images: B x C x H x W.
        output: The output for the last images.
        found: What the network reaches.

    Returns:
        How many images were run.

    Raises:
        ModelError: The output depends on the place in the batch.
    """
    several = len(images)
    # Nested tensors have no len().
    lengths = {each.size(0) if isinstance(each, Tensor) else len(each) for each in found.tensors if each.ndim}
    is_function = not isinstance(prepared.plain, nn.Module)
    may_hold_their_rows = several > 1 and (is_function or several in lengths)  # a function may also hold a list
    may_hold_other_rows = several == 1 and bool(lengths - {0, 1})
    if not (may_hold_their_rows or may_hold_other_rows):
        return 0
    expected = _rows(output)
    rows = torch.tensor([several - 1] if several > 1 else [0, 0], device=images.device)
    again = _rows(prepared.first(images[rows], rows))
    if expected is None or again is None:
        return len(rows)
    if len(expected) != several and len(again) == len(expected):
        return len(rows)  # not one row for each image in any batch, which is another error
    if len(again) != len(rows):
        s = "" if len(rows) == 1 else "s"
        raise ModelError(f"the network gave {len(again)} outputs for {len(rows)} image{s}; {_ADVICE}")
    if not prepared.is_random:
        for row in again:
            if not _alike(row, expected):
                raise ModelError(f"the network's output for an image depends on its place in the batch; {_ADVICE}")
    return len(rows)


def check_objective(objective: Objective, output: Any, count: int) -> None:
    """Check that the value of an image does not depend on the other images' outputs, for a function of the user's own.

    Args:
        objective: Bound to the batch.
        output: The network's output for the first images of the batch.
        count: How many they are.

    Raises:
        ModelError: The value of an image is another one without the others.
    """
    if count < 2 or not objective.raw or isinstance(output, list):  # a list may hold one thing for each image
        return
    together = _value(objective, output, count, slice(0, count))
    for row in (0, count - 1):
        alone = _value(objective, output, count, slice(row, row + 1))
        if together is None or alone is None:
            return
        if not (alone[0] - together[row]).abs() <= TOLERANCE * together.abs().amax().clamp_min(1e-6):
            raise ModelError(
                f"the objective {objective.name} gives an image another value beside other images than alone; compute "
                "each value from its own row, such as by softmax(1) and not softmax(0), and give a table with a row "
                "for each image as the rows of an Objective"
            )


def _value(objective: Objective, output: Any, count: int, part: slice) -> Tensor | None:
    """The objective of a part of the images; None where it fails or is not finite, which is reported at its use."""

    def taken(each: Tensor) -> Tensor:
        # A copy, as a function may change it.
        return (each[part] if each.ndim and len(each) == count else each).clone()

    rows = torch.arange(count)[part]
    try:
        values = objective.select(rows)(tree_map_only(Tensor, taken, output))
    except Exception:
        return None
    return values if values.shape == rows.shape and bool(torch.isfinite(values).all()) else None


def _alike(row: Tensor, expected: Tensor) -> bool:
    """Whether the output for an image is, up to rounding, the last one of those that are expected."""
    scale = expected.abs().amax().clamp_min(1e-6)
    return bool((row - expected[-1]).abs().amax() <= TOLERANCE * scale)


def _rows(output: Any) -> Tensor | None:
    try:
        found = find_tensor(output)
    except ModelError:
        return None
    return found.detach().float() if found.ndim and torch.isfinite(found).all() else None
