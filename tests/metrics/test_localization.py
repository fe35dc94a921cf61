"""Does the map mark the annotated object?"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import measure
from sklearn.metrics import average_precision_score, jaccard_score
from tests.metrics.toy import drawn

from maskstack.errors import InputError
from maskstack.metrics import (
    at_chosen_threshold,
    box_ious,
    energy_in_box,
    mask_average_precision,
    mask_ious,
    max_box_acc,
    pointing_game,
)
from maskstack.metrics.localization import THRESHOLDS

INSIDE = torch.zeros(6, 8, dtype=torch.bool)
INSIDE[1:4, 2:5] = True


def test_energy_is_all_none_or_the_share_of_the_area() -> None:
    assert energy_in_box(INSIDE.float() * 0.3, INSIDE).item() == pytest.approx(1)
    assert energy_in_box(1 - INSIDE.float(), INSIDE).item() == 0
    assert energy_in_box(torch.full((6, 8), 0.7), INSIDE).item() == pytest.approx(9 / 48)
    assert energy_in_box(torch.zeros(6, 8), INSIDE).item() == 0


@given(st.integers(0, 2**31), st.floats(0.01, 100))
@settings(deadline=None, max_examples=30)
def test_energy_is_the_share_of_the_sum_at_any_scale(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    saliency = torch.rand(6, 8, generator=generator)
    inside = torch.rand(6, 8, generator=generator) < 0.4
    pairs = list(zip(saliency.flatten().tolist(), inside.flatten().tolist(), strict=True))
    share = sum(value for value, within in pairs if within) / sum(value for value, _ in pairs)
    assert energy_in_box(saliency * scale, inside).item() == pytest.approx(share, abs=1e-5)
    outside = energy_in_box(saliency * scale, ~inside).item()
    assert outside == pytest.approx(1 - share, abs=1e-5)


@pytest.mark.parametrize(("pixel", "hit"), [((1, 2), 1), ((3, 4), 1), ((0, 2), 0), ((4, 4), 0), ((1, 5), 0)])
def test_pointing_hits_where_the_highest_pixel_lies_inside(pixel: tuple[int, int], hit: int) -> None:
    saliency = torch.rand(6, 8, generator=torch.Generator().manual_seed(0)) * 0.9
    saliency[pixel] = 1
    assert pointing_game(saliency, INSIDE).item() == hit


def test_the_first_of_equal_pixels_points() -> None:
    saliency = torch.zeros(6, 8)
    saliency[1, 2] = saliency[5, 7] = 1
    assert pointing_game(saliency, INSIDE).item() == 1
    assert pointing_game(saliency.flip(0), INSIDE).item() == 0
    assert pointing_game(torch.zeros(6, 8), INSIDE).item() == 0


def test_pointing_gives_numbers_that_can_be_averaged() -> None:
    hits = torch.stack([pointing_game(INSIDE.float(), INSIDE), pointing_game((~INSIDE).float(), INSIDE)])
    assert hits.mean().item() == 0.5


def smooth_map(seed: int, height: int = 15, width: int = 18) -> torch.Tensor:
    coarse = drawn(1, 1, 5, 6, seed=seed) ** 2
    return torch.nn.functional.interpolate(coarse, (height, width), mode="nearest")[0, 0]


def written_out_boxes(saliency: torch.Tensor, boxes: list[list[int]], thresholds) -> list[float]:
    """The same overlap by flood filling and by counting pixels of drawn boxes."""
    found = []
    for share in thresholds:
        labels = measure.label((saliency >= share * saliency.max()).numpy(), connectivity=2)
        largest = max(measure.regionprops(labels), key=lambda region: (region.area, -region.label))
        top, left, bottom, right = largest.bbox
        own = np.zeros(saliency.shape, bool)
        own[top:bottom, left:right] = True
        overlaps = []
        for x1, y1, x2, y2 in boxes:
            other = np.zeros(saliency.shape, bool)
            other[y1:y2, x1:x2] = True
            overlaps.append((own & other).sum() / (own | other).sum())
        found.append(max(overlaps))
    return found


@pytest.mark.slow
@given(st.integers(0, 2**31), st.integers(1, 3))
@settings(deadline=None, max_examples=25)
def test_box_overlaps_are_counted_pixels(seed: int, count: int) -> None:
    saliency = smooth_map(seed)
    generator = torch.Generator().manual_seed(seed)
    boxes = []
    for _ in range(count):
        x1, x2 = torch.randperm(19, generator=generator)[:2].sort().values.tolist()
        y1, y2 = torch.randperm(16, generator=generator)[:2].sort().values.tolist()
        boxes.append([x1, y1, x2, y2])
    ious = box_ious(saliency, torch.tensor(boxes))
    assert ious.tolist() == pytest.approx(written_out_boxes(saliency, boxes, THRESHOLDS), abs=1e-6)
    assert torch.equal(ious, box_ious(saliency * 8, torch.tensor(boxes).flip(0))), "neither scale nor order counts"


def test_the_box_of_the_largest_component_counts() -> None:
    saliency = torch.zeros(10, 12)
    saliency[1:4, 2:5] = 0.6
    saliency[4, 5] = 0.6  # Joined across the corner.
    saliency[8, 8:11] = 1
    boxes = torch.tensor([[2.0, 1.0, 6.0, 5.0]])
    ious = box_ious(saliency, boxes, thresholds=(0, 0.01, 0.5, 0.7, 1))
    assert ious.tolist() == pytest.approx([16 / 120, 1, 1, 0, 0])


def test_a_map_of_zeros_points_at_the_whole_image() -> None:
    boxes = torch.tensor([[0.0, 0.0, 4.0, 6.0], [1.5, 1.0, 2.0, 2.0]])
    for value in (0, 0.5):
        assert box_ious(torch.full((6, 8), value), boxes).tolist() == [0.5] * len(THRESHOLDS)
        assert mask_ious(torch.full((6, 8), value), INSIDE).tolist() == pytest.approx([9 / 48] * len(THRESHOLDS))


@pytest.mark.slow
@given(st.integers(0, 2**31), st.floats(0.1, 1))
@settings(deadline=None, max_examples=25)
def test_mask_metrics_are_those_of_scikit_learn(seed: int, share: float) -> None:
    saliency = (8 * drawn(9, 7, seed=seed)).round() / 8 + 1 / 16  # Many equal values.
    mask = drawn(9, 7, seed=seed + 1) < share
    mask[0, 0] = True
    ious = mask_ious(saliency, mask, thresholds=(0, 0.3, 0.6, 1))
    for share_, iou in zip((0, 0.3, 0.6, 1), ious.tolist(), strict=True):
        region = saliency.double() >= share_ * saliency.double().max()
        assert iou == pytest.approx(jaccard_score(mask.flatten(), region.flatten()), abs=1e-6)
    theirs = average_precision_score(mask.flatten(), saliency.flatten())
    assert mask_average_precision(saliency, mask).item() == pytest.approx(theirs, abs=1e-6)
    assert mask_average_precision(saliency.exp() - 9, mask).item() == pytest.approx(theirs, abs=1e-6)


def test_the_mask_itself_is_the_perfect_map_and_a_constant_one_knows_the_share() -> None:
    assert mask_average_precision(INSIDE.float(), INSIDE).item() == 1
    assert mask_average_precision(torch.ones(6, 8), INSIDE).item() == pytest.approx(9 / 48)
    assert mask_ious(INSIDE.float(), INSIDE)[1:].tolist() == [1] * (len(THRESHOLDS) - 1)


def written_out_accuracy(ious: list[list[float]], delta: float) -> list[float]:
    right = []
    for place, row in enumerate(ious):
        others = [each for other, each in enumerate(ious) if other % 2 != place % 2]
        counts = [sum(each[t] >= delta for each in others) for t in range(len(row))]
        right.append(float(row[counts.index(max(counts))] >= delta))
    return right


@given(st.integers(2, 20), st.integers(1, 8), st.sampled_from([0.3, 0.5, 0.7]), st.integers(0, 2**31))
@settings(deadline=None, max_examples=50)
def test_the_threshold_is_chosen_on_the_other_half(images: int, thresholds: int, delta: float, seed: int) -> None:
    ious = drawn(images, thresholds, seed=seed)
    assert max_box_acc(ious, delta=delta).tolist() == written_out_accuracy(ious.tolist(), delta)


def test_no_image_chooses_its_own_threshold() -> None:
    # Even images are correct at the first threshold only, odd images at the last: each half chooses the wrong one for
    # the other.
    ious = torch.tensor([[0.9, 0.0], [0.0, 0.9]]).repeat(4, 1)
    assert max_box_acc(ious).tolist() == [0] * 8
    assert max_box_acc(ious[::2]).tolist() == [1] * 4
    assert at_chosen_threshold(ious[::2]).tolist() == pytest.approx([0.9] * 4)
    assert max_box_acc(ious[:1]).isnan().all()
    assert max_box_acc(torch.tensor([[0.9, 0.9, 0.0], [0.6, 0.1, 0.6]])).tolist() == [1, 1], "ties take the lowest"


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: box_ious(INSIDE.float(), torch.zeros(0, 4)), "at least one"),
        (lambda: box_ious(INSIDE.float(), torch.zeros(4)), "N x 4"),
        (lambda: box_ious(INSIDE.float() - 0.5, torch.zeros(1, 4)), "negative"),
        (lambda: box_ious(INSIDE.float(), torch.zeros(1, 4), thresholds=(1.5,)), "thresholds"),
        (lambda: mask_ious(INSIDE.float(), INSIDE[1:]), "height and width must be equal"),
        (lambda: mask_average_precision(INSIDE.float(), ~INSIDE & INSIDE), "empty"),
        (lambda: mask_average_precision(INSIDE.float(), INSIDE[1:]), "height and width must be equal"),
        (lambda: max_box_acc(torch.zeros(3)), "images x thresholds"),
        (lambda: max_box_acc(torch.zeros(0, 3)), "images x thresholds"),
    ],
)
def test_wrong_masks_and_boxes_are_refused(call, word: str) -> None:
    with pytest.raises(InputError, match=word):
        call()
