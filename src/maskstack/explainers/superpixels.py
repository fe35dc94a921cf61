"""Cutting an image into superpixels, the features of LIME and KernelSHAP."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from maskstack.extras import require


def superpixels(image: Tensor, count: int) -> Tensor:
    """Cut an image into regions of similar colour (SLIC, Achanta et al. 2012).

    Args:
        image: C x H x W, as the network takes it; scaled to [0, 1] by its own range, so that the normalisation does
            not matter.
        count: Regions wanted; there can be fewer or a few more.

    Returns:
        Number of each pixel's region, from 0 without gaps: H x W, int64, on the image's device.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    segmentation = require("skimage.segmentation", extra="bench")
    values = image.detach().float().cpu()
    low, high = values.amin(), values.amax()
    picture = ((values - low) / (high - low).clamp_min(1e-12)).permute(1, 2, 0).contiguous().numpy()
    regions = segmentation.slic(picture, n_segments=count, compactness=10, sigma=1, start_label=0, channel_axis=-1)
    _, numbers = np.unique(regions, return_inverse=True)
    return torch.from_numpy(numbers.reshape(regions.shape)).long().to(image.device)
