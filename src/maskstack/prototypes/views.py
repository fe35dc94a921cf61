"""Augmented views of a training image: an affine warp and a change of contrast and brightness."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class AugmentedView:
    """A change of an image.

    Attributes:
        warp: Rows of a 2 x 3 matrix from places of the view to places of the image, both in [-1, 1].
        gain: Factor of the normalised values.
        offset: Added after the multiplication.
    """

    warp: tuple[tuple[float, float, float], tuple[float, float, float]] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    gain: float = 1.0
    offset: float = 0.0

    @property
    def theta(self) -> Tensor:
        """The warp as ``affine_grid`` takes it, 2 x 3."""
        return torch.tensor(self.warp)

    def __call__(self, image: Tensor) -> Tensor:
        """The view of an image C x H x W; places outside of the image show its reflection."""
        if self == PLAIN:
            return image
        grid = functional.affine_grid(self.theta.unsqueeze(0), [1, *image.shape], align_corners=False)
        warped = functional.grid_sample(image.unsqueeze(0), grid, padding_mode="reflection", align_corners=False)
        return warped[0] * self.gain + self.offset


PLAIN = AugmentedView()
"""The unchanged image."""


def draw_view(seed: int, name: str, number: int) -> AugmentedView:
    """The view of that number of an image; it does not depend on other draws. Number 0 is the unchanged image.

    The other views show 60 to 100% of the area, with an aspect ratio of up to 4 to 3, rotated by up to 12 degrees, half
    of them mirrored, with contrast and brightness changed by up to 25%.
    """
    if number == 0:
        return PLAIN
    chance = random.Random(f"{seed}/{name}/{number}")
    side = math.sqrt(chance.uniform(0.6, 1.0))
    stretch = math.exp(chance.uniform(-1, 1) * math.log(4 / 3) / 2)
    wide, high = min(1.0, side * stretch), min(1.0, side / stretch)
    turn = math.radians(chance.uniform(-12, 12))
    mirror = chance.choice((-1.0, 1.0))
    right, down = chance.uniform(-1, 1) * (1 - wide), chance.uniform(-1, 1) * (1 - high)
    cosine, sine = math.cos(turn), math.sin(turn)
    warp = ((mirror * wide * cosine, -high * sine, right), (mirror * wide * sine, high * cosine, down))
    return AugmentedView(warp, chance.uniform(0.75, 1.25), chance.uniform(-0.25, 0.25))
