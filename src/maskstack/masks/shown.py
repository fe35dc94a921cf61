"""What the network is shown: the image where a mask is open and a fill where it is closed, both shifted alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskstack.masks.shifts import Margined, folded, window


@dataclass(frozen=True)
class Scene:
    """What one masked image is made of.

    Attributes:
        opened: What is shown where the mask is open.
        closed: What is shown where it is closed.
        row: Index of the image in both.
        shift: Shift along each spatial dimension, in pixels.
    """

    opened: Margined
    closed: Margined
    row: int
    shift: Sequence[int]

    def views(self) -> tuple[Tensor, Tensor]:
        """What is shown where the mask is open, and where it is closed, C x H x W each."""
        return self.opened.view(self.row, self.shift), self.closed.view(self.row, self.shift)


def shown(masks: Tensor, scenes: Sequence[Scene]) -> Tensor:
    """Masked images, each mask shifted as its scene is.

    Args:
        masks: P x H x W in [0, 1], or with any other number of spatial dimensions.
        scenes: P scenes, whose margins are all the same.

    Returns:
        P x C x H x W, with a gradient to the masks.
    """
    found: Tensor = _Shown.apply(masks, scenes)
    return found


class _Shown(torch.autograd.Function):
    """Blends each masked image by itself, out of views of image and fill.

    To shift images, fills and masks by indices, and to blend them then, takes several times as long.
    """

    @staticmethod
    def forward(ctx: Any, masks: Tensor, scenes: Sequence[Scene]) -> Tensor:
        """The masked images, P x C x H x W."""
        ctx.scenes, ctx.margin = scenes, scenes[0].opened.margin
        padded = Margined.around(masks.unsqueeze(1), ctx.margin)
        ctx.shape = padded.padded.shape
        images = scenes[0].opened.padded
        found = images.new_empty(len(masks), images.shape[1], *masks.shape[1:])
        for row, scene in enumerate(scenes):
            opened, closed = scene.views()
            torch.lerp(closed, opened, padded.view(row, scene.shift), out=found[row])
        return found

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
        """The gradient of the masks, P x H x W."""
        found = slopes.new_zeros(ctx.shape)
        slopes = slopes.contiguous()  # with the channels last, each would be read with gaps
        for row, scene in enumerate(ctx.scenes):
            opened, closed = scene.views()
            place = found[row, 0][window(ctx.shape[2:], ctx.margin, scene.shift)]
            torch.sum((opened - closed).mul_(slopes[row]), dim=0, out=place)
        return folded(found, ctx.margin).squeeze(1), None
