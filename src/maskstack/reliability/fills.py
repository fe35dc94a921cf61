"""Fills that no search uses, so that a region is not judged by what its mask has adapted to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.tensors import gaussian_blur

CELLS = 4
"""Number of cells in each direction whose mean colours :func:`cell_colours` keeps."""

REACH = 0.1
"""Standard deviation with which :func:`spread_colours` spreads colours, as a share of the image's shorter side."""


def cell_colours(images: Tensor) -> Tensor:
    """Each image's mean colours in a few cells, smoothed, so that shapes are not visible.

    Args:
        images: B x C x H x W.
    """
    if images.ndim == 5:
        deep = functional.adaptive_avg_pool3d(images, CELLS)
        return functional.interpolate(deep, size=images.shape[2:], mode="trilinear", align_corners=False)
    cells = functional.adaptive_avg_pool2d(images, CELLS)
    return functional.interpolate(cells, size=images.shape[2:], mode="bilinear", align_corners=False)


def spread_colours(images: Tensor, shown: Tensor) -> Tensor:
    """The colours of the shown pixels spread over the image; nothing of the hidden pixels is in them.

    It is a normalised convolution with a Gaussian (Knutsson and Westin 1993). Far from all shown pixels it is their
    mean colour, and where no pixel is shown it is the mean colour of the image.

    Args:
        images: B x C x H x W.
        shown: How far each pixel is shown, B x 1 x H x W booleans or numbers in [0, 1].
    """
    weights, dims = shown.to(images), tuple(range(2, images.ndim))
    sigma = REACH * min(images.shape[-2:])
    reached = gaussian_blur(weights, sigma)
    count = weights.sum(dim=dims, keepdim=True)
    mean = (images * weights).sum(dim=dims, keepdim=True) / count.clamp_min(1)
    mean = torch.where(count > 0, mean, mean_colour(images))
    return torch.where(reached > 1e-4, gaussian_blur(images * weights, sigma) / reached.clamp_min(1e-4), mean)


def mean_colour(images: Tensor) -> Tensor:
    """Each image's mean colour everywhere.

    Args:
        images: B x C x H x W, or B x C x D x H x W.
    """
    return images.mean(dim=tuple(range(2, images.ndim)), keepdim=True).expand_as(images)
