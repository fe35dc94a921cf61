"""Noisy linear imputation: removed pixels become what their surroundings suggest, and betray little of their shape."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.errors import require

DIRECT, DIAGONAL = 1 / 6, 1 / 12
_LEAF = 8  # Side of the squares that are no longer cut; smaller ones cost Python calls and save no fill-in.


def noisy_linear_imputation(
    image: Tensor, removed: Tensor, *, noise: float = 0.01, generator: torch.Generator | None = None
) -> Tensor:
    """Replace removed pixels by the weighted mean of their eight neighbours, and add noise (ROAD, Rong et al. 2022).

    Direct neighbours weigh 1/6, diagonal ones 1/12; at the image's border the weights of the neighbours that are there
    are scaled to sum 1. Removed neighbours take part with their own imputed value: a sparse linear system, which is
    solved exactly, for all channels with one factorisation. The system is symmetric, and pixels are eliminated in the
    order of nested dissection, which halves the time of the solver's own orderings where most pixels are removed.

    Args:
        image: C x H x W, normalised. It is solved on the CPU in double precision.
        removed: H x W booleans; not all of them true.
        noise: Standard deviation of the Gaussian noise added to the imputed pixels.
        generator: Source of the noise, on the CPU; torch's own if None.

    Returns:
        C x H x W, of the image's type and device; pixels that are not removed are unchanged.

    Raises:
        InputError: Shapes do not agree, or every pixel is removed.
        MissingExtraError: scipy is not installed.
    """
    if image.dim() != 3 or removed.shape != image.shape[1:] or removed.dtype != torch.bool:
        raise InputError(
            f"an image C x H x W needs booleans H x W of what is removed, not {tuple(image.shape)} and "
            f"{removed.dtype} {tuple(removed.shape)}"
        )
    gone = removed.cpu()
    if gone.all():
        raise InputError("every pixel is removed; at least one has to stay to impute from")
    if not gone.any():
        return image.clone()
    height, width = gone.shape
    order = _dissection(height, width)
    unknown = order[gone.flatten().numpy()[order]]
    solution = _solve(image.detach().cpu().double(), gone, unknown)
    drawn = torch.randn(solution.shape, generator=generator, dtype=torch.float32, device="cpu")
    imputed = image.detach().clone()
    imputed.flatten(1)[:, torch.from_numpy(unknown)] = (solution + noise * drawn).to(image)
    return imputed


def _solve(image: Tensor, gone: Tensor, unknown: NDArray[np.int64]) -> Tensor:
    """Values of the unknown pixels, C x N, in the order in which they are given."""
    sparse = require("scipy.sparse", extra="bench")
    linalg = require("scipy.sparse.linalg", extra="bench")
    count = len(unknown)
    equation = np.full(gone.shape, -1)
    equation.flat[unknown] = np.arange(count)
    rows, columns, values = [np.arange(count)], [np.arange(count)], [_around(torch.ones(1, *gone.shape), unknown)[0]]
    for down, right, weight in ((0, 1, DIRECT), (1, 0, DIRECT), (1, 1, DIAGONAL), (1, -1, DIAGONAL)):
        one, other = _neighbours(equation, down, right)
        both = (one >= 0) & (other >= 0)
        one, other = one[both], other[both]
        rows += [one, other]
        columns += [other, one]
        values += [np.full(2 * len(one), -weight)]
    matrix = sparse.csc_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))))
    known = _around(image.masked_fill(gone, 0), unknown)
    # The matrix is symmetric with a dominant diagonal: the factors need neither another order nor pivots.
    factors = linalg.splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0, options={"SymmetricMode": True})
    return torch.from_numpy(np.ascontiguousarray(factors.solve(np.ascontiguousarray(known.T)).T))


def _around(image: Tensor, unknown: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weighted sum of the neighbours within the image, C x N."""
    weights = torch.full((1, 1, 3, 3), DIAGONAL, dtype=torch.float64)
    weights[0, 0, 1], weights[0, 0, :, 1] = DIRECT, DIRECT
    weights[0, 0, 1, 1] = 0
    sums = functional.conv2d(image.double().unsqueeze(1), weights, padding=1)
    found: NDArray[np.float64] = sums.flatten(1).numpy()[:, unknown]
    return found


def _neighbours(grid: NDArray[np.int64], down: int, right: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of a pixel and the one that lies so far down and to the right of it."""
    height, width = grid.shape
    left, cut = max(0, -right), max(0, right)
    return grid[: height - down, left : width - cut], grid[down:, left + right : width - cut + right]


@lru_cache(maxsize=8)
def _dissection(height: int, width: int) -> NDArray[np.int64]:
    """Pixels in the order of nested dissection (George 1973): two halves, then the line that parts them."""

    def ordered(grid: NDArray[np.int64]) -> NDArray[np.int64]:
        if max(grid.shape) <= _LEAF:
            return grid.ravel()
        if grid.shape[0] < grid.shape[1]:
            grid = grid.T
        middle = len(grid) // 2
        return np.concatenate([ordered(grid[:middle]), ordered(grid[middle + 1 :]), grid[middle]])

    order = ordered(np.arange(height * width).reshape(height, width))
    order.setflags(write=False)  # The cache hands the same array to all callers.
    return order
