"""Learnable grids of several sizes, and their bilinear upsampling to the image.

All grids of all problems live in one tensor, padded to the largest size: bilinear upsampling is linear and separable,
so ``U(m) = R m C^T`` with one matrix of row weights and one of column weights per size. Padding changes nothing, since
the weights of padded cells are zero, and problems of different sizes can share a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.tensors import gaussian_blur

GridSize = tuple[int, int]
"""Height and width of a grid, in cells."""


def as_grid_size(size: int | Sequence[int]) -> GridSize:
    """Read one grid size: ``7`` is a square, ``(4, 6)`` has 4 rows and 6 columns.

    Raises:
        InputError: The size is not one or two positive whole numbers.

    >>> as_grid_size(7), as_grid_size((4, 6))
    ((7, 7), (4, 6))
    """
    values = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(values) != 2 or any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in values):
        raise InputError(f"a grid size is a positive whole number or a pair (height, width) of them, not {size!r}")
    return values[0], values[1]


def check_sizes(sizes: Sequence[GridSize], image_size: tuple[int, int]) -> None:
    """Check that no grid is finer than the image.

    Raises:
        InputError: A grid has more cells than the image has pixels along a side.
    """
    height, width = image_size
    for h, w in sizes:
        if h > height or w > width:
            raise InputError(
                f"a grid of {h} x {w} cells is larger than the image of {height} x {width} pixels; choose smaller sizes"
            )


def fitting_sizes(sizes: Sequence[GridSize], image_size: tuple[int, int]) -> tuple[GridSize, ...]:
    """The sizes whose cells are at least two pixels high and wide; the first of them if there is none.

    >>> fitting_sizes(((3, 3), (7, 7), (112, 112)), (32, 32))
    ((3, 3), (7, 7))
    """
    height, width = image_size
    return tuple((h, w) for h, w in sizes if 2 * h <= height and 2 * w <= width) or tuple(sizes[:1])


@dataclass(frozen=True)
class Upsampler:
    """The weights that upsample grids of several sizes to the size of an image.

    Attributes:
        sizes: The grid sizes, in the order of the weights.
        rows: Row weights, S x H x (largest grid height).
        columns: Column weights, S x W x (largest grid width).
    """

    sizes: tuple[GridSize, ...]
    rows: Tensor
    columns: Tensor

    @classmethod
    def build(
        cls, sizes: Sequence[GridSize], image_size: tuple[int, int], device: torch.device, *, blur: float = 0.0
    ) -> Upsampler:
        """Make the weights of bilinear upsampling, ``align_corners=False``, followed by a Gaussian blur.

        Args:
            sizes: The grid sizes.
            image_size: Height and width of the image.
            device: Where the weights are kept.
            blur: Standard deviation of the blur in pixels; 0 for none. The blur is linear too, so it is part of the
                weights and costs nothing.

        Raises:
            InputError: A grid has more cells than the image has pixels along a side.
        """
        check_sizes(sizes, image_size)
        height, width = image_size
        rows = _padded_weights([h for h, _ in sizes], height, blur).to(device)
        columns = _padded_weights([w for _, w in sizes], width, blur).to(device)
        return cls(tuple(sizes), rows, columns)

    @property
    def cells(self) -> tuple[int, int]:
        """Height and width that grids are padded to."""
        return self.rows.shape[-1], self.columns.shape[-1]

    def __call__(self, grids: Tensor, which: Tensor) -> Tensor:
        """Upsample padded grids.

        Args:
            grids: ... x h x w, padded to :attr:`cells`.
            which: Index of each grid's size in :attr:`sizes`, of the leading shape of ``grids``.

        Returns:
            Masks, ... x H x W.
        """
        return self.rows[which] @ grids @ self.columns[which].transpose(-1, -2)

    def mean(self, grids: Tensor) -> Tensor:
        """Mean of the upsampled grids of all sizes, without making each of them.

        A sum of matrix products equals one product of the concatenated matrices. The row weights are applied for each
        size by itself, the column weights of all sizes at once.

        Args:
            grids: P x S x h x w, one grid of each size in their order, padded to :attr:`cells`.

        Returns:
            Masks, P x H x W.
        """
        halves = [self.rows[s, :, :h] @ grids[:, s, :h, :w] for s, (h, w) in enumerate(self.sizes)]  # P H w
        weights = [self.columns[s, :, :w] for s, (_, w) in enumerate(self.sizes)]  # W w
        return torch.cat(halves, dim=-1) @ torch.cat(weights, dim=-1).T / len(self.sizes)

    def crop(self, grids: Tensor, which: int) -> Tensor:
        """Take the padding off grids of one size: ... x h x w."""
        h, w = self.sizes[which]
        return grids[..., :h, :w]


def _padded_weights(cells: Sequence[int], pixels: int, blur: float) -> Tensor:
    weights = torch.zeros(len(cells), pixels, max(cells), dtype=torch.float32)
    for index, count in enumerate(cells):
        weights[index, :, :count] = _axis_weights(count, pixels, blur)
    return weights


def _axis_weights(cells: int, pixels: int, blur: float) -> Tensor:
    """Weights of one axis, pixels x cells, found by interpolating and blurring unit vectors with torch."""
    unit = torch.eye(cells, dtype=torch.float32).unsqueeze(1)  # cells 1 cells
    axis = functional.interpolate(unit, size=pixels, mode="linear", align_corners=False)
    return gaussian_blur(axis.unsqueeze(-1), blur)[:, 0, :, 0].T
