"""Metrics of the quality of a map: pure functions on tensors with one value per image."""

from maskstack.metrics.blurs import blur, narrow_blur
from maskstack.metrics.cascade import Cascade, cascade
from maskstack.metrics.complexity import entropy, gini
from maskstack.metrics.faithfulness import area_under, average_drop, average_increase, deletion, insertion, pixel_curve
from maskstack.metrics.localization import (
    at_chosen_threshold,
    box_ious,
    energy_in_box,
    mask_average_precision,
    mask_ious,
    max_box_acc,
    pointing_game,
)
from maskstack.metrics.order import keep_top
from maskstack.metrics.readability import pieces, roughness
from maskstack.metrics.road import noisy_linear_imputation, road, road_images
from maskstack.metrics.robustness import max_sensitivity
from maskstack.metrics.sanity import Depth, randomization, rank_correlation, structural_similarity
from maskstack.tensors import mean_agreement, rank_agreement

__all__ = [
    "Cascade",
    "Depth",
    "area_under",
    "at_chosen_threshold",
    "average_drop",
    "average_increase",
    "blur",
    "box_ious",
    "cascade",
    "deletion",
    "energy_in_box",
    "entropy",
    "gini",
    "insertion",
    "keep_top",
    "mask_average_precision",
    "mask_ious",
    "max_box_acc",
    "max_sensitivity",
    "mean_agreement",
    "narrow_blur",
    "noisy_linear_imputation",
    "pieces",
    "pixel_curve",
    "pointing_game",
    "randomization",
    "rank_agreement",
    "rank_correlation",
    "road",
    "road_images",
    "roughness",
    "structural_similarity",
]
