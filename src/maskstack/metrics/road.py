"""ROAD: removed pixels are imputed from their neighbours, so that the shape of the removed region is hardly visible."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError, require
from maskstack.metrics.faithfulness import Score
from maskstack.metrics.order import check_map
from maskstack.tensors import ranks

DIRECT, DIAGONAL = 1 / 6, 1 / 12
"""Weights of the direct and the diagonal neighbours."""

_LEAF = 8  # Side of the squares that are not divided further; smaller ones are slower and do not reduce fill-in.

FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
ORDERS = ("morf", "lerf")
"""Orders of removal: the most relevant pixels first, and the least relevant first."""


def road_images(
    image: Tensor,
    saliency: Tensor,
    *,
    order: str = "morf",
    fractions: Sequence[float] = FRACTIONS,
    noise: float = 0.01,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Images whose most or least salient pixels are imputed from the others (Rong et al. 2022).

    Args:
        image: C x H x W, normalised.
        saliency: H x W; equal values are taken in reading order.
        order: Which pixels are removed first, one of :data:`ORDERS`.
        fractions: N shares of the pixels to remove; each gives one image, made from the whole image.
        noise: See :func:`noisy_linear_imputation`.
        generator: Source of the noise, on the CPU; torch's own if None.

    Returns:
        N x C x H x W.

    Raises:
        InputError: The order is unknown, a fraction leaves no pixel, or the map does not fit the image.
        MissingExtraError: scipy is not installed.
    """
    if order not in ORDERS:
        raise InputError(f"order is {order!r}; it must be one of {', '.join(ORDERS)}")
    if not fractions or not all(0 <= fraction < 1 for fraction in fractions):
        raise InputError(f"the fractions to remove are {tuple(fractions)}; give numbers from 0 to below 1")
    check_map(saliency, image=image)
    rank = ranks(saliency, descending=order == "morf")
    return torch.stack(
        [
            noisy_linear_imputation(image, rank < round(fraction * rank.numel()), noise=noise, generator=generator)
            for fraction in fractions
        ]
    )


class RoadOptions(TypedDict, total=False):
    """The options of ROAD, as for :func:`road_images`."""

    order: str
    fractions: Sequence[float]
    noise: float
    generator: torch.Generator | None


def road(score: Score, image: Tensor, saliency: Tensor, **options: Unpack[RoadOptions]) -> Tensor:
    """Scores of the images of :func:`road_images`, N; low is good for ``morf``, high for ``lerf``.

    The score of the paper is whether the class is still predicted; a probability works as well.

    Args:
        score: Scores of N images.
        image: C x H x W, normalised.
        saliency: H x W.
        **options: See :func:`road_images`: the order, the N shares of the pixels to remove, and the noise.
    """
    return score(road_images(image, saliency, **options))


def noisy_linear_imputation(
    image: Tensor, removed: Tensor, *, noise: float = 0.01, generator: torch.Generator | None = None
) -> Tensor:
    """Replace removed pixels by the weighted mean of their eight neighbours, and add noise (ROAD, Rong et al. 2022).

    Direct neighbours have the weight 1/6, diagonal ones 1/12; at the border of the image, the weights of the existing
    neighbours are scaled to sum 1. Removed neighbours enter with their own imputed value. This sparse linear system is
    solved exactly, for all channels with one factorisation. The system is symmetric, and pixels are eliminated in the
    order of nested dissection, which takes half the time of the solver's own orderings if most pixels are removed.

    Args:
        image: C x H x W, normalised. The system is solved on the CPU in double precision.
        removed: Pixels to impute, H x W booleans, not all of them true.
        noise: Standard deviation of the Gaussian noise added to the imputed pixels.
        generator: Source of the noise, on the CPU; torch's own if None.

    Returns:
        C x H x W, of the image's type and device; pixels that are not removed are unchanged.

    Raises:
        InputError: The shapes differ, or every pixel is removed.
        MissingExtraError: scipy is not installed.
    """
    if image.dim() != 3 or removed.shape != image.shape[1:] or removed.dtype != torch.bool:
        raise InputError(
            f"an image C x H x W needs booleans H x W of what is removed, not {tuple(image.shape)} and "
            f"{removed.dtype} {tuple(removed.shape)}"
        )
    gone = removed.cpu()
    if gone.all():
        raise InputError("every pixel is removed; at least one must remain to impute from")
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
    """Values of the unknown pixels, C x N, in their given order."""
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
    # The matrix is symmetric and diagonally dominant, so the factorisation needs no reordering and no pivoting.
    factors = linalg.splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0, options={"SymmetricMode": True})
    return torch.from_numpy(np.ascontiguousarray(factors.solve(np.ascontiguousarray(known.T)).T))


def _around(image: Tensor, unknown: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weighted sum of the neighbours inside the image, C x N."""
    weights = torch.full((1, 1, 3, 3), DIAGONAL, dtype=torch.float64)
    weights[0, 0, 1], weights[0, 0, :, 1] = DIRECT, DIRECT
    weights[0, 0, 1, 1] = 0
    sums = functional.conv2d(image.double().unsqueeze(1), weights, padding=1)
    found: NDArray[np.float64] = sums.flatten(1).numpy()[:, unknown]
    return found


def _neighbours(grid: NDArray[np.int64], down: int, right: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of a pixel and the pixel at the offset ``down``, ``right`` from it."""
    height, width = grid.shape
    left, cut = max(0, -right), max(0, right)
    return grid[: height - down, left : width - cut], grid[down:, left + right : width - cut + right]


@lru_cache(maxsize=8)
def _dissection(height: int, width: int) -> NDArray[np.int64]:
    """Pixels in the order of nested dissection (George 1973): two halves, then the line that separates them."""

    def ordered(grid: NDArray[np.int64]) -> NDArray[np.int64]:
        if max(grid.shape) <= _LEAF:
            return grid.ravel()
        if grid.shape[0] < grid.shape[1]:
            grid = grid.T
        middle = len(grid) // 2
        return np.concatenate([ordered(grid[:middle]), ordered(grid[middle + 1 :]), grid[middle]])

    order = ordered(np.arange(height * width).reshape(height, width))
    order.setflags(write=False)  # The cache returns the same array to all callers.
    return order
