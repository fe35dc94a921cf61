"""What the network is shown: the image where a mask is open and a fill where it is closed, both shifted alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskstack.masks.shifts import Margined, folded, window

FEW_CHANNELS = 4
"""With more channels than that, gradients whose channels lie together are copied to be read one channel at a time."""


@dataclass(frozen=True)
class Sides:
    """The two sides of a mask for a batch of images, all with the same margin.

    Attributes:
        images: The images.
        fill: Their fill.
        contrast: The images less the fill.
    """

    images: Margined
    fill: Margined
    contrast: Margined

    @classmethod
    def of(cls, images: Margined, fill: Margined) -> Sides:
        """The two sides, with their difference worked out once for all masks."""
        return cls(images, fill, Margined(images.padded - fill.padded, images.margin))


@dataclass(frozen=True)
class Scene:
    """What one masked image is made of.

    Attributes:
        sides: The image where the mask is open, and the fill where it is closed.
        removing: Whether it is the other way round.
        row: Index of the image.
        shift: Shift along each spatial dimension, in pixels.
    """

    sides: Sides
    removing: bool
    row: int
    shift: Sequence[int]


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
        margin = scenes[0].sides.images.margin
        padded = Margined.around(masks.unsqueeze(1), margin).padded
        ctx.shape, ctx.margin = padded.shape, margin
        ctx.scenes = [(scene, window(padded.shape[2:], margin, scene.shift)) for scene in scenes]
        images = scenes[0].sides.images.padded
        found = images.new_empty(len(masks), images.shape[1], *masks.shape[1:])
        for row, (scene, place) in enumerate(ctx.scenes):
            image, fill = scene.sides.images.padded[scene.row][place], scene.sides.fill.padded[scene.row][place]
            opened, closed = (fill, image) if scene.removing else (image, fill)
            torch.lerp(closed, opened, padded[row][place], out=found[row])
        return found

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
        """The gradient of the masks, P x H x W."""
        found = slopes.new_zeros(ctx.shape)
        if slopes.shape[1] > FEW_CHANNELS:
            slopes = slopes.contiguous()
        for row, (scene, place) in enumerate(ctx.scenes):
            contrast, own = scene.sides.contrast.padded[scene.row][place], found[row, 0][place]
            torch.mul(contrast[0], slopes[row, 0], out=own)
            for channel in range(1, len(contrast)):
                own.add_(contrast[channel] * slopes[row, channel])
            if scene.removing:
                own.neg_()
        return folded(found, ctx.margin).squeeze(1), None
