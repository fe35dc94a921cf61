"""What is kept: one real number per image, read from the network's output (the paper's "detection node")."""

from maskstack.objectives.classification import (
    NAMED,
    Meaning,
    class_logit,
    class_probability,
    contrast,
    log_probability,
    margin,
)
from maskstack.objectives.detection import box_score
from maskstack.objectives.embedding import cosine
from maskstack.objectives.objective import Objective, Rows, Target, class_scores, custom, predicted_class
from maskstack.objectives.region import region

__all__ = [
    "NAMED",
    "Meaning",
    "Objective",
    "Rows",
    "Target",
    "box_score",
    "class_logit",
    "class_probability",
    "class_scores",
    "contrast",
    "cosine",
    "custom",
    "log_probability",
    "margin",
    "predicted_class",
    "region",
]
