"""What the leaderboard measures of a map, in groups, each with the protocol that its numbers mean nothing without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from maskstack import metrics
from maskstack.explainers.table import CostedExplainer
from maskstack.leaderboard.case import Case, probabilities

WIDE, NARROW = 10.0, 5.0
ROAD_FRACTIONS = (0.1, 0.3, 0.5, 0.7)
TOLERANCE = 15
SAMPLES, RADIUS = 10, 0.02
DEPTHS = 5


@dataclass(frozen=True)
class Measured:
    """A metric's value on one map, with how it was measured; None with the reason where it does not apply."""

    metric: str
    value: float | None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[float, ...] | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Subject:
    """A map to judge: of which case, by which method, of which network.

    Attributes:
        case: The image and what is known of it.
        saliency: H x W in [0, 1].
        method: What made the map, to be asked again where its stability is judged.
        model: The network as a module.
        curve_steps: Equal shares of the pixels on insertion and deletion curves.
    """

    case: Case
    saliency: Tensor
    method: CostedExplainer
    model: nn.Module
    curve_steps: int = 20


@dataclass(frozen=True)
class Group:
    """Metrics that are measured together.

    Attributes:
        measure: From a map to its values.
        about: What the group asks.
        forward: Images sent forward for one map, from the number of steps of a curve.
        calls: How often the method is run again for one map.
    """

    measure: Callable[[Subject], list[Measured]]
    about: str
    forward: Callable[[int], int] = lambda _steps: 0
    calls: int = 0


def faithfulness(subject: Subject) -> list[Measured]:
    """Insertion and deletion over several fills, average drop and increase."""
    case, saliency, image = subject.case, subject.saliency, subject.case.image
    steps = subject.curve_steps
    wide = metrics.blur(image, sigma=WIDE)
    zero, mean = torch.zeros_like(image), image.mean(dim=(1, 2), keepdim=True).expand_as(image)
    found = []
    for metric, start, end, protocol in (
        ("insertion_wide", wide, image, {"fill": "blur", "sigma": WIDE}),
        ("insertion_narrow", metrics.narrow_blur(image), image, {"fill": "blur", "sigma": NARROW, "taps": 11}),
        ("deletion_zero", image, zero, {"fill": "zero"}),
        ("deletion_mean", image, mean, {"fill": "mean"}),
        ("deletion_blur", image, wide, {"fill": "blur", "sigma": WIDE}),
    ):
        curve = metrics.pixel_curve(case.score, saliency, start, end, steps=steps)
        read = {**protocol, "steps": steps, "score": "softmax", "order": "most salient first, stable"}
        found.append(Measured(metric, float(metrics.area_under(curve)), read, tuple(curve.tolist())))
    half = metrics.keep_top(saliency)
    full, top = case.score(torch.stack([saliency * image, saliency * half * image]))
    for suffix, masked, kept in (("", full, "map"), ("_top", top, "map, lower half set to zero")):
        read = {"fill": "zero", "score": "softmax", "mask": kept}
        found.append(Measured(f"average_drop{suffix}", float(metrics.average_drop(case.before, masked)), read))
        found.append(Measured(f"average_increase{suffix}", float(metrics.average_increase(case.before, masked)), read))
    return found


def road(subject: Subject) -> list[Measured]:
    """Remove and debias: accuracy while pixels are imputed from their neighbours."""
    case = subject.case
    read = {"fractions": ROAD_FRACTIONS, "noise": 0.01, "imputation": "noisy linear"}
    hits, kept = {}, {}
    for order in ("morf", "lerf"):
        generator = torch.Generator().manual_seed(0)
        images = metrics.road_images(
            case.image, subject.saliency, order=order, fractions=ROAD_FRACTIONS, generator=generator
        )
        answers = case.network(images)
        hits[order] = (answers.argmax(dim=1) == case.target).float()
        kept[order] = probabilities(answers)[:, case.target]
    found = [
        Measured(f"road_{order}", float(hits[order].mean()), {**read, "score": "accuracy"}, tuple(hits[order].tolist()))
        for order in hits
    ]
    for metric, by in (("road", hits), ("road_probability", kept)):
        score = "accuracy" if by is hits else "softmax"
        value = float(by["lerf"].mean() - by["morf"].mean())
        found.append(Measured(metric, value, {**read, "score": f"{score}, least less most salient first"}))
    return found


