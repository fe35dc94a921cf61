"""How good a map is: pure functions on tensors, a value per image."""

from maskstack.metrics.faithfulness import average_drop, average_increase, deletion, insertion, pixel_curve
from maskstack.metrics.localization import energy_in_box, pointing_game

__all__ = [
    "average_drop",
    "average_increase",
    "deletion",
    "energy_in_box",
    "insertion",
    "pixel_curve",
    "pointing_game",
]
