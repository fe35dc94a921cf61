"""Which pixels come first."""

from __future__ import annotations

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.tensors import ranks


def keep_top(saliency: Tensor, share: float = 0.5) -> Tensor:
    """The most salient pixels.

    Args:
        saliency: H x W; equal values are taken in reading order.
        share: Of the pixels, in [0, 1].

    Returns:
        H x W booleans, true for exactly round(share * H * W) pixels.

    Raises:
        InputError: The share is outside [0, 1], or the map is not H x W, or holds NaN.

    >>> keep_top(torch.tensor([[0.1, 0.7], [0.7, 0.3]]), 0.25)
    tensor([[False,  True],
            [False, False]])
    """
    if not 0 <= share <= 1:
        raise InputError(f"the share of pixels to keep is {share}; give a number from 0 to 1")
    check_map(saliency)
    return ranks(saliency) < round(share * saliency.numel())


def check_map(saliency: Tensor, *, image: Tensor | None = None, positive: bool = False) -> None:
    """Check that a map is one.

    Args:
        saliency: H x W.
        image: ... x H x W that it has to fit.
        positive: Whether negative values have no meaning.

    Raises:
        InputError: It is not one.
    """
    if saliency.dim() != 2 or saliency.numel() == 0:
        raise InputError(f"the map has shape {tuple(saliency.shape)}; it has to be H x W")
    if image is not None and image.shape[-2:] != saliency.shape:
        raise InputError(
            f"the map has shape {tuple(saliency.shape)}, the image {tuple(image.shape)}; height and width have to agree"
        )
    if saliency.isnan().any():
        raise InputError("the map holds NaN; it has no order")
    if positive and (saliency < 0).any():
        raise InputError("the map holds negative values; clip it or take its absolute values first")
