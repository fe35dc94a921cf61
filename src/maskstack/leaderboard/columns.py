"""The metrics of a report: name, which values are better, and a sentence about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HIGHER, LOWER, NEITHER = "higher", "lower", "neither"

QUALITY, DETAIL, COMPLEXITY = "quality", "detail", "complexity"
"""Kinds of metrics: used for ranks; a part or variant of such a metric, not ranked; not a measure of quality."""


@dataclass(frozen=True)
class Column:
    """A metric in a report.

    Attributes:
        metric: Its name in rows and files.
        label: Its name for readers.
        better: Which values are better.
        about: What it measures, in a sentence.
        kind: Whether it counts as quality.
        short: Its name in a narrow table; empty to leave it out.
    """

    metric: str
    label: str
    better: str
    about: str
    kind: str = QUALITY
    short: str = ""

    @property
    def sign(self) -> int:
        """1 if high values are good, -1 if low values are; 0 if neither are."""
        return {HIGHER: 1, LOWER: -1, NEITHER: 0}[self.better]

    @property
    def arrow(self) -> str:
        """An arrow that shows which values are better."""
        return {HIGHER: "↑", LOWER: "↓", NEITHER: ""}[self.better]


_INSERTED = "Area under the score curve while pixels are put back, the map's highest first, onto"
_DELETED = "Area under the score curve while pixels are replaced, the map's highest first, by"
_BOX = "Share of images where the box around the map's largest region overlaps an annotated box by"
_CHOSEN = "the threshold was chosen on the other half of the images"
_TOP = "with the lower half of the map set to zero"

_ALL = (
    Column(
        "insertion_wide", "Insertion, wide blur", HIGHER, f"{_INSERTED} a strongly blurred image.", short="insertion"
    ),
    Column("insertion_narrow", "Insertion, narrow blur", HIGHER, f"{_INSERTED} a slightly blurred image."),
    Column("deletion_zero", "Deletion to zero", LOWER, f"{_DELETED} zero in the network's input.", short="deletion"),
    Column("deletion_mean", "Deletion to mean", LOWER, f"{_DELETED} the image's mean colour."),
    Column("deletion_blur", "Deletion to blur", LOWER, f"{_DELETED} a strongly blurred image."),
    Column("average_drop", "Average drop", LOWER, "Share of the score lost when the image is multiplied by the map."),
    Column("average_increase", "Average increase", HIGHER, "Share of images whose score rises under the map."),
    Column("average_drop_top", "Average drop, top half", LOWER, f"The average drop {_TOP}."),
    Column("average_increase_top", "Average increase, top half", HIGHER, f"The average increase {_TOP}."),
    Column(
        "road",
        "ROAD",
        HIGHER,
        "Accuracy after the least salient pixels were removed, minus that after the most salient were; removed pixels "
        "look like their surroundings.",
        short="ROAD",
    ),
    Column("road_probability", "ROAD, probability", HIGHER, "ROAD with the class's probability as the score."),
    Column("pointing_game", "Pointing game", HIGHER, "Share of images whose highest pixel lies on the object."),
    Column(
        "energy_pointing_game",
        "Energy in object",
        HIGHER,
        "Share of the map's sum that lies on the object.",
        short="energy",
    ),
    Column(
        "max_box_acc",
        "Box accuracy",
        HIGHER,
        f"Mean of the box accuracies at overlaps of 30, 50 and 70%; {_CHOSEN}.",
        short="box",
    ),
    Column("max_box_acc_30", "Box accuracy, 30%", HIGHER, f"{_BOX} 30%; {_CHOSEN}.", DETAIL),
    Column("max_box_acc_50", "Box accuracy, 50%", HIGHER, f"{_BOX} 50%; {_CHOSEN}.", DETAIL),
    Column("max_box_acc_70", "Box accuracy, 70%", HIGHER, f"{_BOX} 70%; {_CHOSEN}.", DETAIL),
    Column("mask_iou", "Mask overlap", HIGHER, f"Overlap of the map, cut at a threshold, with the mask; {_CHOSEN}."),
    Column("max_sensitivity", "Max-sensitivity", LOWER, "Largest change of the map when the image changes a little."),
    Column(
        "randomization_rank_correlation",
        "Randomization, rank correlation",
        LOWER,
        "Rank correlation of the map before and after the network's layers are randomised.",
    ),
    Column(
        "randomization_structural_similarity",
        "Randomization, structural similarity",
        LOWER,
        "Structural similarity of the map before and after the network's layers are randomised.",
    ),
    Column(
        "gini",
        "Gini index",
        NEITHER,
        "Concentration of the map: 0 if all pixels are equal, 1 for one pixel.",
        COMPLEXITY,
    ),
    Column("entropy", "Entropy", NEITHER, "Entropy of the map over its pixels, in nats.", COMPLEXITY),
)

COLUMNS: Mapping[str, Column] = {column.metric: column for column in _ALL}
"""All metrics of a report, in the order of its tables."""


_SWEEPS = {"box_ious": "max_box_acc", "mask_ious": "mask_iou"}


def label_of(metric: str) -> str:
    """The name for readers of a metric in rows and files; the overlaps of a sweep have that of what is read off them.

    >>> label_of("energy_pointing_game"), label_of("box_ious")
    ('Energy in object', 'Box accuracy')
    """
    column = COLUMNS.get(_SWEEPS.get(metric, metric))
    return column.label if column else metric
