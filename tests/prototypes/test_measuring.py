"""Does the prototype's activation follow the map? The measures of the benchmark against slow ones."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc
from tests.metrics.toy import MANY_SEEDS, drawn, ranked_maps, square_photo, square_score

from maskstack.datasets import GroundTruth
from maskstack.errors import InputError
from maskstack.metrics import keep_top
from maskstack.prototypes.measuring import AREAS, KEEP, STEPS, PrototypeOnImage, activation_measures

SEEDS = st.integers(0, 2**31)
SIZES = st.integers(1, 12)


class Scored:
    """A network with one prototype, whose activation is a function of the image, and another at the fixed position."""

    def __init__(self, score, fixed=None):
        self.score, self.fixed = score, fixed or score

    def readings(self, images, _place):
        return self.score(images).unsqueeze(1), self.fixed(images).unsqueeze(1)


def measures(score, image, saliency, fill, *, fixed=None):
    """The benchmark's rows by their names."""
    nothing = torch.zeros(image.shape[1:], dtype=torch.bool)
    truth = GroundTruth(nothing, nothing, torch.zeros(0, 4))
    tested = PrototypeOnImage(Scored(score, fixed), 0, image, fill, torch.ones(1, 1, 1, 1), truth)
    return {row.metric: row for row in activation_measures(tested, saliency)}


def values(score, image, saliency, fill):
    """Insertion, deletion and area."""
    found = measures(score, image, saliency, fill)
    return tuple(found[f"{metric}_anew"].value for metric in ("insertion", "deletion", "area"))


def additive(weights: torch.Tensor):
    return lambda images: (images[:, 0].double() * weights).sum(dim=(1, 2))


def whole_weights(height: int, width: int, seed: int) -> torch.Tensor:
    """Whole numbers, which add up exactly, one of them above 0."""
    weights = (9 * drawn(height, width, seed=seed)).floor().double()
    weights[0, 0] = 9
    return weights


def written_out_shares(score, image, saliency, fill, *, insert: bool) -> list[float]:
    height, width = saliency.shape
    pixels = [(i, j) for i in range(height) for j in range(width)]
    pixels.sort(key=lambda pixel: -saliency[pixel].item())  # A stable sort: reading order among equals.
    shares = []
    for step in range(STEPS + 1):
        masked = (fill if insert else image).clone()
        for i, j in pixels[: round(step / STEPS * len(pixels))]:
            masked[:, i, j] = (image if insert else fill)[:, i, j]
        shares.append(score(masked[None]).item() / score(image[None]).item())
    return shares


@pytest.mark.slow
@given(SIZES, SIZES, SEEDS)
@settings(deadline=None, max_examples=30)
def test_curves_and_their_areas_are_written_out_ones_of_either_reading(height, width, seed) -> None:
    image, fill = drawn(2, 3, height, width, seed=seed) + 0.1
    saliency = (4 * drawn(height, width, seed=seed + 1)).floor()  # Many equal values.
    weights = drawn(3, height, width, seed=seed + 2)

    def score(images: torch.Tensor) -> torch.Tensor:
        return 1.5 + (images * weights).sum(dim=(1, 2, 3)).sin()

    def fixed(images: torch.Tensor) -> torch.Tensor:
        return 2 + (images * weights).sum(dim=(1, 2, 3)).cos()

    found = measures(score, image, saliency, fill, fixed=fixed)
    for reading, function in (("anew", score), ("fixed", fixed)):
        for metric, insert in (("insertion", True), ("deletion", False)):
            row = found[f"{metric}_{reading}"]
            expected = written_out_shares(function, image, saliency, fill, insert=insert)
            assert row.curve == pytest.approx(expected, abs=1e-4)
            assert row.curve[-1 if insert else 0] == 1
            assert row.value == pytest.approx(auc(np.linspace(0, 1, STEPS + 1), expected), abs=1e-4)


@pytest.mark.slow
@given(SIZES, SIZES, SEEDS)
@settings(deadline=None, max_examples=40)
def test_areas_on_an_additive_score_lie_between_0_and_1(height: int, width: int, seed: int) -> None:
    score, saliency = additive(whole_weights(height, width, seed)), drawn(height, width, seed=seed + 1)
    image, fill = torch.ones(1, height, width), torch.zeros(1, height, width)
    inserted, deleted, area = values(score, image, saliency, fill)
    assert 0 <= inserted <= 1
    assert 0 <= deleted <= 1
    assert inserted + deleted == pytest.approx(1), "what is shown in one is hidden in the other"
    assert area in AREAS
    assert score((image * keep_top(saliency, area))[None]).item() >= KEEP * score(image[None]).item()


