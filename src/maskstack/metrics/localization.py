"""Localization: does the map mark the annotated object?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskstack.errors import InputError, require
from maskstack.metrics.order import check_map, of_map

THRESHOLDS = tuple(step / 50 for step in range(50))
"""Thresholds as shares of the map's maximum."""


def energy_in_box(saliency: Tensor, inside: Tensor) -> Tensor:
    """Energy pointing game (Wang et al. 2020): share of the map's sum inside the boxes.

    Args:
        saliency: Map, H x W, not negative.
        inside: Union of the boxes, H x W booleans.

    Returns:
        A scalar in [0, 1]; 0 for a map of zeros.

    Raises:
        InputError: The map is not H x W, contains NaN, negative or infinite values, or ``inside`` has another size.
    """
    check_map(saliency, image=_of_pixels(inside), positive=True)
    values = saliency.double()
    total = values.sum()
    return of_map(saliency, values[inside.bool()].sum() / total if total > 0 else total)


def pointing_game(saliency: Tensor, inside: Tensor) -> Tensor:
    """Whether the map's highest pixel, the first of several equal ones, is inside the boxes (no tolerance): 0 or 1.

    Args:
        saliency: Map, H x W.
        inside: Union of the boxes, H x W booleans.

    Raises:
        InputError: The map is not H x W or contains NaN, or ``inside`` has another size.
    """
    check_map(saliency, image=_of_pixels(inside))
    return of_map(saliency, inside.flatten().bool()[saliency.flatten().argmax()])


