"""Learnable grids of several sizes, and their bilinear upsampling to the image (trilinear to a volume).

All grids of all problems live in one tensor, padded to the largest size: bilinear upsampling is linear and separable,
so ``U(m) = R m C^T`` with one matrix of row weights and one of column weights per size. Padding changes nothing, since
the weights of padded cells are zero, and problems of different sizes can share a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.tensors import gaussian_blur

GridSize = tuple[int, ...]
"""Height and width of a grid, in cells; of a volume's grid depth, height and width."""


def as_grid_size(size: int | Sequence[int]) -> GridSize:
    """Read one grid size: ``7`` is a square, ``(4, 6)`` has 4 rows and 6 columns, ``(2, 4, 6)`` also has a depth of 2.

    Raises:
        InputError: The size is not one, two or three positive whole numbers.

    >>> as_grid_size(7), as_grid_size((4, 6))
    ((7, 7), (4, 6))
    """
    values = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(values) not in (2, 3) or any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in values):
        raise InputError(
            "a grid size is a positive whole number or a pair (height, width) of them, or for volumes "
            f"(depth, height, width), not {size!r}"
        )
    return values


def grids_for(sizes: Sequence[GridSize], image_size: Sequence[int]) -> tuple[GridSize, ...]:
    """The sizes for an image of these sides; on a volume, a pair (height, width) gets a depth.

    The depth is chosen so that cells are about as deep as they are high: a clip of few frames gets fewer cells in time
    than in space. Write three numbers to choose it yourself.

    Args:
        sizes: Sizes of two or three numbers.
        image_size: Height and width, or depth, height and width.

    Raises:
        InputError: A size has three numbers and the image is not a volume.

    >>> grids_for([(7, 7), (2, 14, 14)], (16, 112, 112)), grids_for([(7, 7)], (32, 32, 32))
    (((1, 7, 7), (2, 14, 14)), ((7, 7, 7),))
    """
    found = []
    for size in sizes:
        if len(size) > len(image_size):
            raise InputError(f"the grid size {size} is for volumes, but the images are B x C x H x W; give two numbers")
        if len(size) < len(image_size):
            side = min(image_size[1] / size[0], image_size[2] / size[1])
            size = (max(1, min(round(image_size[0] / side), *image_size[:1], max(size))), *size)
        found.append(size)
    return tuple(found)


def check_sizes(sizes: Sequence[GridSize], image_size: Sequence[int]) -> None:
    """Check that no grid is finer than the image.

    Raises:
        InputError: A grid has more cells than the image has pixels along a side.
    """
    for size in grids_for(sizes, image_size):
        if any(cells > pixels for cells, pixels in zip(size, image_size, strict=True)):
            raise InputError(
                f"a grid of {_by(size)} cells is larger than the image of {_by(image_size)} pixels; choose smaller "
                "sizes"
            )


def fitting_sizes(sizes: Sequence[GridSize], image_size: Sequence[int]) -> tuple[GridSize, ...]:
    """The sizes whose cells are at least two pixels high and wide; the first of them if there is none.

    >>> fitting_sizes(((3, 3), (7, 7), (112, 112)), (32, 32))
    ((3, 3), (7, 7))
    """
    fit = [all(2 * cells <= pixels for cells, pixels in zip(size[-2:], image_size[-2:], strict=True)) for size in sizes]
    return tuple(size for size, fits in zip(sizes, fit, strict=True) if fits) or tuple(sizes[:1])


def pooled(values: Tensor, size: Sequence[int]) -> Tensor:
    """Mean over each cell of a grid: ... x H x W to ... x h x w, or with depth."""
    pool: Any = functional.adaptive_avg_pool3d if len(size) == 3 else functional.adaptive_avg_pool2d
    found: Tensor = pool(values, tuple(size))
    return found


def corner(size: Sequence[int]) -> tuple[Any, ...]:
    """The index of the cells of this size in a padded grid, whose last dimensions are the spatial ones."""
    return (..., *(slice(cells) for cells in size))


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