@given(st.integers(2, 12), SIZES, SEEDS)
@settings(deadline=None, max_examples=40)
def test_a_better_order_never_gives_a_worse_area(height: int, width: int, seed: int) -> None:
    weights = whole_weights(height, width, seed)
    saliency = torch.randperm(height * width, generator=torch.Generator().manual_seed(seed)).view(height, width) + 0.0
    # Two pixels of the random order change places so that the weightier one comes first; at last all are in order.
    one, other = torch.randperm(height * width, generator=torch.Generator().manual_seed(seed + 1))[:2].tolist()
    better = saliency.clone().flatten()
    pair = better[[one, other]].sort().values
    better[[one, other]] = pair if weights.flatten()[one] <= weights.flatten()[other] else pair.flip(0)
    maps = (weights, better.view_as(saliency), saliency)
    image, fill = torch.ones(1, height, width), torch.zeros(1, height, width)
    inserted, deleted, areas = zip(*(values(additive(weights), image, map_, fill) for map_ in maps), strict=True)
    slack = 1e-9  # Of sums taken in another order.
    assert inserted[0] >= inserted[1] - slack
    assert inserted[1] >= inserted[2] - slack
    assert deleted[0] <= deleted[1] + slack
    assert deleted[1] <= deleted[2] + slack
    assert list(areas) == sorted(areas)


@pytest.mark.parametrize("seed", MANY_SEEDS)
def test_where_the_evidence_lies_beats_chance_beats_the_reverse(seed: int) -> None:
    image = square_photo(seed)
    maps = [map_.clamp_min(0) for map_ in ranked_maps(seed)]
    found = [values(square_score, image, map_, torch.zeros_like(image)) for map_ in maps]
    inserted, deleted, areas = map(list, zip(*found, strict=True))
    assert inserted == sorted(inserted, reverse=True)
    assert deleted == sorted(deleted)
    assert areas == sorted(areas)
    assert areas[0] <= 0.12 < 0.7 < areas[1], "the square is a ninth of the image"


@pytest.mark.slow
@given(SIZES, SIZES, SEEDS)
@settings(deadline=None, max_examples=40)
def test_the_sufficient_area_is_the_first_that_a_loop_finds(height, width, seed) -> None:
    weights, saliency = whole_weights(height, width, seed) - 2, (4 * drawn(height, width, seed=seed + 1)).floor()
    image, fill = torch.ones(1, height, width), torch.zeros(1, height, width)
    total = weights.sum().item()
    if total <= 0:
        weights, total = weights.abs(), weights.abs().sum().item()
    # Weights may be negative: a larger area is not always as good.
    enough = (area for area in AREAS if sum(weights[keep_top(saliency, area)].tolist()) / total >= KEEP)
    assert values(additive(weights), image, saliency, fill)[2] == next(enough, 1.0)


def test_where_the_fill_alone_suffices_the_least_area_does() -> None:
    image = torch.ones(1, 4, 4)
    assert values(additive(torch.ones(4, 4)), image, torch.ones(4, 4), image)[2] == AREAS[0]


def test_the_areas_are_finer_where_a_good_map_ends() -> None:
    assert list(AREAS) == sorted(set(AREAS))
    assert (AREAS[0], AREAS[19], AREAS[20], AREAS[34], AREAS[35], AREAS[-1]) == (0.01, 0.2, 0.225, 0.65, 0.7, 1)


@pytest.mark.parametrize("value", [0.0, -0.4, math.nan, math.inf])
@pytest.mark.parametrize("fixed", [False, True])
def test_an_activation_without_shares_is_refused(value: float, fixed: bool) -> None:
    def constant(number):
        return lambda images: torch.full((len(images),), number)

    image, saliency = torch.ones(1, 4, 4), torch.ones(4, 4)
    score, other = (constant(1.0), constant(value)) if fixed else (constant(value), constant(1.0))
    with pytest.raises(InputError, match="a finite activation above 0"):
        measures(score, image, saliency, 0 * image, fixed=other)