def box_ious(saliency: Tensor, boxes: Tensor, *, thresholds: Sequence[float] = THRESHOLDS) -> Tensor:
    """Overlap of the map's box with the annotated boxes at each threshold (Choe et al. 2020).

    The threshold is a share of the map's maximum. The map's box is the bounding box of the largest connected component
    above it (diagonal neighbours are connected), and is compared with the annotated box of the greatest overlap.

    Args:
        saliency: Map, H x W, not negative.
        boxes: x1, y1, x2, y2 of each box in pixels, N x 4; x2 and y2 are the first pixels outside of the box.
        thresholds: Shares of the maximum, in [0, 1].

    Returns:
        Intersection over union at each threshold, T values in [0, 1]. The box of a constant map is the whole image.

    Raises:
        InputError: There is no box, a box is not finite or has a negative size, or another reason of
            :func:`mask_ious`.
        MissingExtraError: scipy is not installed.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) == 0:
        raise InputError(f"boxes have shape {tuple(boxes.shape)}; give N x 4, at least one")
    truth = boxes.detach().cpu().double().numpy()
    if not np.isfinite(truth).all() or (truth[:, 2:] < truth[:, :2]).any():
        raise InputError("a box is not finite or has a negative size; give x1, y1, x2, y2")
    return _sweep(saliency, thresholds, lambda region: _best_overlap(_component_box(region), truth))


def mask_ious(saliency: Tensor, mask: Tensor, *, thresholds: Sequence[float] = THRESHOLDS) -> Tensor:
    """Intersection over union of the map at each threshold with the object's mask (Choe et al. 2020), T values.

    Args:
        saliency: Map, H x W, not negative.
        mask: Mask of the object, H x W booleans.
        thresholds: Shares of the maximum, in [0, 1].

    Raises:
        InputError: The map is not H x W or contains NaN, negative or infinite values, the mask has another size, or a
            threshold is outside [0, 1].
    """
    check_map(saliency, image=_of_pixels(mask))
    truth = mask.cpu().numpy() > 0
    return _sweep(saliency, thresholds, lambda region: float((region & truth).sum() / (region | truth).sum()))


def mask_average_precision(saliency: Tensor, mask: Tensor) -> Tensor:
    """Average precision of the map as a ranking of the object's pixels (PxAP on one image, Choe et al. 2020).

    Args:
        saliency: Map, H x W; equal values have the same rank.
        mask: Mask of the object, H x W booleans, some of them true.

    Returns:
        A scalar in (0, 1]: the mean of the precision at the values of the object's pixels.

    Raises:
        InputError: The map is not H x W or contains NaN, or the mask has another size or is empty.

    >>> mask_average_precision(torch.tensor([[0.9, 0.6, 0.3]]), torch.tensor([[True, False, True]]))
    tensor(0.8333)
    """
    check_map(saliency, image=_of_pixels(mask))
    if not mask.any():
        raise InputError("the mask is empty; give a mask with at least one pixel")
    values, order = saliency.flatten().sort(descending=True)
    inside = mask.flatten()[order].double().cumsum(0)
    last = torch.cat([values[1:] != values[:-1], values.new_ones(1, dtype=torch.bool)])  # The last pixel of each value.
    taken = torch.arange(1, len(values) + 1, dtype=torch.float64, device=values.device)[last]
    found = inside[last]
    gained = found.diff(prepend=found.new_zeros(1))
    return ((gained * found / taken).sum() / found[-1]).float()


def max_box_acc(ious: Tensor, *, delta: float = 0.5) -> Tensor:
    """MaxBoxAcc (Choe et al. 2020) with the threshold chosen on other images.

    Images at even positions are measured at the threshold that is most often right on those at odd positions, and vice
    versa; among equally good thresholds, the lowest is used. No image influences its own threshold.

    Args:
        ious: Overlaps from :func:`box_ious`, N x T, in an order that does not depend on the content of the images.
        delta: Least overlap of a correct box.

    Returns:
        1 if the box is correct, else 0, N; NaN for a single image, as no other image can set the threshold.

    Raises:
        InputError: ``ious`` is not N x T or contains NaN, or ``delta`` is outside [0, 1].
    """
    if not 0 <= delta <= 1:
        raise InputError(f"the least overlap of a correct box is {delta}; give a number from 0 to 1")
    return at_chosen_threshold((_as_table(ious) >= delta).float())


def at_chosen_threshold(quality: Tensor) -> Tensor:
    """The quality of each image at the threshold with the best mean quality on the other half of the images.

    The halves are the even and the odd positions.

    Args:
        quality: Quality at each threshold, N x T; high is good.

    Returns:
        Quality of each image, N; NaN for a single image.

    Raises:
        InputError: ``quality`` is not N x T or contains NaN.
    """
    quality = _as_table(quality)
    found = torch.full((len(quality),), torch.nan, dtype=quality.dtype)
    if len(quality) > 1:
        for own, other in ((0, 1), (1, 0)):
            found[own::2] = quality[own::2, int(quality[other::2].mean(dim=0).argmax())]
    return found


def _of_pixels(inside: Tensor) -> Tensor:
    if inside.dim() != 2:
        raise InputError(f"the mask of the object has shape {tuple(inside.shape)}; it must be H x W")
    return inside


def _as_table(values: Tensor) -> Tensor:
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(f"overlaps have shape {tuple(values.shape)}; give images x thresholds")
    if values.isnan().any():
        raise InputError("an overlap is NaN; leave out the images that have none")
    return values


def _sweep(saliency: Tensor, thresholds: Sequence[float], judge: Callable[[NDArray[np.bool_]], float]) -> Tensor:
    check_map(saliency, positive=True)
    if not all(0 <= share <= 1 for share in thresholds):
        raise InputError(f"the thresholds are {tuple(thresholds)}; give shares of the map's maximum, from 0 to 1")
    values = saliency.detach().cpu().double().numpy()
    return torch.tensor([judge(values >= share * values.max()) for share in thresholds])


def _component_box(region: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    ndimage = require("scipy.ndimage", extra="bench")
    labels, count = ndimage.label(region, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    rows, columns = ndimage.find_objects((labels == sizes.argmax()).astype(np.int8))[0]
    return columns.start, rows.start, columns.stop, rows.stop


def _best_overlap(box: tuple[float, float, float, float], truth: NDArray[np.float64]) -> float:
    x1, y1, x2, y2 = box
    wide = (np.minimum(x2, truth[:, 2]) - np.maximum(x1, truth[:, 0])).clip(0)
    high = (np.minimum(y2, truth[:, 3]) - np.maximum(y1, truth[:, 1])).clip(0)
    shared = wide * high
    areas = (truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1])
    return float((shared / ((x2 - x1) * (y2 - y1) + areas - shared)).max())
