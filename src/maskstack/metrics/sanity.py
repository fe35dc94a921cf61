"""Sanity: does the map depend on what the network has learned? See Adebayo et al. (2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from maskstack.errors import InputError
from maskstack.errors import require
from maskstack.metrics.cascade import cascade
from maskstack.metrics.order import check_map

_WINDOW = 11


@dataclass(frozen=True)
class Depth:
    """How far down the network was made random, and what became of the map.

    Attributes:
        layer: Name of the deepest layer that was made random.
        rank_correlation: Spearman's, of the map with the original; near 0 is good.
        structural_similarity: SSIM of the same; low is good.
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
    """Compare the map with those of the network made random from the output down, a layer more at a time.

    The untouched network is the reference and no part of the result.

    Args:
        explain: Makes the map, H x W in [0, 1], of the network as it is when called.
        model: The network; comes back as it was, whatever happens.
        original: The map of the untouched network, where it is known already.
        layers: See :func:`cascade`.
        steps: Depths to look at, evenly spaced, the deepest (all layers) among them; None is every layer.
        seed: Of the random weights; a layer gets the same ones whatever the steps.

    Returns:
        One entry for each depth, the one nearest to the output first; fewer than ``steps`` if the layers are fewer.

    Raises:
        InputError: ``steps`` is less than 1, or see :func:`cascade`, :func:`rank_correlation` and
            :func:`structural_similarity`.
        MissingExtraError: scipy or scikit-image is not installed.
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
                alike = rank_correlation(saliency, reference), structural_similarity(saliency, reference)
                found.append(Depth(name, *alike))
    return found


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation of two maps; equal values share their mean rank.

    Args:
        first: H x W.
        second: H x W.

    Returns:
        From -1 to 1; 0 if one map is constant, and 1 if both are, since they order the pixels alike.

    Raises:
        InputError: They are not of one shape H x W, or hold NaN.

    >>> import torch
    >>> rank_correlation(torch.tensor([[0.1, 0.2, 0.4]]), torch.tensor([[3.0, 2.0, 1.0]]))
    -1.0
    """
    check_map(first)
    check_map(second, image=first)
    return float(rank_agreement(torch.stack([first.detach(), second.detach().to(first)]))[0, 1])


def structural_similarity(first: Tensor, second: Tensor) -> float:
    """SSIM (Wang et al. 2004) of two maps in [0, 1], with the Gaussian window of that paper.

    Args:
        first: H x W, at least 11 pixels either way.
        second: H x W.

    Returns:
        From -1 to 1; 1 for equal maps.

    Raises:
        InputError: They are not of one shape H x W, too small, or hold NaN.
        MissingExtraError: scikit-image is not installed.

    >>> import torch
    >>> structural_similarity(torch.eye(12), torch.eye(12))
    1.0
    """
    check_map(first)
    check_map(second, image=first)
    if min(first.shape) < _WINDOW:
        raise InputError(f"the maps are {tuple(first.shape)}; SSIM's window needs {_WINDOW} pixels either way")
    one, other = (saliency.detach().cpu().double().numpy() for saliency in (first, second))
    skimage = require("skimage.metrics", extra="bench")
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(skimage.structural_similarity(one, other, data_range=1.0, **settings))
