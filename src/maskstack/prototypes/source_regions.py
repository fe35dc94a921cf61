"""The training images that prototypes come from, and the prototypes' regions in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from maskstack.explainers import MDM
from maskstack.explainers.base import CostedExplainer
from maskstack.explanation import Explanation
from maskstack.masks.result import OnProgress
from maskstack.prototypes.checkpoint import Prototypes
from maskstack.prototypes.search import finder
from maskstack.reliability import Verdict


@dataclass(frozen=True, eq=False)
class SourceRegion:
    """Where a prototype comes from.

    Attributes:
        picture: The training image; None if it is not available.
        region: H x W in [0, 1], the prototype's region in it; None if the picture is not available.
        problem: Why the map shows no region, in a sentence; empty if it shows one.
        verdict: How far to believe the map; None if the method does not measure it.
    """

    picture: Image.Image | None
    region: Tensor | None = None
    problem: str = ""
    verdict: Verdict | None = None


def sources(
    prototypes: Prototypes,
    numbers: list[int],
    *,
    method: str,
    data: Path | None = None,
    progress: OnProgress | None = None,
) -> list[SourceRegion]:
    """The training images that prototypes come from, and their regions there, found in one batch.

    Args:
        prototypes: The network.
        numbers: Numbers of the prototypes.
        method: How regions are searched for.
        data: Folder of the training data.
        progress: See :func:`maskstack.prototypes.explaining.answer`.
    """
    pictures = [prototypes.source_picture(number, data=data) for number in numbers]
    available = [row for row, picture in enumerate(pictures) if picture is not None]
    found = [SourceRegion(picture) for picture in pictures]
    if available:
        images = torch.stack([prototypes.prepare(picture) for picture in pictures if picture is not None])
        search = finder(prototypes.network, method, nearness=True)
        maps = search(images, [numbers[row] for row in available], **reported(search, progress))
        for place, row in enumerate(available):
            problem = maps.trust.problems[place] or ""
            found[row] = SourceRegion(pictures[row], maps.saliency[place, 0], problem, verdict_of(maps, place))
    return found


def verdict_of(found: Explanation, row: int) -> Verdict | None:
    """The verdict on one map; None if the method does not measure it."""
    verdict = found.trust.verdict(row)
    return None if verdict.word == "not measured" else verdict


def reported(search: CostedExplainer, progress: OnProgress | None) -> dict[str, Any]:
    """The arguments with which a search reports its progress; only MDM does."""
    return {"progress": progress} if progress is not None and isinstance(search, MDM) else {}
