"""Which region does the map mean, and how does it overlap with the annotated one?"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score
from tests.metrics.toy import drawn

from maskstack.errors import InputError
from maskstack.prototypes.metrics import iou_at, peak_box

SEEDS = st.integers(0, 2**31)
SIZES = st.integers(1, 12)


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: peak_box(torch.ones(10, 80)), "side"),
        (lambda: peak_box(torch.ones(10, 8), side=0), "from 1"),
        (lambda: peak_box(torch.ones(1, 8, 8), side=2), "H x W"),
        (lambda: peak_box(torch.full((8, 8), torch.nan), side=2), "NaN"),
    ],
)
def test_what_has_no_box_is_refused(call, word: str) -> None:
    with pytest.raises(InputError, match=word):
        call()
