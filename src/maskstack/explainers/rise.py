"""RISE: the mean of random masks, weighted by the score under each (Petsiuk, Das and Saenko 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor

from maskstack import checks
from maskstack.errors import InputError
from maskstack.explainers.base import MapExplainer, MapOptions, Maps
from maskstack.masks.grids import Upsampler
from maskstack.scoring import Model, ScoredModel


class RISE(MapExplainer):
    """Random masks over the image, zero where they hide (Petsiuk et al. 2018, equation 6).

    Masks are drawn on the CPU and shared by the images of a batch, so that an image gets the same masks alone and in a
    batch, on any device.

    Args:
        model: The network; it need not be differentiable.
        masks: Number of random masks; the paper uses 4000 for VGG16 and 8000 for ResNet-50.
        grid: Cells along each side of the random grids.
        p: Probability of a cell to be open.
        seed: Seed of the masks.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.

    Raises:
        InputError: An option is out of range.
    """

    def __init__(
        self,
        model: Model,
        *,
        masks: int = 4000,
        grid: int = 7,
        p: float = 0.5,
        seed: int = 0,
        **options: Unpack[MapOptions],
    ) -> None:
        checks.whole("masks", masks, least=1)
        checks.whole("grid", grid, least=1)
        checks.whole("seed", seed, least=0)
        checks.share("p", p)
        settings = {"masks": masks, "grid": grid, "p": p, "seed": seed}
        super().__init__("rise", model, settings, forward=masks, **options)
        self.masks, self.grid, self.p, self.seed = masks, grid, p, seed

    def _maps(self, scored: ScoredModel, images: Tensor) -> Maps:
        height, width = images.shape[2:]
        random = RandomMasks.draw(self.masks, (height, width), cells=self.grid, p=self.p, seed=self.seed)
        random = random.to(images.device)
        total = torch.zeros_like(images[:, 0])
        # Channels last, the default format of the network's input: the products then have this format too.
        images = images.contiguous(memory_format=torch.channels_last)
        for start in range(0, self.masks, self.batch_size):
            masks = random.slice(start, start + self.batch_size)  # N H W
            for row in range(len(images)):
                masked = _hide(images[row : row + 1], masks)
                rows = torch.full((len(masks),), row)
                scores = scored.scores(masked, rows)
                total[row] += torch.tensordot(scores.to(masks), masks, dims=1)
        return Maps(total / (self.masks * self.p))


@dataclass(frozen=True)
class RandomMasks:
    """Random grids, which are upsampled and shifted; masks are computed only when they are needed.

    The upsampled grid overhangs the image by a cell, and a window of the image's size is cut out of it at random
    (section 3.3 of the paper). Upsampling is linear and separable, so that the window's rows and columns are rows of
    two weight matrices, and a mask is ``R m C^T``.

    Attributes:
        grids: N x cells x cells of zeros and ones.
        down: First row of each window, N.
        right: First column of each window, N.
        rows: Weights of the window's rows for every first row: (first rows) x H x cells.
        columns: The same for the columns: (first columns) x W x cells.
    """

    grids: Tensor
    down: Tensor
    right: Tensor
    rows: Tensor
    columns: Tensor

    @classmethod
    def draw(cls, count: int, size: tuple[int, int], *, cells: int, p: float, seed: int) -> RandomMasks:
        """Draw the grids and the windows of ``count`` masks, on the CPU.

        Raises:
            InputError: There are more cells than pixels along a side.
        """
        if cells > min(size):
            raise InputError(
                f"grid is {cells}, more cells than the {min(size)} pixels of the image's shorter side; choose fewer"
            )
        generator = torch.Generator().manual_seed(seed)
        grids = (torch.rand(count, cells, cells, generator=generator, dtype=torch.float32) < p).float()
        # Rounded up, unlike in the paper: otherwise windows would not fit if the cells do not divide the side.
        cell = [math.ceil(side / cells) for side in size]
        down, right = (torch.randint(0, pixels + 1, (count,), generator=generator) for pixels in cell)
        whole = (cells + 1) * cell[0], (cells + 1) * cell[1]
        upsampler = Upsampler.build([(cells, cells)], whole, torch.device("cpu"))
        rows = _windows(upsampler.rows[0], size[0], cell[0] + 1)
        columns = _windows(upsampler.columns[0], size[1], cell[1] + 1)
        return cls(grids, down, right, rows, columns)

    def to(self, device: torch.device) -> RandomMasks:
        """The same on another device."""
        parts = (self.grids, self.down, self.right, self.rows, self.columns)
        return RandomMasks(*(part.to(device) for part in parts))

    def slice(self, start: int, stop: int) -> Tensor:
        """The masks of these numbers: N x H x W in [0, 1]."""
        rows, columns = self.rows[self.down[start:stop]], self.columns[self.right[start:stop]]
        return rows @ self.grids[start:stop] @ columns.transpose(1, 2)


def _windows(weights: Tensor, length: int, count: int) -> Tensor:
    """The first ``count`` windows of ``length`` rows, each one row further down: count x length x cells."""
    return torch.stack([weights[first : first + length] for first in range(count)])


def _hide(image: Tensor, masks: Tensor) -> Tensor:
    """The image under each mask, channels last: N x C x H x W of 1 x C x H x W and N x H x W."""
    masked = image.permute(0, 2, 3, 1) * masks.unsqueeze(3)
    return masked.permute(0, 3, 1, 2)
