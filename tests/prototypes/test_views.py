"""Augmented views: known afterwards, and the same whatever else is drawn."""

import dataclasses
import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskstack.prototypes.losses import affine_consistency
from maskstack.prototypes.views import PLAIN, AugmentedView, draw_view

NUMBERS = st.integers(1, 1000)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def written_out(view: AugmentedView, image: Tensor) -> Tensor:
    """Each of the view's pixels, from the four of the image round the place it looks at."""
    _, height, width = image.shape
    found = torch.zeros_like(image)

    def mirrored(index: int, size: int) -> int:
        index %= 2 * size
        return index if index < size else 2 * size - 1 - index

    for i in range(height):
        for j in range(width):
            x, y = (2 * j + 1) / width - 1, (2 * i + 1) / height - 1
            across, down = (row[0] * x + row[1] * y + row[2] for row in view.warp)
            column, row = ((across + 1) * width - 1) / 2, ((down + 1) * height - 1) / 2
            left, top = math.floor(column), math.floor(row)
            for a, b in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                share = (1 - abs(row - a)) * (1 - abs(column - b))
                found[:, i, j] += share * image[:, mirrored(a, height), mirrored(b, width)]
    return found * view.gain + view.offset


def test_number_0_is_the_image_as_it_is() -> None:
    image = drawn(3, 5, 7)
    assert draw_view(4, "a", 0) is PLAIN
    assert torch.equal(PLAIN(image), image)
    assert PLAIN.theta.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_a_mirror_is_torchs_flip_and_light_is_what_is_said() -> None:
    image = drawn(3, 5, 7)
    mirror = AugmentedView(((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    torch.testing.assert_close(mirror(image), image.flip(2))
    lit = dataclasses.replace(mirror, gain=1.2, offset=-0.1)
    torch.testing.assert_close(lit(image), image.flip(2) * 1.2 - 0.1)
    torch.testing.assert_close(AugmentedView(gain=0.5, offset=2.0)(image), 0.5 * image + 2)


@given(st.integers(0, 50), NUMBERS, st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None, max_examples=20)
def test_a_view_is_the_written_out_loop(seed: int, number: int, height: int, width: int) -> None:
    view, image = draw_view(seed, "a photo", number), drawn(2, height, width, seed=number)
    torch.testing.assert_close(view(image), written_out(view, image), atol=1e-4, rtol=1e-4)


@given(st.integers(0, 50), NUMBERS)
@settings(deadline=None, max_examples=20)
def test_a_map_that_goes_with_the_image_is_consistent_by_the_views_theta(seed: int, number: int) -> None:
    view, image = dataclasses.replace(draw_view(seed, "a photo", number), gain=1.0, offset=0.0), drawn(3, 12, 16)
    thetas = view.theta.unsqueeze(0)
    assert affine_consistency(view(image).unsqueeze(0), image.unsqueeze(0), thetas).item() < 0.02, "but at the border"
    assert affine_consistency(image.unsqueeze(0), image.unsqueeze(0), thetas).item() > 0.1


def test_the_same_view_comes_again_whatever_else_is_drawn() -> None:
    first = draw_view(3, "one", 2)
    random.seed(7)
    torch.manual_seed(7)
    state, torchs = random.getstate(), torch.get_rng_state()
    draw_view(3, "other", 2)
    assert draw_view(3, "one", 2) == first
    assert random.getstate() == state, "nobody else's chance is used"
    assert torch.equal(torch.get_rng_state(), torchs)
    # Cached features of an earlier version are used again, so a number may never come to stand for another view.
    assert first.warp[1] == pytest.approx((0.02758465771, 0.84762929558, -0.14005358345))
    assert (first.gain, first.offset) == pytest.approx((1.05168246393, 0.07383806258))


def test_seed_name_and_number_each_make_another_view() -> None:
    views = {draw_view(seed, name, number) for seed in range(3) for name in ("a", "b") for number in range(1, 6)}
    assert len(views) == 30
    assert draw_view(1, "1/1", 1) != draw_view(1, "1", 11)


def test_views_stay_within_what_is_promised_and_half_are_mirrored() -> None:
    views = [draw_view(0, "a", number) for number in range(1, 2001)]
    areas, ratios, turns, mirrored = [], [], [], 0
    for view in views:
        (a, b, right), (c, d, down) = view.warp
        determinant = a * d - b * c
        wide, high = math.hypot(a, c), math.hypot(b, d)
        mirrored += determinant < 0
        areas.append(abs(determinant))
        ratios.append(wide / high)
        turns.append(abs(math.degrees(math.atan2(-b, d))))
        assert max(wide, high) <= 1 + 1e-9
        assert abs(right) <= 1 - wide + 1e-9, "unturned, it lies in the image"
        assert abs(down) <= 1 - high + 1e-9
        assert 0.75 <= view.gain <= 1.25
        assert abs(view.offset) <= 0.25
    assert 0.6 - 1e-9 <= min(areas) < 0.62
    assert 0.95 < max(areas) <= 1 + 1e-9
    assert 3 / 4 - 1e-9 <= min(ratios) < 0.8
    assert 1.25 < max(ratios) <= 4 / 3 + 1e-9
    assert 11 < max(turns) <= 12 + 1e-9
    assert 0.45 < mirrored / len(views) < 0.55
