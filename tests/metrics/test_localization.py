"""Does the map lie on the annotated object?"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstack.metrics import energy_in_box, pointing_game

INSIDE = torch.zeros(6, 8, dtype=torch.bool)
INSIDE[1:4, 2:5] = True


def test_energy_is_all_none_or_the_share_of_the_area() -> None:
    assert energy_in_box(INSIDE.float() * 0.3, INSIDE).item() == pytest.approx(1)
    assert energy_in_box(1 - INSIDE.float(), INSIDE).item() == 0
    assert energy_in_box(torch.full((6, 8), 0.7), INSIDE).item() == pytest.approx(9 / 48)
    assert energy_in_box(torch.zeros(6, 8), INSIDE).item() == 0


@given(st.integers(0, 2**31), st.floats(0.01, 100))
@settings(deadline=None, max_examples=30)
def test_energy_is_the_written_out_share_whatever_the_scale(seed: int, scale: float) -> None:
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
