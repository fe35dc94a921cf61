"""Readability: how many pieces does the map have, and how much do neighbouring pixels differ?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from maskstack.errors import InputError, require
from maskstack.metrics.order import check_map


def pieces(saliency: Tensor, *, threshold: float = 0.5) -> tuple[int, float]:
    """Connected components of the pixels at or above a share of the map's maximum; diagonal neighbours are connected.

    Args:
        saliency: Map, H x W, not negative.
        threshold: Share of the maximum, in (0, 1].

    Returns:
        Number of components, and the largest one's share of their pixels; a constant map is one component.

    Raises:
        InputError: The map is not H x W, contains NaN, negative or infinite values, or the threshold is not in (0, 1].
        MissingExtraError: scipy is not installed.

    >>> import torch
    >>> pieces(torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.2]]))
    (2, 0.6666666666666666)
    """
    check_map(saliency, positive=True)
    if not 0 < threshold <= 1:
        raise InputError(f"the threshold is {threshold}; give a share of the map's maximum, above 0 and at most 1")
    ndimage = require("scipy.ndimage", extra="bench")
    marked = (saliency >= threshold * saliency.amax()).cpu().numpy()
    labels, count = ndimage.label(marked, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.flatten())[1:]
    return int(count), float(sizes.max() / sizes.sum())


def roughness(saliency: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, down plus across, relative to the map's mean.

    Args:
        saliency: Map, H x W, not negative.

    Returns:
        A scalar from 0, for a constant map.

    Raises:
        InputError: The map is not H x W, or contains NaN, negative or infinite values.

    >>> import torch
    >>> roughness(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor(2.)
    """
    check_map(saliency, positive=True)
    mean = saliency.mean()
    # A map of one row or column has no neighbours across it.
    changes = [saliency.diff(dim=dim).abs() for dim in (0, 1) if saliency.shape[dim] > 1]
    steps = torch.stack([change.mean() for change in changes]).sum() if changes else torch.zeros_like(mean)
    return steps / mean if mean > 0 else mean