def localization(subject: Subject) -> list[Measured]:
    """Whether the map lies on the annotated object."""
    truth, saliency = subject.case.truth, subject.saliency.cpu()
    if not bool(truth.inside.any()):
        why = "the image has no box or mask, or its crop shows none of it"
        names = ("pointing_game", "energy_pointing_game", "box_ious", "mask_ious")
        return [Measured(metric, None, failure=why) for metric in names]
    share = {"share": round(truth.share, 4)}
    found = [
        Measured(
            "pointing_game",
            float(metrics.pointing_game(saliency, truth.near)),
            {"tolerance": TOLERANCE, "pixels": "of the file"} | share,
        ),
        Measured("energy_pointing_game", float(metrics.energy_in_box(saliency, truth.inside)), share),
    ]
    sweep = {"value": "best over the sweep; the accuracy's threshold is chosen on other images"} | share
    if len(truth.boxes):
        ious = metrics.box_ious(saliency, truth.boxes)
        found.append(Measured("box_ious", float(ious.max()), sweep, tuple(ious.tolist())))
    if truth.mask is not None:
        ious = metrics.mask_ious(saliency, truth.mask)
        found.append(Measured("mask_ious", float(ious.max()), sweep, tuple(ious.tolist())))
    return found


def complexity(subject: Subject) -> list[Measured]:
    """How few pixels the map speaks of."""
    return [
        Measured("entropy", float(metrics.entropy(subject.saliency)), {"unit": "nats"}),
        Measured("gini", float(metrics.gini(subject.saliency))),
    ]


def robustness(subject: Subject) -> list[Measured]:
    """How far the map moves when the image hardly does."""

    def explain(image: Tensor) -> Tensor:
        return subject.method(image.unsqueeze(0), subject.case.target).saliency[0, 0]

    value = metrics.max_sensitivity(
        explain,
        subject.case.image,
        radius=RADIUS,
        samples=SAMPLES,
        generator=torch.Generator().manual_seed(0),
        original=subject.saliency,
    )
    return [Measured("max_sensitivity", float(value), {"radius": RADIUS, "samples": SAMPLES, "norm": "Frobenius"})]


def sanity(subject: Subject) -> list[Measured]:
    """Whether the map changes when the network's layers are made random, from the output down."""

    def explain() -> Tensor:
        return subject.method(subject.case.image.unsqueeze(0), subject.case.target).saliency[0, 0]

    depths = metrics.randomization(explain, subject.model, original=subject.saliency, steps=DEPTHS, seed=0)
    read = {"layers": [depth.layer for depth in depths], "order": "output first, cascading"}
    found = []
    for metric in ("rank_correlation", "structural_similarity"):
        curve = tuple(float(getattr(depth, metric)) for depth in depths)
        found.append(Measured(f"randomization_{metric}", sum(curve) / len(curve), read, curve))
    return found


GROUPS: Mapping[str, Group] = {
    "faithfulness": Group(faithfulness, "does the score follow the map?", lambda steps: 5 * (steps + 1) + 3),
    "road": Group(
        road, "does it, where removed pixels look like their surroundings?", lambda _: 2 * len(ROAD_FRACTIONS)
    ),
    "localization": Group(localization, "does the map lie on the annotated object?"),
    "complexity": Group(complexity, "how few pixels does it speak of?"),
    "robustness": Group(robustness, "how far does it move when the image hardly does?", calls=SAMPLES),
    "sanity": Group(sanity, "does it change when the network is made random?", calls=DEPTHS),
}
"""The groups of metrics, by the names the command line has for them."""

DEFAULT_GROUPS = ("faithfulness", "road", "localization", "complexity")
"""The groups that need each map only once."""
