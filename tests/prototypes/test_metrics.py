"""Does the prototype's activation follow the map, and which region does the map mean?"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, jaccard_score
from tests.metrics.toy import MANY_SEEDS, drawn, ranked_maps, square_photo, square_score

from maskstack.errors import InputError
from maskstack.metrics import keep_top
from maskstack.prototypes.metrics import (
    AREAS,
    activation_curve,
    activation_deletion,
    activation_insertion,
    iou_at,
    minimal_sufficient_area,
    peak_box,
    tight_box,
)

SEEDS = st.integers(0, 2**31)
SIZES = st.integers(1, 12)


def additive(weights: torch.Tensor):
    return lambda images: (images[:, 0].double() * weights).sum(dim=(1, 2))


def whole_weights(height: int, width: int, seed: int) -> torch.Tensor:
    """Whole numbers, which add up exactly, one of them above 0."""
    weights = (9 * drawn(height, width, seed=seed)).floor().double()
    weights[0, 0] = 9
    return weights


def written_out_shares(score, image, saliency, fill, steps: int, *, insert: bool) -> list[float]:
    height, width = saliency.shape
    pixels = [(i, j) for i in range(height) for j in range(width)]
    pixels.sort(key=lambda pixel: -saliency[pixel].item())  # A stable sort: reading order among equals.
    shares = []
    for step in range(steps + 1):
        masked = (fill if insert else image).clone()
        for i, j in pixels[: round(step * len(pixels) / steps)]:
            masked[:, i, j] = (image if insert else fill)[:, i, j]
        shares.append(score(masked[None]).item() / score(image[None]).item())
    return shares


@given(SIZES, SIZES, st.integers(1, 25), st.integers(1, 30), st.booleans(), SEEDS)
@settings(deadline=None, max_examples=30)
def test_the_curve_and_its_area_are_written_out_ones(height, width, steps, batch_size, insert, seed) -> None:
    image, fill = drawn(2, 3, height, width, seed=seed) + 0.1
    saliency = (4 * drawn(height, width, seed=seed + 1)).floor()  # Many equal values.
    weights = drawn(3, height, width, seed=seed + 2)

    def score(images: torch.Tensor) -> torch.Tensor:
        return 1.5 + (images * weights).sum(dim=(1, 2, 3)).sin()

    curve = activation_curve(score, image, saliency, fill, insert=insert, steps=steps, batch_size=batch_size)
    expected = written_out_shares(score, image, saliency, fill, steps, insert=insert)
    assert curve.tolist() == pytest.approx(expected, abs=1e-4)
    assert curve[-1 if insert else 0].item() == 1
    area = (activation_insertion if insert else activation_deletion)(score, image, saliency, fill, steps=steps)
    assert area.item() == pytest.approx(auc(np.linspace(0, 1, steps + 1), expected), abs=1e-4)


@given(SIZES, SIZES, SEEDS)
@settings(deadline=None, max_examples=40)
def test_areas_on_an_additive_score_lie_between_0_and_1(height: int, width: int, seed: int) -> None:
    score, saliency = additive(whole_weights(height, width, seed)), drawn(height, width, seed=seed + 1)
    image, fill = torch.ones(1, height, width), torch.zeros(1, height, width)
    inserted, deleted = (
        measure(score, image, saliency, fill).item() for measure in (activation_insertion, activation_deletion)
    )
    assert 0 <= inserted <= 1
    assert 0 <= deleted <= 1
    assert inserted + deleted == pytest.approx(1), "what is shown in one is hidden in the other"
    area = minimal_sufficient_area(score, image, saliency, fill)
    assert area in AREAS
    assert score((image * keep_top(saliency, area))[None]).item() >= 0.9 * score(image[None]).item()


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
    inserted, deleted, areas = (
        [float(measure(additive(weights), image, map_, fill)) for map_ in maps]
        for measure in (activation_insertion, activation_deletion, minimal_sufficient_area)
    )
    slack = 1e-9  # Of sums taken in another order.
    assert inserted[0] >= inserted[1] - slack
    assert inserted[1] >= inserted[2] - slack
    assert deleted[0] <= deleted[1] + slack
    assert deleted[1] <= deleted[2] + slack
    assert areas == sorted(areas)


@pytest.mark.parametrize("seed", MANY_SEEDS)
def test_where_the_evidence_lies_beats_chance_beats_the_reverse(seed: int) -> None:
    image = square_photo(seed)
    fill = torch.zeros_like(image)
    maps = [map_.clamp_min(0) for map_ in ranked_maps(seed)]
    inserted = [activation_insertion(square_score, image, map_, fill).item() for map_ in maps]
    deleted = [activation_deletion(square_score, image, map_, fill).item() for map_ in maps]
    areas = [minimal_sufficient_area(square_score, image, map_, fill) for map_ in maps]
    assert inserted == sorted(inserted, reverse=True)
    assert deleted == sorted(deleted)
    assert areas == sorted(areas)
    assert areas[0] <= 0.12 < 0.7 < areas[1], "the square is a ninth of the image"


@given(SIZES, SIZES, st.floats(0.05, 1), st.integers(1, 50), SEEDS)
@settings(deadline=None, max_examples=40)
def test_the_sufficient_area_is_the_first_that_a_loop_finds(height, width, keep, batch_size, seed) -> None:
    weights, saliency = whole_weights(height, width, seed) - 2, (4 * drawn(height, width, seed=seed + 1)).floor()
    image, fill = torch.ones(1, height, width), torch.zeros(1, height, width)
    total = weights.sum().item()
    if total <= 0:
        weights, total = weights.abs(), weights.abs().sum().item()
    expected = 1.0  # Weights may be negative: a larger area is not always as good.
    for area in AREAS:
        if sum(weights[keep_top(saliency, area)].tolist()) >= keep * total:
            expected = area
            break
    found = minimal_sufficient_area(additive(weights), image, saliency, fill, keep=keep, batch_size=batch_size)
    assert found == expected


def test_no_image_is_looked_at_after_the_batch_with_the_answer() -> None:
    calls = []

    def score(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return images.mean(dim=(1, 2, 3))

    image, fill = torch.ones(1, 10, 10), torch.zeros(1, 10, 10)
    saliency = torch.arange(100.0).view(10, 10)
    assert minimal_sufficient_area(score, image, saliency, fill, keep=0.07, batch_size=4) == 0.07
    assert calls == [1, 4, 4]
    calls.clear()
    assert minimal_sufficient_area(score, image, saliency, fill, keep=1, batch_size=32) == 1
    assert calls == [1, 32, len(AREAS) - 1 - 32], "nobody asks again for the whole image"
    assert minimal_sufficient_area(score, image, saliency, fill, areas=(0.8, 0.5), keep=0.3) == 0.5
    assert minimal_sufficient_area(score, image, saliency, fill, areas=()) == 1
    assert minimal_sufficient_area(score, image, saliency, image) == AREAS[0], "where the fill alone suffices"


def test_the_areas_are_finer_where_a_good_map_ends() -> None:
    assert list(AREAS) == sorted(set(AREAS))
    assert (AREAS[0], AREAS[19], AREAS[20], AREAS[34], AREAS[35], AREAS[-1]) == (0.01, 0.2, 0.225, 0.65, 0.7, 1)


@pytest.mark.parametrize("value", [0.0, -0.4, math.nan, math.inf])
def test_an_activation_without_shares_is_refused(value: float) -> None:
    def score(images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images),), value)

    image, saliency = torch.ones(1, 4, 4), torch.ones(4, 4)
    for measure in (activation_insertion, activation_deletion, minimal_sufficient_area):
        with pytest.raises(InputError, match="positive value"):
            measure(score, image, saliency, 0 * image)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"keep": 0}, "above 0"),
        ({"keep": 1.1}, "up to 1"),
        ({"areas": (0.5, 1.5)}, "from 0 to 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"saliency": torch.ones(3, 4)}, "must be equal"),
        ({"saliency": torch.ones(4, 4) - 2}, "negative"),
        ({"saliency": torch.full((4, 4), torch.nan)}, "NaN"),
        ({"fill": torch.zeros(1, 5, 4)}, "agree"),
    ],
)
def test_what_has_no_sufficient_area_is_refused(change: dict[str, object], word: str) -> None:
    given_ = {"image": torch.ones(1, 4, 4), "saliency": torch.ones(4, 4), "fill": torch.zeros(1, 4, 4)} | change
    with pytest.raises(InputError, match=word):
        minimal_sufficient_area(additive(torch.ones(4, 4)), **given_)
    if set(change) <= {"saliency", "fill"}:
        with pytest.raises(InputError, match=word):
            activation_curve(additive(torch.ones(4, 4)), insert=True, **given_)


@given(SIZES, SIZES, st.sampled_from([0, 0.25, 0.3, 0.5, 1]), SEEDS)
@settings(deadline=None, max_examples=40)
def test_the_overlap_is_that_of_scikit_learn(height: int, width: int, share: float, seed: int) -> None:
    saliency = (8 * drawn(height, width, seed=seed)).round() / 8  # Many equal values, some at the share.
    inside = drawn(height, width, seed=seed + 1) < 0.4
    region = saliency.double() >= share * saliency.double().max()
    theirs = jaccard_score(inside.flatten(), region.flatten(), zero_division=0)
    assert iou_at(saliency, inside, share=share).item() == pytest.approx(theirs, abs=1e-6)


def test_a_map_of_zeros_overlaps_as_the_whole_image() -> None:
    inside = torch.zeros(4, 5, dtype=torch.bool)
    assert iou_at(torch.rand(4, 5), inside).item() == 0
    inside[1:3, 1:3] = True
    assert iou_at(torch.zeros(4, 5), inside).item() == pytest.approx(4 / 20)
    assert iou_at(inside.float(), inside).item() == 1
    with pytest.raises(InputError, match="from 0 to 1"):
        iou_at(inside.float(), inside, share=1.3)


@given(SIZES, SIZES, st.data())
@settings(deadline=None, max_examples=60)
def test_the_peaks_box_has_its_side_holds_it_and_is_the_nearest_in_the_image(height: int, width: int, data) -> None:
    side = data.draw(st.integers(1, min(height, width)))
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    saliency = 0.9 * drawn(height, width, seed=1)
    saliency[row, column] = 1
    x1, y1, x2, y2 = peak_box(saliency, side=side)
    assert (x2 - x1, y2 - y1) == (side, side)
    assert x1 <= column < x2
    assert y1 <= row < y2
    # Among all boxes in the image, its first corner is nearest to that of the centred one.
    assert x1 == min(range(width - side + 1), key=lambda left: abs(left - (column - side // 2)))
    assert y1 == min(range(height - side + 1), key=lambda top: abs(top - (row - side // 2)))


def test_the_first_of_equal_peaks_is_taken_and_not_what_lies_between() -> None:
    saliency = torch.zeros(224, 224)
    saliency[50, 200] = saliency[180, 60] = saliency[50, 90] = 1
    assert peak_box(saliency) == (54, 14, 126, 86)
    assert peak_box(saliency, side=1) == (90, 50, 91, 51)
    assert peak_box(torch.zeros(224, 224)) == (0, 0, 72, 72)
    assert peak_box(torch.eye(72)) == (0, 0, 72, 72)


@given(SIZES, SIZES, st.sampled_from([0, 50, 75, 90, 95, 100]), st.integers(1, 30), SEEDS)
@settings(deadline=None, max_examples=60)
def test_the_tight_box_is_the_written_out_one_at_numpys_percentile(height, width, percentile, levels, seed) -> None:
    saliency = (levels * drawn(height, width, seed=seed)).floor()
    values = saliency.double().numpy()
    threshold = np.percentile(values, percentile)
    high = [(i, j) for i in range(height) for j in range(width) if values[i, j] >= threshold]
    rows, columns = [i for i, _ in high], [j for _, j in high]
    expected = (min(columns), min(rows), max(columns) + 1, max(rows) + 1)
    assert tight_box(saliency, percentile=percentile) == expected
    assert tight_box(saliency * 8 + 1, percentile=percentile) == expected, "only the order of the map counts"


def test_the_tight_box_of_known_maps() -> None:
    saliency = torch.zeros(20, 30)
    saliency[4:8, 10:15] = 0.7
    assert tight_box(saliency, percentile=97) == (10, 4, 15, 8)
    saliency[19, 0] = 0.9
    assert tight_box(saliency, percentile=97) == (0, 4, 15, 20), "pixels far apart count"
    assert tight_box(saliency) == (0, 0, 30, 20), "where most of the map is 0, the percentile is"
    assert tight_box(torch.zeros(20, 30)) == (0, 0, 30, 20)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: peak_box(torch.ones(10, 80)), "side"),
        (lambda: peak_box(torch.ones(10, 8), side=0), "from 1"),
        (lambda: peak_box(torch.ones(1, 8, 8), side=2), "H x W"),
        (lambda: peak_box(torch.full((8, 8), torch.nan), side=2), "NaN"),
        (lambda: tight_box(torch.ones(8, 8), percentile=101), "from 0 to 100"),
        (lambda: tight_box(torch.ones(8, 8), percentile=math.nan), "from 0 to 100"),
        (lambda: tight_box(torch.ones(0, 8)), "H x W"),
    ],
)
def test_what_has_no_box_is_refused(call, word: str) -> None:
    with pytest.raises(InputError, match=word):
        call()
