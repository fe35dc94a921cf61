"""Whether a prototype stands for the same part of the object in every image, by the parts in its maps' boxes."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskstack.datasets.annotated import Box, Point
from maskstack.errors import InputError


@dataclass(frozen=True)
class Hits:
    """The parts in the box of one prototype's map in one image.

    Attributes:
        visible: The parts that are visible in the network's input; a part that was cropped away is not.
        hit: The visible parts in the box.

    Raises:
        InputError: A part was hit that is not visible.
    """

    visible: frozenset[str]
    hit: frozenset[str]

    def __post_init__(self) -> None:
        if unseen := sorted(self.hit - self.visible):
            raise InputError(f"{unseen[0]!r} is hit but not visible; name each part that is hit among the visible ones")


def parts_in(box: Box, parts: Mapping[str, Point]) -> frozenset[str]:
    """Names of the parts inside a box.

    Args:
        box: x1, y1, x2, y2 in pixels; x2 and y2 are the first beyond the box.
        parts: x, y of each part in the same pixels.

    >>> sorted(parts_in((0, 0, 8, 8), {"beak": (0.0, 7.5), "tail": (8.0, 2.0)}))
    ['beak']
    """
    x1, y1, x2, y2 = box
    return frozenset(name for name, (x, y) in parts.items() if x1 <= x < x2 and y1 <= y < y2)


def best_part(found: Sequence[Hits], *, least: int = 2) -> tuple[str, float] | None:
    """The part that a prototype hits most often where it is visible.

    Args:
        found: The hits of one prototype in each test image of its class.
        least: Minimum number of images in which a part must be visible to count.

    Returns:
        Its name and the share of the images with it, in [0, 1], where it is hit. If shares are equal, the part seen
        in the most images, then the first by name. None if no part counts.

    Raises:
        InputError: ``least`` is below 1.

    >>> both, wing = frozenset({"beak", "wing"}), frozenset({"wing"})
    >>> best_part([Hits(both, wing), Hits(both, both), Hits(wing, frozenset())])
    ('wing', 0.6666666666666666)
    """
    if least < 1:
        raise InputError(f"least is {least}; a part has to be visible in at least 1 image")
    visible = Counter(part for hits in found for part in hits.visible)
    hit = Counter(part for hits in found for part in hits.hit)
    counting = sorted(part for part, images in visible.items() if images >= least)
    if not counting:
        return None
    best = max(counting, key=lambda part: (hit[part] / visible[part], visible[part]))
    return best, hit[best] / visible[best]


def part_consistency(found: Sequence[Hits], *, share: float = 0.8, least: int = 2) -> float:
    """Whether a prototype is consistent (Huang et al., ICCV 2023): one part is hit in most images that show it.

    Boxes are those of :func:`maskstack.prototypes.metrics.peak_box`. The score of a network is the mean over its
    prototypes; :func:`best_part` has the graded version.

    Args:
        found: The hits of one prototype in each test image of its class.
        share: Share of the images with the part in which it must be hit, in (0, 1].
        least: Minimum number of images in which a part must be visible to count.

    Returns:
        1.0 or 0.0; NaN if no part counts.

    Raises:
        InputError: ``share`` is out of range, or ``least`` below 1.
    """
    if not 0 < share <= 1:
        raise InputError(f"the share of images to hit is {share}; give a number above 0 and up to 1")
    best = best_part(found, least=least)
    return math.nan if best is None else float(best[1] >= share)


def part_purity(found: Sequence[Hits], *, least: int = 2) -> float:
    """Purity of a prototype (PIP-Net; Nauta et al., CVPR 2023): how often its box holds its most frequent part.

    Left and right parts are one: visible where either is, hit where either is. Boxes have a side of 32 pixels there.

    Args:
        found: The hits of one prototype in each image, with the annotated names; left and right are merged here.
        least: Minimum number of images in which a part must be visible to count.

    Returns:
        The highest mean over parts, in [0, 1]; NaN if no part counts.

    Raises:
        InputError: ``least`` is below 1.
    """
    united = [
        Hits(visible=frozenset(map(merged, hits.visible)), hit=frozenset(map(merged, hits.hit))) for hits in found
    ]
    best = best_part(united, least=least)
    return math.nan if best is None else best[1]


def merged(name: str) -> str:
    """Name of a part without its side.

    >>> merged("left_wing"), merged("right leg"), merged("breast")
    ('wing', 'leg', 'breast')
    """
    return re.sub(r"^(left|right)[ _-]+(?=.)", "", name)


def part_stability(before: Sequence[Hits], after: Sequence[Hits]) -> float:
    """Share of the images whose hits are the same after noise, see :func:`perturbed` (Huang et al., ICCV 2023).

    Args:
        before: The hits of one prototype in each test image of its class.
        after: Its hits in the same images with noise.

    Returns:
        A number in [0, 1]; NaN without images. An image in which no part is hit before or after has not changed.

    Raises:
        InputError: They are not of the same images.
    """
    if len(before) != len(after):
        raise InputError(f"there are hits in {len(before)} images before and {len(after)} after; give the same images")
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        if one.visible != other.visible:
            raise InputError(f"image {place} shows other parts before than after; give the same images in one order")
    same = [one.hit == other.hit for one, other in zip(before, after, strict=True)]
    return sum(same) / len(same) if same else math.nan


def perturbed(image: Tensor, *, deviation: float = 0.2, bound: float = 0.25, seed: int) -> Tensor:
    """The image with clipped normal noise (Huang et al., ICCV 2023); torch's own generators are not used.

    Args:
        image: Normalised, of any shape; every device gets the same noise.
        deviation: Standard deviation of the noise before it is clipped.
        bound: Largest change of a value.
        seed: Seed of the noise.

    Raises:
        InputError: The deviation or the bound is negative or not a number.
    """
    if not (0 <= deviation < math.inf and bound >= 0):
        raise InputError(f"the noise has deviation {deviation} and bound {bound}; give numbers from 0 on")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(image.shape, generator=generator, dtype=torch.float32, device="cpu")
    return image + (deviation * drawn).clamp(-bound, bound).to(image)
