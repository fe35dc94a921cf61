"""The explanation of an image by prototypes: which contributed to a class, and their regions in both images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from maskstack.errors import InputError
from maskstack.explanation import Explanation
from maskstack.masks.result import OnProgress
from maskstack.prototypes.checkpoint import Prototypes
from maskstack.prototypes.push import duplicates
from maskstack.prototypes.search import finder
from maskstack.prototypes.source_regions import reported, sources, verdict_of
from maskstack.reliability import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class PrototypeEvidence:
    """The contribution of one prototype to the class of an image.

    Attributes:
        prototype: Its number.
        activation: Its similarity to the image.
        weight: Its weight in the class's logit.
        source: Name of the training image that it comes from.
        region: H x W in [0, 1], its region in the image.
        source_picture: Its own training image; None if it is not available.
        source_region: H x W in [0, 1], its region in that; None if the training image is not available.
        problem: Why the map in the image shows no region, in a sentence; empty if it shows one.
        source_problem: The same for the training image.
        verdict: How far to believe the map in the image; None if the method does not measure it.
        source_verdict: The same for the training image.
    """

    prototype: int
    activation: float
    weight: float
    source: str
    region: Tensor
    source_picture: Image.Image | None
    source_region: Tensor | None
    problem: str = ""
    source_problem: str = ""
    verdict: Verdict | None = None
    source_verdict: Verdict | None = None

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        """What is wrong with its regions, each with words for the place: `` in NAME`` for the training image."""
        both = ("", self.problem), (f" in {self.source}", self.source_problem)
        return tuple((place, problem) for place, problem in both if problem)

    @property
    def doubts(self) -> tuple[tuple[str, str], ...]:
        """The verdict on each of its maps that has a region but is not reliable, with the same words for the place."""
        both = ("", self.problem, self.verdict), (f" in {self.source}", self.source_problem, self.source_verdict)
        return tuple(
            (place, f"{verdict.word}: {verdict.sentence}")
            for place, problem, verdict in both
            if verdict is not None and verdict.reasons and not problem
        )

    @property
    def contribution(self) -> float:
        """What it added to the class's logit."""
        return self.activation * self.weight


@dataclass(frozen=True, eq=False)
class Answer:
    """The prediction of a network for an image, and the prototypes that explain it.

    Attributes:
        label: The class that is explained.
        name: Name of the class.
        logit: Its logit.
        probability: Its probability.
        evidence: The prototypes that contributed most, in decreasing order.
        found: The explanations of the regions in the image, a row for each prototype of ``evidence``.
    """

    label: int
    name: str
    logit: float
    probability: float
    evidence: tuple[PrototypeEvidence, ...]
    found: Explanation

    def figure(self, picture: Any, *, title: str, method: str) -> Figure:
        """Draw the image beside the training images of the prototypes, see :func:`looks_like_page`.

        Args:
            picture: What the network saw.
            title: The image and its class.
            method: How regions were searched for.
        """
        # Imported here because it loads matplotlib.
        from maskstack.draw.prototypes import Likeness, looks_like_page

        lines = [
            Likeness(
                one.prototype,
                one.activation,
                one.weight,
                one.region.cpu().numpy(),
                one.source_picture,
                None if one.source_region is None else one.source_region.cpu().numpy(),
                one.source,
                one.problem,
                one.source_problem,
                _word(one.verdict),
                _word(one.source_verdict),
            )
            for one in self.evidence
        ]
        return looks_like_page(picture, lines, title=title, method=method)


def answer(
    prototypes: Prototypes,
    image: Tensor,
    *,
    label: int | None = None,
    top: int = 3,
    method: str = "mdm",
    data: Path | None = None,
    progress: OnProgress | None = None,
) -> Answer:
    """Explain an image by the prototypes of a class that contributed most to it.

    Args:
        prototypes: The network.
        image: C x H x W, preprocessed for the network.
        label: The class; None for the class with the highest logit.
        top: Number of prototypes.
        method: How regions are searched for, see :func:`maskstack.prototypes.locate`.
        data: Folder of the training data, for pictures that the checkpoint does not hold.
        progress: Called after each step of MDM, first in the image and then in the training images; may end a search by
            returning False.

    Raises:
        InputError: There is no such class or method.
    """
    network = prototypes.network
    with torch.no_grad():
        logits = network(image.unsqueeze(0))[0]
        activations = network.activations(image.unsqueeze(0))[0]
    label = int(logits.argmax()) if label is None else label
    if not 0 <= label < len(logits):
        raise InputError(f"class {label} is out of range; the network has classes 0 to {len(logits) - 1}")
    probabilities = logits.sigmoid() if prototypes.multi_label else logits.softmax(dim=0)
    own = torch.tensor(prototypes.prototypes_of(label))
    weights = network.weights.detach()[own, label]
    order = (weights * activations[own]).argsort(descending=True, stable=True)[:top]
    chosen = own[order].tolist()
    search = finder(network, method)
    found = search(image.expand(len(chosen), -1, -1, -1), chosen, **reported(search, progress))
    origins = sources(prototypes, chosen, method=method, data=data, progress=progress)
    evidence = tuple(
        PrototypeEvidence(
            number,
            float(activations[number]),
            float(network.weights.detach()[number, label]),
            prototypes.sources[number].image,
            found.saliency[row, 0],
            origin.picture,
            origin.region,
            found.trust.problems[row] or "",
            origin.problem,
            verdict_of(found, row),
            origin.verdict,
        )
        for row, (number, origin) in enumerate(zip(chosen, origins, strict=True))
    )
    return Answer(
        label, prototypes.class_names[label], float(logits[label]), float(probabilities[label]), evidence, found
    )


def _word(verdict: Verdict | None) -> str:
    return "" if verdict is None else verdict.word


def notes(prototypes: Prototypes) -> dict[int, str]:
    """A note on each prototype that equals an earlier one of its class."""
    return {later: f"duplicate of {earlier}" for later, earlier in duplicates(prototypes.network).items()}


def gallery_figure(
    prototypes: Prototypes, label: int, *, method: str, data: Path | None = None, notes: Mapping[int, str]
) -> Figure:
    """Draw all prototypes of a class, each in the training image that it comes from.

    Args:
        prototypes: The network.
        label: The class.
        method: How regions are searched for.
        data: Folder of the training data.
        notes: For some prototypes a note, see :func:`notes`.
    """
    # Imported here because it loads matplotlib.
    from maskstack.draw.prototypes import Shown, prototype_gallery

    numbers = prototypes.prototypes_of(label)
    origins = sources(prototypes, numbers, method=method, data=data)
    weights = prototypes.network.weights.detach()
    lines = [
        Shown(
            number,
            float(weights[number, label]),
            origin.picture,
            None if origin.region is None else origin.region.cpu().numpy(),
            prototypes.sources[number].image,
            notes.get(number, ""),
            origin.problem,
            _word(origin.verdict),
        )
        for number, origin in zip(numbers, origins, strict=True)
    ]
    return prototype_gallery(lines, title=prototypes.class_names[label], method=method)
