"""Checks of a map, and its most salient pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.tensors import ranks


def keep_top(saliency: Tensor, share: float = 0.5) -> Tensor:
    """The most salient pixels.

    Args:
        saliency: Map, H x W; equal values are ranked in reading order.
        share: Share of the pixels to select, in [0, 1].

    Returns:
        H x W booleans, true for exactly round(share * H * W) pixels.

    Raises:
        InputError: The share is outside [0, 1], or the map is not H x W or contains NaN.

    >>> import torch
    >>> keep_top(torch.tensor([[0.1, 0.7], [0.7, 0.3]]), 0.25)
    tensor([[False,  True],
            [False, False]])
    """
    if not 0 <= share <= 1:
        raise InputError(f"the share of pixels to keep is {share}; give a number from 0 to 1")
    check_map(saliency)
    return ranks(saliency) < round(share * saliency.numel())


def check_map(saliency: Tensor, *, image: Tensor | None = None, positive: bool = False) -> None:
    """Check the shape and the values of a map.

    Args:
        saliency: Map, H x W.
        image: Image or mask of the same height and width, ... x H x W.
        positive: Whether negative and infinite values raise an error.

    Raises:
        InputError: The map is not H x W, differs in size from the image, or contains NaN, or negative or infinite
            values that are not allowed.
    """
    if saliency.dim() != 2 or saliency.numel() == 0:
        raise InputError(f"the map has shape {tuple(saliency.shape)}; it must be H x W")
    if image is not None and image.shape[-2:] != saliency.shape:
        raise InputError(
            f"the map has shape {tuple(saliency.shape)}, the image {tuple(image.shape)}; height and width must be equal"
        )
    if saliency.isnan().any():
        raise InputError("the map contains NaN, so its pixels cannot be ranked; replace these values first")
    if positive and (saliency < 0).any():
        raise InputError("the map contains negative values; clip it or take its absolute values first")
    if positive and saliency.isinf().any():
        raise InputError("the map contains infinite values; replace these values first")


def of_map(saliency: Tensor, value: Tensor) -> Tensor:
    """A number that was computed from a map, in the map's type; float32 for maps of whole numbers."""
    return value.to(saliency.dtype if saliency.is_floating_point() else torch.float32)
