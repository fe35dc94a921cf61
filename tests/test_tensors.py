"""Functions on images, maps and scores: their properties, and agreement with scipy's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional

from maskstack import tensors
from maskstack.tensors import TINY, filtered, gaussian_blur, mean_agreement, minmax, rank_agreement, ranks, score_scale

SEEDS = st.integers(0, 2**31)
SIDES = st.integers(1, 9)


def random_maps(seed: int, *shape: int, levels: int = 0) -> torch.Tensor:
    """Normally distributed values; of so many levels only, if asked for, so that some are equal."""
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return (values * levels).round() if levels else values


@given(SIDES, SIDES, st.floats(0, 6), st.floats(-100, 100, width=32))
@settings(deadline=None, max_examples=20)
def test_a_blur_keeps_constants(height: int, width: int, sigma: float, value: float) -> None:
    constant = torch.full((1, 2, height, width), value)
    torch.testing.assert_close(gaussian_blur(constant, sigma), constant, rtol=1e-5, atol=1e-5)


@given(SEEDS, st.floats(0.1, 4))
@settings(deadline=None, max_examples=20)
def test_a_blur_is_linear_and_blurs_each_channel_by_itself(seed: int, sigma: float) -> None:
    one, other = random_maps(seed, 2, 1, 2, 7, 8)
    both = gaussian_blur(one + 2 * other, sigma)
    torch.testing.assert_close(both, gaussian_blur(one, sigma) + 2 * gaussian_blur(other, sigma), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gaussian_blur(one, sigma)[:, 1:], gaussian_blur(one[:, 1:], sigma))


@pytest.mark.parametrize("padding", ["replicate", "reflect", "constant"])
@pytest.mark.parametrize("shape", [(3, 2, 9, 40), (2, 1, 5, 12, 9), (1, 1, 7, 600)])
def test_matrices_in_chunks_filter_as_convolutions_do(
    shape: tuple[int, ...], padding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, kernel = random_maps(0, *shape), torch.tensor([1.0, 2.0, 4.0, 2.0, 1.0]) / 10
    expected = images
    for axis in range(2, images.ndim):
        planes = expected.movedim(axis, -1)
        padded = functional.pad(planes.reshape(-1, 1, planes.shape[-1]), (2, 2), mode=padding)
        expected = functional.conv1d(padded, kernel.view(1, 1, -1)).reshape(planes.shape).movedim(-1, axis)
    torch.testing.assert_close(filtered(images, kernel, padding=padding), expected, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(tensors, "_CHUNK", 1)
    torch.testing.assert_close(filtered(images, kernel, padding=padding), expected, rtol=1e-5, atol=1e-5)


def test_a_kernel_of_one_changes_nothing_and_zeros_outside_darken_the_edge() -> None:
    image = torch.ones(1, 1, 5, 5)
    assert torch.equal(filtered(image, torch.ones(1), padding="replicate"), image)
    third = torch.full((3,), 1 / 3)
    found = filtered(image, third, padding="constant")[0, 0]
    assert found[2, 2].item() == pytest.approx(1)
    assert found[0, 2].item() == pytest.approx(2 / 3)
    assert found[0, 0].item() == pytest.approx(4 / 9)


@given(SEEDS, SIDES, SIDES, st.floats(1e-3, 1e3), st.floats(-100, 100))
@settings(deadline=None, max_examples=40)
def test_minmax_is_from_0_to_1_or_zero(seed: int, height: int, width: int, scale: float, shift: float) -> None:
    scaled = minmax(random_maps(seed, 3, height, width) * scale + shift)
    assert scaled.amin() >= 0
    assert scaled.amax() <= 1
    for each in scaled:
        assert (float(each.min()), float(each.max())) in ((0, 1), (0, 0))


@given(SEEDS, SIDES, SIDES, st.booleans())
@settings(deadline=None, max_examples=40)
def test_ranks_are_each_place_once_in_the_order_of_the_values(
    seed: int, height: int, width: int, descending: bool
) -> None:
    values = random_maps(seed, height, width, levels=2)
    places = ranks(values, descending=descending).flatten()
    assert places.sort().values.tolist() == list(range(height * width))
    ordered = values.flatten()[places.argsort()].diff()
    assert ((ordered <= 0) if descending else (ordered >= 0)).all()


@pytest.mark.slow
@given(SEEDS, st.integers(2, 4), st.integers(2, 6), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_rank_agreement_is_scipys_spearman_and_symmetric(seed: int, maps: int, side: int, levels: int) -> None:
    values = random_maps(seed, maps, side, side, levels=levels)
    found = rank_agreement(values)
    torch.testing.assert_close(found, found.T, rtol=0, atol=1e-12)
    assert found.abs().max() <= 1
    flat = values.flatten(1)
    for row in range(maps):
        for column in range(maps):
            constant = [bool((flat[index] == flat[index, 0]).all()) for index in (row, column)]
            if any(constant):
                expected = float(all(constant))
            else:
                expected = stats.spearmanr(flat[row].numpy(), flat[column].numpy()).statistic
            assert found[row, column].item() == pytest.approx(expected, abs=1e-6)


def test_agreement_with_nan_is_nan_and_one_map_has_no_pair() -> None:
    maps = random_maps(0, 3, 4, 5)
    maps[1, 0, 0] = torch.nan
    found = rank_agreement(maps)
    assert found[1].isnan().all()
    assert found[0, 2].isfinite()
    assert mean_agreement(maps[:1]).isnan()
    np.testing.assert_allclose(mean_agreement(maps[[0, 2]]).item(), found[0, 2].item())


@given(st.floats(-1e4, 1e4, width=32), st.floats(-1e4, 1e4, width=32))
@settings(deadline=None)
def test_a_score_that_falls_to_that_of_nothing_loses_at_most_one_unit(before: float, hidden: float) -> None:
    scale = score_scale(torch.tensor([before]), torch.tensor([hidden]))
    assert scale >= TINY
    assert abs(before - hidden) <= scale.item() * (1 + 1e-6)
