"""Plain functions on images, maps and scores that several folders need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

TINY = 1e-6
"""Lower bound on the scale of a score, which avoids division by zero."""

_CHUNK = 2**22
"""Values that are blurred at once, so that the memory for it does not grow with the batch."""

_SHORT, _LONG, _TAPS = 512, 2048, 8
"""Longest side that a matrix filters, and the longest if its kernel is at least an eighth of it."""


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian cut at three standard deviations; the edges are repeated.

    Args:
        images: B x C x H x W, or with any other number of spatial dimensions.
        sigma: Standard deviation in pixels; 0 changes nothing.
    """
    radius = math.ceil(3 * sigma)
    if radius == 0:
        return images
    sigma = max(sigma, 1e-3)  # the square of a smaller sigma may be 0; at 1e-3 the kernel is already 1 and zeros
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    return filtered(images, kernel / kernel.sum(), padding="replicate")


def filtered(images: Tensor, kernel: Tensor, *, padding: str) -> Tensor:
    """Convolve along each spatial dimension with one symmetric kernel.

    Args:
        images: B x C x H x W, or with any other number of spatial dimensions.
        kernel: Weights, an odd number of them.
        padding: What is outside of the image, as ``torch.nn.functional.pad`` names it.
    """
    kernel = kernel.to(images)
    if len(kernel) == 1:
        return images * kernel
    found = torch.empty_like(images, memory_format=torch.contiguous_format)
    if not images.numel():
        return found
    made = {side: _axis_filter(side, kernel, padding) for side in set(images.shape[2:])}
    filters = [made[side] for side in images.shape[2:]]
    step = max(1, _CHUNK // math.prod(images.shape[1:]))
    for source, target in zip(torch.split(images, step), torch.split(found, step), strict=True):
        target.copy_(_along_each(source, filters))
    return found


def _along_each(images: Tensor, filters: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """Filter along each spatial dimension, the last one first, as planes whose columns run along it."""
    planes = images
    for axis in range(images.ndim - 1, 1, -1):
        after = math.prod(images.shape[axis + 1 :])
        if axis == images.ndim - 1:
            planes = filters[axis - 2](planes.reshape(-1, images.shape[axis]).T).T
        else:
            planes = filters[axis - 2](planes.reshape(-1, images.shape[axis], after))
    return planes.reshape(images.shape)


def _axis_filter(side: int, kernel: Tensor, padding: str) -> Callable[[Tensor], Tensor]:
    """The filter of the columns of planes, ... x side x n: a matrix, or a convolution where it would be mostly zeros.

    Matrix products are several times faster than convolutions of one channel with a long kernel.
    """
    radius = len(kernel) // 2
    if side <= max(_SHORT, min(_LONG, _TAPS * len(kernel))):
        unit = functional.pad(torch.eye(side).to(kernel).unsqueeze(1), (radius, radius), mode=padding)
        matrix = functional.conv1d(unit, kernel.view(1, 1, -1))[:, 0].T
        return lambda planes: matrix @ planes

    def convolved(planes: Tensor) -> Tensor:
        padded = functional.pad(planes.reshape(-1, 1, *planes.shape[-2:]), (0, 0, radius, radius), mode=padding)
        return functional.conv2d(padded, kernel.view(1, 1, -1, 1)).reshape(planes.shape)

    return convolved


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Copy values from the CPU to a device, without waiting for what the device still has to do."""
    if device.type == "cuda":
        values = values.pin_memory()  # only from pinned memory does the copy not wait
    # mps may read the memory after it was freed (pytorch issue 189690).
    return values.to(device, non_blocking=device.type != "mps")


def blend(masks: Tensor, images: Tensor, fill: Tensor) -> Tensor:
    """Show the image where the mask is open and the fill where it is closed.

    Args:
        masks: P x H x W in [0, 1], or with any other number of spatial dimensions, as the images.
        images: P x C x H x W.
        fill: P x C x H x W.
    """
    return torch.lerp(fill, images, masks.unsqueeze(1))


def minmax(maps: Tensor, *, dims: int = 2) -> Tensor:
    """Scale each map to [0, 1]; a map of one value becomes zero everywhere.

    Args:
        maps: ... x H x W.
        dims: Number of dimensions of a map, the last ones.

    >>> minmax(torch.tensor([[2.0, 4.0], [3.0, 2.0]]))
    tensor([[0.0000, 1.0000], [0.5000, 0.0000]])
    """
    own = tuple(range(-dims, 0))
    low = maps.amin(dim=own, keepdim=True)
    spread = maps.amax(dim=own, keepdim=True) - low
    # A range as small as the rounding errors is not contrast: scaling it up would show noise.
    flat = spread <= 1e-6
    return ((maps - low) / spread.masked_fill(flat, 1)).masked_fill(flat, 0)


def spread_over(values: Tensor, other: Tensor) -> Tensor:
    """Values, one for each first index, with as many dimensions of size one as the other tensor has more.

    >>> spread_over(torch.ones(2), torch.zeros(2, 3, 4)).shape
    torch.Size([2, 1, 1])
    """
    return values.reshape(-1, *[1] * (other.ndim - 1))


def ranks(saliency: Tensor, *, descending: bool = True) -> Tensor:
    """Place of each pixel in the order of the map; equal values are taken in reading order.

    Args:
        saliency: H x W, or with any other number of dimensions, without NaN.
        descending: The most salient pixel has place 0; otherwise the least salient.

    Returns:
        H x W int32, each of 0 ... H * W - 1 once.

    >>> ranks(torch.tensor([[0.1, 0.7], [0.7, 0.3]]))
    tensor([[3, 0],
            [1, 2]], dtype=torch.int32)
    """
    order = saliency.flatten().argsort(descending=descending, stable=True)
    places = torch.arange(len(order), dtype=torch.int32, device=order.device)
    return torch.empty_like(places).scatter_(0, order, places).view(saliency.shape)


def rank_agreement(maps: Tensor) -> Tensor:
    """Spearman's rank correlation of each pair of maps; equal values share their mean rank.

    Args:
        maps: N x H x W.

    Returns:
        N x N, float64, from -1 to 1; 0 where one of the two maps is constant, and 1 where both are, since they order
        the pixels alike; NaN where one holds NaN.

    >>> rank_agreement(torch.tensor([[[0.1, 0.2, 0.4]], [[3.0, 2.0, 1.0]]])).round(decimals=6)
    tensor([[ 1., -1.],
            [-1.,  1.]], dtype=torch.float64)
    """
    ordered = torch.stack([_mean_ranks(values) for values in maps.detach().flatten(1)])
    ordered = ordered - ordered.mean(dim=1, keepdim=True)
    size = ordered.norm(dim=1, keepdim=True)
    flat = size == 0
    units = ordered / size.masked_fill(flat, 1)
    both = (flat & flat.T).double()
    found: Tensor = (units @ units.T).clamp(-1, 1) + both
    return found


def mean_agreement(maps: Tensor) -> Tensor:
    """Mean rank correlation over all pairs of maps, a scalar; NaN for fewer than two maps.

    Args:
        maps: N x H x W.
    """
    found = rank_agreement(maps) if len(maps) > 1 else torch.empty(0, 0, dtype=torch.float64, device=maps.device)
    upper = torch.ones_like(found, dtype=torch.bool).triu(1)
    return found[upper].mean()


def _mean_ranks(values: Tensor) -> Tensor:
    if values.isnan().any():
        return torch.full_like(values, torch.nan, dtype=torch.float64)
    ordered = values.sort().values
    below, upto = torch.searchsorted(ordered, values), torch.searchsorted(ordered, values, right=True)
    return (below + upto).double() / 2


def score_scale(reference: Tensor, hidden: Tensor) -> Tensor:
    """The unit in which a loss of score is counted.

    It is the larger of two values: the absolute value of the reference, and its distance from the score of the fully
    hidden image. With the first alone, a small reference would mean a division by nearly zero. With both, at most one
    unit is lost when the score falls from the image's score to that of the fill, whatever its sign.

    Args:
        reference: Score of each image, B.
        hidden: Score of each image's fill alone, B (or several fills, F x B).

    Returns:
        Positive scale, B.
    """
    distance = (reference - hidden).abs()
    if distance.ndim > 1:
        distance = distance.amax(dim=0)
    return torch.maximum(reference.abs(), distance).clamp_min(TINY)


def json_numbers(values: Tensor) -> Any:
    """A number, or a list of them; None for what is NaN or infinite, which JSON does not know."""
    if values.ndim:
        return [json_numbers(value) for value in values]
    return values.item() if torch.isfinite(values) else None
