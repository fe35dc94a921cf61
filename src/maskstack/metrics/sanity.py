"""Sanity: does the map depend on what the network has learned? See Adebayo et al. (2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskstack.errors import InputError, require
from maskstack.metrics.cascade import cascade
from maskstack.metrics.order import check_map
from maskstack.tensors import rank_agreement

_WINDOW, _SLACK = 11, 1e-3


@dataclass(frozen=True)
class Depth:
    """Similarity of the map to the original after the network was randomised down to a layer.

    Attributes:
        layer: Name of the deepest randomised layer.
        rank_correlation: Spearman's rank correlation of the map with the original; near 0 is good.
        structural_similarity: SSIM of the map with the original; low is good.
    """

    layer: str
    rank_correlation: float
    structural_similarity: float


def randomization(
    explain: Callable[[], Tensor],
    model: nn.Module,
    *,
    original: Tensor | None = None,
    layers: Sequence[str] | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> list[Depth]:
    """Compare the map with the maps of the network while its layers are randomised one by one from the output down.

    The original network is the reference; it is not part of the result.

    Args:
        explain: Function that makes the map, H x W in [0, 1], of the network in its current state.
        model: The network; it is restored afterwards, also after an error.
        original: Map of the original network, if it is known already.
        layers: Layers to randomise, see :func:`cascade`.
        steps: Number of depths, evenly spaced, including the deepest (all layers); None means every layer.
        seed: Seed of the random weights, which do not depend on ``steps``.

    Returns:
        One entry for each depth, the one nearest to the output first; fewer than ``steps`` if there are fewer layers.

    Raises:
        InputError: ``steps`` is below 1, or another reason of :func:`cascade`, :func:`rank_correlation` or
            :func:`structural_similarity`.
        MissingExtraError: scikit-image is not installed.
    """
    if steps is not None and steps < 1:
        raise InputError(f"steps is {steps}; it must be 1 or more")
    reference = explain() if original is None else original
    found = []
    with cascade(model, layers=layers, seed=seed) as depths:
        count = len(depths.names)
        wanted = count if steps is None else min(steps, count)
        stops = {round(step * count / wanted) for step in range(1, wanted + 1)}
        for depth, name in enumerate(depths, start=1):
            if depth in stops:
                saliency = explain()
                similarity = rank_correlation(saliency, reference), structural_similarity(saliency, reference)
                found.append(Depth(name, *similarity))
    return found


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation of two maps; equal values share their mean rank.

    Args:
        first: Map, H x W.
        second: Map, H x W.

    Returns:
        A number from -1 to 1; 0 if one map is constant, and 1 if both are, as they rank the pixels in the same way.

    Raises:
        InputError: The maps are not both H x W, or contain NaN.

    >>> import torch
    >>> round(rank_correlation(torch.tensor([[0.1, 0.2, 0.4]]), torch.tensor([[3.0, 2.0, 1.0]])), 6)
    -1.0
    """
    check_map(first)
    check_map(second, image=first)
    return float(rank_agreement(torch.stack([first.detach(), second.detach().to(first)]))[0, 1])


def structural_similarity(first: Tensor, second: Tensor) -> float:
    """SSIM (Wang et al. 2004) of two maps in [0, 1], with the Gaussian window of that paper.

    Args:
        first: Map, H x W, at least 11 pixels high and wide.
        second: Map, H x W.

    Returns:
        A number from -1 to 1; 1 for equal maps.

    Raises:
        InputError: The maps are not both H x W, are too small, or contain NaN or values outside [0, 1].
        MissingExtraError: scikit-image is not installed.

    >>> import torch
    >>> structural_similarity(torch.eye(12), torch.eye(12))
    1.0
    """
    check_map(first)
    check_map(second, image=first)
    if min(first.shape) < _WINDOW:
        raise InputError(
            f"the maps are {tuple(first.shape)}; they must be at least {_WINDOW} x {_WINDOW}, the size of SSIM's window"
        )
    one, other = (saliency.detach().cpu().double().numpy() for saliency in (first, second))
    if min(one.min(), other.min()) < -_SLACK or max(one.max(), other.max()) > 1 + _SLACK:
        raise InputError("the maps have values outside [0, 1], for which SSIM is defined here; scale both maps first")
    skimage = require("skimage.metrics", extra="bench")
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(skimage.structural_similarity(one, other, data_range=1.0, **settings))
