"""How sizes become one map."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from maskstack.masks.stack import STACKS, stack_masks
from maskstack.tensors import minmax


def random_masks(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.sampled_from(STACKS))
@settings(deadline=None, max_examples=60)
def test_a_stack_is_one_map_an_image_between_zero_and_one(seed, images, sizes, side, rule) -> None:
    masks = random_masks(seed, images, sizes, side, side + 1)
    stack = stack_masks(masks, rule)
    assert stack.shape == (images, side, side + 1)
    assert stack.min() >= 0
    assert stack.max() <= 1
    torch.testing.assert_close(stack_masks(masks.flip(1), rule), stack, msg="the order of the sizes must not matter")
    torch.testing.assert_close(stack_masks(masks[:1], rule), stack[:1], msg="images must not mix")


def test_the_mean_and_the_geometric_mean_are_numpys_and_scipys() -> None:
    masks = random_masks(0, 2, 3, 5, 6) + 1e-3
    np.testing.assert_allclose(stack_masks(masks, "mean").numpy(), masks.numpy().mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(stack_masks(masks, "geometric").numpy(), stats.gmean(masks.numpy(), axis=1), rtol=1e-4)


def test_log_odds_are_pooled_as_probabilities_are() -> None:
    masks = random_masks(0, 2, 3, 5, 6) * 0.98 + 0.01
    pooled = special.expit(special.logit(masks.double().numpy()).mean(axis=1))
    np.testing.assert_allclose(stack_masks(masks, "log_odds").numpy(), pooled, rtol=1e-4)


def test_in_log_odds_a_size_that_is_sure_outvotes_one_that_is_not() -> None:
    masks = torch.tensor([0.001, 0.6, 0.999]).view(3, 1, 1)
    pairs = torch.stack([masks[[0, 1]], masks[[2, 1]]])
    assert stack_masks(pairs, "log_odds").flatten().tolist() == pytest.approx([0.0373, 0.9748], abs=1e-3)


def test_the_geometric_mean_closes_where_any_size_is_closed() -> None:
    masks = torch.ones(1, 2, 2, 2)
    masks[0, 1, 0, 0] = 0
    stack = stack_masks(masks, "geometric")[0]
    assert stack[0, 0] < 0.01
    assert stack.flatten()[1:].tolist() == pytest.approx([1, 1, 1])


def test_the_normalised_stack_gives_a_faint_size_an_equal_say() -> None:
    strong, faint = torch.zeros(2, 4, 4)
    strong[0, 0], faint[3, 3] = 1, 0.1
    masks = torch.stack([strong, faint]).unsqueeze(0)
    assert stack_masks(masks, "normalised")[0, [0, 3], [0, 3]].tolist() == [0.5, 0.5]
    assert stack_masks(masks, "mean")[0, [0, 3], [0, 3]].tolist() == pytest.approx([0.5, 0.05])


SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))


@given(st.integers(0, 2**31), SHAPES, st.floats(1e-3, 1e3), st.floats(-100, 100))
@settings(deadline=None, max_examples=60)
def test_minmax_is_idempotent_and_keeps_the_order(seed: int, shape, scale: float, shift: float) -> None:
    maps = random_masks(seed, *shape) * scale + shift
    scaled = minmax(maps)
    assert torch.equal(minmax(scaled), scaled)
    for before, after in zip(maps, scaled, strict=True):
        assert after.min() == 0
        assert after.max() == (0 if before.max() - before.min() <= 1e-6 else 1)
        order = before.flatten().argsort()
        assert (after.flatten()[order].diff() >= 0).all()


@given(st.floats(-1e3, 1e3, width=32))
@settings(deadline=None, max_examples=30)
def test_a_flat_map_becomes_zero_without_disturbing_the_others(value: float) -> None:
    maps = torch.stack([torch.full((3, 3), value), torch.arange(9.0).view(3, 3)])
    scaled = minmax(maps)
    assert not scaled[0].any()
    torch.testing.assert_close(scaled[1], torch.arange(9.0).view(3, 3) / 8)


def test_rounding_errors_are_not_scaled_up() -> None:
    assert not minmax(torch.tensor([[0.5, 0.5 + 1e-7], [0.5, 0.5]])).any()
