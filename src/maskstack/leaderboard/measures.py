"""What the leaderboard measures of a map, in groups. Each value comes with its protocol: how it was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskstack import metrics
from maskstack.datasets import TOLERANCE
from maskstack.errors import InputError
from maskstack.explainers.base import CostedExplainer
from maskstack.leaderboard.case import Case
from maskstack.runs.rows import Measured
from maskstack.scoring.untouched import untouched

WIDE, NARROW = 10.0, 5.0
ROAD_FRACTIONS = (0.1, 0.3, 0.5, 0.7)
SAMPLES, RADIUS = 10, 0.02
DEPTHS = 5


@dataclass(frozen=True)
class MapUnderTest:
    """A map to measure, with its image, method and network.

    Attributes:
        case: The image, the class and the annotations.
        saliency: H x W in [0, 1].
        method: The method that made the map; metrics of stability run it again.
        model: The network as a module.
        curve_steps: Number of steps of insertion and deletion curves.
    """

    case: Case
    saliency: Tensor
    method: CostedExplainer
    model: nn.Module
    curve_steps: int = 20

    def again(self, image: Tensor) -> Tensor:
        """The map that the method makes for another image, C x H x W: H x W."""
        return self.method(image.unsqueeze(0), self.case.target).saliency[0, 0]


@dataclass(frozen=True)
class MetricGroup:
    """Metrics that are measured together.

    Attributes:
        measure: From a map to its values.
        about: The question that the group answers.
        forward: From the number of steps of a curve to the images sent forward for one map.
        calls: How often the method runs again for one map.
    """

    measure: Callable[[MapUnderTest], list[Measured]]
    about: str
    forward: Callable[[int], int] = lambda _steps: 0
    calls: int = 0


def faithfulness(tested: MapUnderTest) -> list[Measured]:
    """Insertion and deletion over several fills, average drop and increase."""
    case, saliency, image = tested.case, tested.saliency, tested.case.image
    steps = tested.curve_steps
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


def road(tested: MapUnderTest) -> list[Measured]:
    """ROAD (remove and debias): accuracy while pixels are imputed from their neighbours."""
    case = tested.case
    read = {"fractions": ROAD_FRACTIONS, "noise": 0.01, "imputation": "noisy linear"}
    hits, kept = {}, {}
    for order in ("morf", "lerf"):
        generator = torch.Generator().manual_seed(0)
        images = metrics.road_images(
            case.image, tested.saliency, order=order, fractions=ROAD_FRACTIONS, generator=generator
        )
        found = case.probabilities(images)
        hits[order] = (found.argmax(dim=1) == case.target).float()
        kept[order] = found[:, case.target]
    values = [
        Measured(f"road_{order}", float(hits[order].mean()), {**read, "score": "accuracy"}, tuple(hits[order].tolist()))
        for order in hits
    ]
    for metric, by in (("road", hits), ("road_probability", kept)):
        score = "accuracy" if by is hits else "softmax"
        value = float(by["lerf"].mean() - by["morf"].mean())
        values.append(Measured(metric, value, {**read, "score": f"{score}, least less most salient first"}))
    return values


def localization(tested: MapUnderTest) -> list[Measured]:
    """Whether the map lies on the annotated object.

    Raises:
        InputError: A box lies outside of the image.
    """
    truth, saliency = tested.case.truth, tested.saliency.cpu()
    if truth.problem:
        raise InputError(truth.problem)
    if not bool(truth.inside.any()):
        why = "the image has no box or mask, or none is inside its crop"
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
    if truth.mask is not None and not bool(truth.mask.any()):
        found.append(Measured("mask_ious", None, failure="no pixel of the image's mask is inside its crop"))
    elif truth.mask is not None:
        ious = metrics.mask_ious(saliency, truth.mask)
        found.append(Measured("mask_ious", float(ious.max()), sweep, tuple(ious.tolist())))
    return found


def complexity(tested: MapUnderTest) -> list[Measured]:
    """How concentrated the map is."""
    return [
        Measured("entropy", float(metrics.entropy(tested.saliency)), {"unit": "nats"}),
        Measured("gini", float(metrics.gini(tested.saliency))),
    ]


def robustness(tested: MapUnderTest) -> list[Measured]:
    """How much the map changes under a small change of the image."""
    value = metrics.max_sensitivity(
        tested.again,
        tested.case.image,
        radius=RADIUS,
        samples=SAMPLES,
        generator=torch.Generator().manual_seed(0),
        original=tested.saliency,
    )
    return [Measured("max_sensitivity", float(value), {"radius": RADIUS, "samples": SAMPLES, "norm": "Frobenius"})]


def sanity(tested: MapUnderTest) -> list[Measured]:
    """Whether the map changes when the network's layers are randomised, beginning at the output."""
    # No other thread may explain the network while its weights are random.
    with untouched(tested.model):
        depths = metrics.randomization(
            lambda: tested.again(tested.case.image), tested.model, original=tested.saliency, steps=DEPTHS, seed=0
        )
    read = {"layers": [depth.layer for depth in depths], "order": "output first, cascading"}
    found = []
    for metric in ("rank_correlation", "structural_similarity"):
        curve = tuple(float(getattr(depth, metric)) for depth in depths)
        found.append(Measured(f"randomization_{metric}", sum(curve) / len(curve), read, curve))
    return found


GROUPS: Mapping[str, MetricGroup] = {
    "faithfulness": MetricGroup(
        faithfulness, "does the score depend on the most salient pixels?", lambda steps: 5 * (steps + 1) + 3
    ),
    "road": MetricGroup(
        road, "the same, with removed pixels like their surroundings", lambda _: 2 * len(ROAD_FRACTIONS)
    ),
    "localization": MetricGroup(localization, "does the map lie on the annotated object?"),
    "complexity": MetricGroup(complexity, "how concentrated is the map?"),
    "robustness": MetricGroup(robustness, "how much does the map change if the image changes a little?", calls=SAMPLES),
    "sanity": MetricGroup(sanity, "does the map change if the weights are randomised?", calls=DEPTHS),
}
"""The groups of metrics, by their names on the command line."""

DEFAULT_GROUPS = ("faithfulness", "road", "localization", "complexity")
"""The groups that do not run the method again."""
