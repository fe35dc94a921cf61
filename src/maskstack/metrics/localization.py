"""Localization: does the map lie on the annotated object?"""

from __future__ import annotations

from torch import Tensor


def energy_in_box(saliency: Tensor, inside: Tensor) -> Tensor:
    """Energy pointing game (Wang et al. 2020): share of the map's sum that lies inside.

    Args:
        saliency: H x W, not negative.
        inside: Union of the boxes, H x W booleans.

    Returns:
        A scalar in [0, 1]; 0 for a map of zeros.
    """
    total = saliency.sum()
    return (saliency * inside).sum() / total if total > 0 else total


def pointing_game(saliency: Tensor, inside: Tensor) -> Tensor:
    """Whether the map's highest pixel, the first of equals, lies inside (no tolerance): 0 or 1.

    Args:
        saliency: H x W.
        inside: Union of the boxes, H x W booleans.
    """
    return inside.flatten()[saliency.flatten().argmax()].to(saliency.dtype)