@dataclass(frozen=True)
class Upsampler:
    """The weights that upsample grids of several sizes to the size of an image.

    Attributes:
        sizes: The grid sizes, in the order of the weights.
        weights: The weights of each spatial dimension: S x H x (largest grid height), and likewise for the others.
    """

    sizes: tuple[GridSize, ...]
    weights: tuple[Tensor, ...]

    @classmethod
    def build(
        cls, sizes: Sequence[GridSize], image_size: Sequence[int], device: torch.device, *, blur: float = 0.0
    ) -> Upsampler:
        """Make the weights of bilinear upsampling (trilinear in volumes), ``align_corners=False``, and a Gaussian blur.

        Args:
            sizes: The grid sizes.
            image_size: Height and width of the image, or depth, height and width.
            device: Where the weights are kept.
            blur: Standard deviation of the blur in pixels; 0 for none. The blur is linear too, so it is part of the
                weights and costs nothing.

        Raises:
            InputError: A grid has more cells than the image has pixels along a side.
        """
        check_sizes(sizes, image_size)
        sizes = grids_for(sizes, image_size)
        axes = [(tuple(size[axis] for size in sizes), pixels) for axis, pixels in enumerate(image_size)]
        made = {axis: _padded_weights(*axis, blur).to(device) for axis in set(axes)}
        return cls(sizes, tuple(made[axis] for axis in axes))

    @property
    def rows(self) -> Tensor:
        """Row weights, S x H x (largest grid height)."""
        return self.weights[-2]

    @property
    def columns(self) -> Tensor:
        """Column weights, S x W x (largest grid width)."""
        return self.weights[-1]

    @property
    def cells(self) -> tuple[int, ...]:
        """Sides that grids are padded to."""
        return tuple(weights.shape[-1] for weights in self.weights)

    def __call__(self, grids: Tensor, which: Tensor) -> Tensor:
        """Upsample padded grids.

        Args:
            grids: ... x h x w (or ... x d x h x w), padded to :attr:`cells`.
            which: Index of each grid's size in :attr:`sizes`, of the leading shape of ``grids``.

        Returns:
            Masks, ... x H x W.
        """
        rows, columns = self.rows[which], self.columns[which]
        if len(self.weights) == 2:
            return rows @ grids @ columns.transpose(-1, -2)
        planes = rows.unsqueeze(-3) @ grids @ columns.unsqueeze(-3).transpose(-1, -2)
        return _in_depth(self.weights[0][which], planes)

    def each_size(self, grids: Tensor) -> Iterator[Tensor]:
        """Upsample the grids of one size after the other, without their padding: P x H x W (or P x D x H x W) each.

        Args:
            grids: P x S x h x w (or P x S x d x h x w), one grid of each size in their order, padded to :attr:`cells`.
        """
        for number, size in enumerate(self.sizes):
            rows, columns = self.rows[number, :, : size[-2]], self.columns[number, :, : size[-1]]
            found = rows @ self.crop(grids[:, number], number) @ columns.T
            yield found if len(size) == 2 else _in_depth(self.weights[0][number, :, : size[0]], found)

    def mean(self, grids: Tensor, *, log_odds: bool = False) -> Tensor:
        """Mean of the upsampled grids of all sizes, without making each of them.

        A sum of matrix products equals one product of the concatenated matrices. The weights of the first dimension are
        applied for each size by itself, those of the last one for all sizes at once.

        Args:
            grids: P x S x h x w (or P x S x d x h x w), one grid of each size in their order, padded to :attr:`cells`.
            log_odds: Whether the grids hold log-odds, so that the sigmoid of the mean is the mask.

        Returns:
            Masks, P x H x W.
        """
        rows = [self.rows[number, :, : size[-2]] for number, size in enumerate(self.sizes)]  # H h
        columns = [self.columns[number, :, : size[-1]] for number, size in enumerate(self.sizes)]  # W w
        together = torch.cat(columns, dim=-1)
        if len(self.weights) == 2:
            widths = [size[-1] for size in self.sizes]
            found: Tensor = _MeanOfSizes.apply(grids, log_odds, together, widths, *rows)
            return found
        parts = []
        for number, size in enumerate(self.sizes):
            own = _in_depth(self.weights[0][number, :, : size[0]], self.crop(grids[:, number], number))
            parts.append(rows[number] @ own)  # P D H w
        masks = torch.cat(parts, dim=-1) @ together.T / len(self.sizes)
        return masks.sigmoid() if log_odds else masks

    def crop(self, grids: Tensor, which: int) -> Tensor:
        """Take the padding off grids of one size: ... x h x w."""
        return grids[corner(self.sizes[which])]


class _MeanOfSizes(torch.autograd.Function):
    """Mean of the upsampled grids of all sizes, P x H x W, or its sigmoid; the gradient is written into one tensor.

    Autograd itself would make and add a padded gradient of all grids for each size.
    """

    @staticmethod
    def forward(
        ctx: Any, grids: Tensor, log_odds: bool, columns: Tensor, widths: Sequence[int], *rows: Tensor
    ) -> Tensor:
        """Upsample P x S x h x w by the column weights of all sizes, W x (sum of w), and the row weights of each."""
        ctx.widths, ctx.shape, ctx.log_odds = list(widths), grids.shape, log_odds
        parts = [
            weights @ grids[:, number, : weights.shape[1], :width]
            for number, (weights, width) in enumerate(zip(rows, widths, strict=True))
        ]
        found = (torch.cat(parts, dim=-1) @ columns.T).div_(len(parts))
        found = found.sigmoid_() if log_odds else found
        ctx.save_for_backward(found, columns, *rows)
        return found

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of the grids, P x S x h x w; 0 in the padding."""
        masks, columns, *rows = ctx.saved_tensors
        slope = torch.ops.aten.sigmoid_backward(slope, masks).div_(len(rows)) if ctx.log_odds else slope / len(rows)
        found = slope.new_zeros(ctx.shape)
        parts = (slope @ columns).split(ctx.widths, dim=-1)
        for number, (weights, part) in enumerate(zip(rows, parts, strict=True)):
            found[:, number, : weights.shape[1], : part.shape[-1]] = weights.T @ part
        return found, None, None, None, *[None for _ in rows]


def _in_depth(weights: Tensor, grids: Tensor) -> Tensor:
    """Upsample the depth, ... x D x H x W, of grids, ... x d x H x W."""
    found = weights @ grids.flatten(-2)
    return found.reshape(*found.shape[:-1], *grids.shape[-2:])


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
