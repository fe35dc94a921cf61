"""Does the score depend on the pixels that the map marks?"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.toy import MANY_SEEDS, ranked_maps, square_photo, square_score

from maskstack.errors import InputError
from maskstack.metrics import (
    area_under,
    average_drop,
    average_increase,
    blur,
    deletion,
    insertion,
    narrow_blur,
    pixel_curve,
)

SIDE = 12
PATCH = torch.zeros(SIDE, SIDE, dtype=torch.bool)
PATCH[2:6, 5:9] = True
IMAGE = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) + 0.5
FILL = torch.zeros_like(IMAGE)


def patch_score(images: torch.Tensor) -> torch.Tensor:
    return images[:, :, PATCH].mean(dim=(1, 2))


def written_out_curve(score, saliency, start, end, steps: int) -> list[float]:
    """The same curve, computed pixel by pixel with lists."""
    height, width = saliency.shape
    pixels = [(i, j) for i in range(height) for j in range(width)]
    pixels.sort(key=lambda pixel: -saliency[pixel].item())  # a stable sort: reading order among equals
    image, scores, turned = start.clone(), [], 0
    for step in range(steps + 1):
        while turned < round(step * len(pixels) / steps):
            i, j = pixels[turned]
            image[:, i, j] = end[:, i, j]
            turned += 1
        scores.append(score(image.unsqueeze(0)).item())
    return scores


def written_out_area(curve: list[float]) -> float:
    return sum((a + b) / 2 for a, b in pairwise(curve)) / (len(curve) - 1)


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 30),
    st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**31),
)  # fmt: skip
@settings(deadline=None, max_examples=30)
def test_the_curve_is_the_written_out_loop(height, width, steps, levels, batch_size, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    start, end = torch.rand(2, 3, height, width, generator=generator)
    saliency = torch.randint(levels, (height, width), generator=generator).float()  # many equal values
    weights = torch.randn(3, height, width, generator=generator)
    calls = []

    def score(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return (images * weights).sum(dim=(1, 2, 3)).sin()

    curve = pixel_curve(score, saliency, start, end, steps=steps, batch_size=batch_size)
    assert sum(calls) == steps + 1
    assert max(calls) <= batch_size
    torch.testing.assert_close(
        curve, torch.tensor(written_out_curve(score, saliency, start, end, steps)), atol=1e-4, rtol=0
    )
    inserted = insertion(score, end, saliency, start, steps=steps).item()
    deleted = deletion(score, start, saliency, end, steps=steps).item()
    assert inserted == pytest.approx(written_out_area(curve.tolist()), abs=1e-4)
    assert deleted == pytest.approx(inserted, abs=1e-6), "both go from start to end here"


@given(st.integers(0, 2**31), st.integers(1, 200))
@settings(deadline=None, max_examples=20)
def test_the_ends_of_the_curve_are_the_scores_of_the_two_images(seed: int, steps: int) -> None:
    saliency = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    curve = pixel_curve(patch_score, saliency, FILL, IMAGE, steps=steps)
    assert len(curve) == steps + 1
    assert curve[0].item() == 0
    assert curve[-1].item() == pytest.approx(patch_score(IMAGE[None]).item())


def test_insertion_and_deletion_of_a_perfect_map_are_known() -> None:
    # The score of 1 is spread evenly over 16 of 144 pixels, so it is complete after a ninth of the steps.
    perfect, ones = PATCH.float(), torch.ones(3, SIDE, SIDE)
    share = 16 / 144
    assert insertion(patch_score, ones, perfect, FILL, steps=144).item() == pytest.approx(1 - share / 2)
    assert deletion(patch_score, ones, perfect, FILL, steps=144).item() == pytest.approx(share / 2)
    assert insertion(patch_score, ones, -perfect, FILL, steps=144).item() == pytest.approx(share / 2)
    assert deletion(patch_score, ones, -perfect, FILL, steps=144).item() == pytest.approx(1 - share / 2)


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_a_perfect_map_beats_a_random_one_which_beats_the_reverse(seed: int) -> None:
    perfect = PATCH.float()
    chance = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    inserted = [insertion(patch_score, IMAGE, map_, FILL).item() for map_ in (perfect, chance, -perfect)]
    deleted = [deletion(patch_score, IMAGE, map_, FILL).item() for map_ in (perfect, chance, -perfect)]
    assert inserted[0] > inserted[1] > inserted[2]
    assert deleted[0] < deleted[1] < deleted[2]


def test_only_the_order_of_the_map_counts() -> None:
    saliency = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    curves = [pixel_curve(patch_score, each, FILL, IMAGE) for each in (saliency, saliency**3 * 7 - 5)]
    assert torch.equal(*curves)


def test_average_drop_and_increase_equal_their_definitions() -> None:
    before, masked = torch.tensor([0.8, 0.5, 0.4, 0.2]), torch.tensor([0.6, 0.9, 0.4, 0.0])
    assert average_drop(before, masked).tolist() == pytest.approx([0.25, 0, 0, 1])
    assert average_increase(before, masked).tolist() == [0, 1, 0, 0]


def test_a_score_of_nothing_cannot_drop() -> None:
    assert average_drop(torch.zeros(2), torch.tensor([0.0, 0.5])).tolist() == [0, 0]


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30))
@settings(deadline=None, max_examples=40)
def test_the_area_is_numpys_and_within_the_scores(scores: list[float]) -> None:
    area = area_under(torch.tensor(scores, dtype=torch.float64)).item()
    assert area == pytest.approx(np.trapezoid(scores, np.linspace(0, 1, len(scores))))
    assert min(scores) - 1e-9 <= area <= max(scores) + 1e-9


@pytest.mark.parametrize("seed", MANY_SEEDS)
@pytest.mark.parametrize("fill", ["zero", "wide", "narrow"])
def test_where_the_evidence_lies_beats_chance_beats_the_reverse(seed: int, fill: str) -> None:
    image = square_photo(seed)
    onto = {"zero": torch.zeros_like(image), "wide": blur(image, sigma=5), "narrow": narrow_blur(image)}[fill]
    inserted = [insertion(square_score, image, map_, onto).item() for map_ in ranked_maps(seed)]
    deleted = [deletion(square_score, image, map_, onto).item() for map_ in ranked_maps(seed)]
    assert inserted == sorted(inserted, reverse=True)
    assert deleted == sorted(deleted)
    assert inserted[0] - inserted[2] > 0.1
    assert deleted[2] - deleted[0] > 0.1


def test_what_makes_no_curve_is_refused() -> None:
    saliency = torch.rand(SIDE, SIDE)
    for bad in ({"steps": 0}, {"batch_size": 0}):
        with pytest.raises(InputError, match="at least 1"):
            pixel_curve(patch_score, saliency, FILL, IMAGE, **bad)
    with pytest.raises(InputError, match="height and width must be equal"):
        pixel_curve(patch_score, saliency[1:], FILL, IMAGE)
