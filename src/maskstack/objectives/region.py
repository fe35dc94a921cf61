"""Objective of a network that answers with a map, such as a segmentation network."""

from __future__ import annotations

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.objectives.objective import Objective, Rows


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
