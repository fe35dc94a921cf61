"""Objectives: functions from the network's output to one real number per image (the paper's "detection node")."""

from maskstack.objectives.classification import (
    NAMED,
    Meaning,
    class_logit,
    class_probability,
    contrast,
    log_probability,
    margin,
)
from maskstack.objectives.objective import Objective, Rows, Target, class_scores, custom, predicted_class
from maskstack.objectives.reading import KINDS, Kind, Reading
from maskstack.objectives.recognise import Output, recognise
from maskstack.objectives.similarity import similarity
from maskstack.objectives.structured import box_score, cosine, region

__all__ = [
    "KINDS",
    "NAMED",
    "Kind",
    "Meaning",
    "Objective",
    "Output",
    "Reading",
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
    "recognise",
    "region",
    "similarity",
]
