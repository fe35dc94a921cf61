"""Blurred images, the start of the insertion metric."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.tensors import filtered, gaussian_blur

NARROW_TAPS, NARROW_SIGMA = 11, 5.0


def blur(image: Tensor, *, sigma: float) -> Tensor:
    """Blur an image with a Gaussian that is cut off at three standard deviations; the edges are repeated.

    Args:
        image: C x H x W.
        sigma: Standard deviation in pixels; 0 changes nothing.

    Returns:
        C x H x W.

    Raises:
        InputError: The standard deviation is negative or not a number.
    """
    if not 0 <= sigma < math.inf:
        raise InputError(f"the blur's standard deviation is {sigma}; give a number of pixels from 0 on")
    return gaussian_blur(image.unsqueeze(0), sigma).squeeze(0)


def narrow_blur(image: Tensor) -> Tensor:
    """The blur for the insertion metric in the evaluation code of RISE (Petsiuk et al. 2018).

    The paper has 11 taps and sigma 5. The authors' code computes them by filtering an 11 x 11 unit impulse, which folds
    the tails of the Gaussian back into the window: the weights differ by 7% between centre and edge, so it is nearly a
    box filter, while the weights of an 11-tap Gaussian differ by 65%. The image is padded with zeros (the mean colour
    of a normalised image). Kernel and padding are the same here, so that results are comparable with published ones.
    More of the image remains visible than with :func:`blur` and sigma 10.

    Args:
        image: C x H x W, normalised.

    Returns:
        C x H x W.
    """
    folds = _gaussian(20, NARROW_SIGMA)  # In that code, the tails end at four standard deviations.
    folds = functional.pad(folds, (7, 7))  # 55 offsets: five windows of 11, the third one around 0.
    kernel = folds.view(-1, NARROW_TAPS).sum(dim=0)
    return filtered(image.unsqueeze(0), kernel, padding="constant").squeeze(0)


def _gaussian(reach: int, sigma: float) -> Tensor:
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()
