"""Metrics that need several images: overlaps at a threshold that is chosen on other images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskstack import metrics

OVERLAPS = (30, 50, 70)
"""Minimum overlap, in percent, at which a box counts as found."""

Values = NDArray[np.float64]
Curves = NDArray[np.float32] | Values


def derive(curves: Mapping[str, Curves]) -> dict[str, Values]:
    """Box accuracies and mask overlaps from the overlaps at each threshold.

    Args:
        curves: ``box_ious`` and ``mask_ious``, each methods x images x thresholds, the images in the order of their
            names, NaN where there is no value; either may be missing or without thresholds.

    Returns:
        For each metric methods x images, NaN where a value is missing. A method's threshold for an image is the one
        with the best mean on the other half of its images.
    """
    found: dict[str, Values] = {}
    boxes, masks = (curves.get(sweep) for sweep in ("box_ious", "mask_ious"))
    if boxes is not None and boxes.shape[2]:
        for percent in OVERLAPS:
            found[f"max_box_acc_{percent}"] = _each_method(boxes, partial(metrics.max_box_acc, delta=percent / 100))
        found["max_box_acc"] = np.mean([found[f"max_box_acc_{percent}"] for percent in OVERLAPS], axis=0)
    if masks is not None and masks.shape[2]:
        found["mask_iou"] = _each_method(masks, metrics.at_chosen_threshold)
    return found


def _each_method(curves: Curves, metric: Callable[[Tensor], Tensor]) -> Values:
    values = np.full(curves.shape[:2], np.nan)
    for line, curve in zip(values, curves, strict=True):
        there = np.isfinite(curve).all(axis=1)
        if there.any():
            line[there] = metric(torch.from_numpy(curve[there].astype(np.float64))).numpy()
    return values


def mean_of_classes(values: Values, targets: NDArray[np.int64]) -> tuple[Values, int]:
    """The mean over classes of each class's mean over its images, so that frequent classes do not outweigh rare ones.

    Args:
        values: Methods x images, NaN where there is no value.
        targets: The class of each image, -1 where unknown.

    Returns:
        A value for each method, NaN where there is none, and the number of classes.
    """
    there = np.isfinite(values)
    known = there.any(axis=0) & (targets >= 0)
    classes, number = np.unique(targets[known], return_inverse=True)
    found = []
    for line in values[:, known]:
        own = np.isfinite(line)
        counts = np.bincount(number[own], minlength=len(classes))
        sums = np.bincount(number[own], line[own], minlength=len(classes))
        found.append((sums[counts > 0] / counts[counts > 0]).mean() if own.any() else np.nan)
    return np.array(found), len(classes)
