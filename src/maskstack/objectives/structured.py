"""Objectives of networks whose output is not class scores: detections, embeddings, and maps such as a segmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError, ModelError
from maskstack.objectives.objective import Objective, Rows
from maskstack.objectives.outputs import as_rows


def box_score(box: Sequence[float] | Tensor, reduce: Callable[[Any], tuple[Tensor, Tensor]]) -> Objective:
    """Score of one box in a detection network: the greatest product of score and overlap over the detections.

    Args:
        box: x1 y1 x2 y2 for all images, or B x 4, in the units of the detections.
        reduce: Function from the network's raw output to boxes (B x N x 4) and scores (B x N), padded with zero scores.

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
        # One more detection of score zero, as a masked image may have no detections.
        return functional.pad(overlaps * scores, (0, 1)).amax(dim=1)

    return Objective(
        "box_score", read, {"box": boxes}, raw=True, nothing="the detector found nothing that overlaps the box"
    )


def cosine(embedding: Tensor) -> Objective:
    """Cosine similarity of the network's output, an embedding, to a given embedding.

    Args:
        embedding: The given embedding, D for all images, or B x D.

    Raises:
        InputError: The embedding does not have one or two dimensions, or is not finite.
    """
    values = embedding.detach().float()
    values = values.unsqueeze(0) if values.ndim == 1 else values
    if values.ndim != 2 or not torch.isfinite(values).all():
        raise InputError("an embedding must be finite numbers, D for all images or B x D")

    def read(output: Tensor, rows: Rows) -> Tensor:
        output = as_rows(output)
        if output.ndim != 2 or output.shape[1] != rows["embedding"].shape[1]:
            raise ModelError(
                f"the network's output has shape {tuple(output.shape)}, the embedding has "
                f"{rows['embedding'].shape[1]} values; they must match"
            )
        return functional.cosine_similarity(output, rows["embedding"], dim=1)

    return Objective("cosine", read, {"embedding": values})


def region(mask: Tensor, channel: int = 0) -> Objective:
    """Mean of one channel of the output over a region, for example in a segmentation network.

    Args:
        mask: Weights or booleans for the output's pixels, h x w for all images or B x h x w.
        channel: Index of the channel in the output, B x K x h x w; an output B x h x w, such as a depth, has one.

    Raises:
        InputError: The mask is empty; or, when the output is read, the mask or the channel does not fit it.
    """
    weights = mask.detach().float()
    weights = weights.unsqueeze(0) if weights.ndim == 2 else weights
    if weights.ndim != 3 or not torch.isfinite(weights).all() or (weights.sum(dim=(1, 2)) <= 0).any():
        raise InputError("the region's mask must be h x w or B x h x w and mark at least one pixel of each image")

    def read(output: Tensor, rows: Rows) -> Tensor:
        if output.ndim == 3:
            output = output.unsqueeze(1)
        if output.ndim != 4 or output.shape[2:] != rows["region"].shape[1:]:
            raise InputError(
                f"the region's mask is {tuple(rows['region'].shape[1:])} and the network's output "
                f"{tuple(output.shape)}; give a mask of the output's height and width"
            )
        if not 0 <= channel < output.shape[1]:
            raise InputError(f"channel {channel} is out of range; the output has channels 0 to {output.shape[1] - 1}")
        return (output[:, channel] * rows["region"]).sum(dim=(1, 2)) / rows["region"].sum(dim=(1, 2))

    return Objective("region", read, {"region": weights})


def _overlap(boxes: Tensor, box: Tensor) -> Tensor:
    """Intersection over union of boxes, B x N x 4, and one box, B x 1 x 4: B x N."""
    inner = torch.minimum(boxes[..., 2:], box[..., 2:]) - torch.maximum(boxes[..., :2], box[..., :2])
    shared = inner.clamp_min(0).prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).clamp_min(0).prod(dim=-1) for each in (boxes, box)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(1e-9)
