"""Objective of a detection network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.objectives.objective import Objective, Rows


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
        boxes = torch.as_tensor(box, dtype=torch.float32).detach()
        boxes = boxes.unsqueeze(0) if boxes.ndim == 1 else boxes
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


def _overlap(boxes: Tensor, box: Tensor) -> Tensor:
    """Intersection over union: B x N x 4 and B x 1 x 4 to B x N."""
    inner = torch.minimum(boxes[..., 2:], box[..., 2:]) - torch.maximum(boxes[..., :2], box[..., :2])
    shared = inner.clamp_min(0).prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).clamp_min(0).prod(dim=-1) for each in (boxes, box)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(1e-9)
