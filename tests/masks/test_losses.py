"""The loss terms: consistency, area, smoothness, and the scale of a score."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maskstack.masks.losses import CONSISTENCIES, consistency, mask_value, total_variation
from maskstack.tensors import TINY, score_scale

NUMBERS = st.floats(-1e4, 1e4, width=32)


def tensor(value: float) -> torch.Tensor:
    return torch.tensor([value])


@pytest.mark.slow
@given(NUMBERS, st.lists(NUMBERS, min_size=1, max_size=3))
@settings(deadline=None)
def test_the_scale_is_the_larger_of_size_and_distance_and_never_zero(reference: float, hidden: list[float]) -> None:
    scale = score_scale(tensor(reference), torch.tensor(hidden).unsqueeze(1)).item()
    written_out = max(abs(reference), *(abs(reference - each) for each in hidden), TINY)
    assert scale == pytest.approx(written_out, rel=1e-5)


def test_one_fill_may_come_without_its_dimension() -> None:
    reference, hidden = torch.tensor([2.0, -1.0, 0.0]), torch.tensor([1.0, 3.0, 0.0])
    assert torch.equal(score_scale(reference, hidden), score_scale(reference, hidden.unsqueeze(0)))


@pytest.mark.parametrize("kind", CONSISTENCIES)
@given(reference=NUMBERS, hidden=NUMBERS)
@settings(deadline=None)
def test_from_the_images_activation_to_nothings_is_at_most_one_unit(kind: str, reference: float, hidden: float) -> None:
    scale = score_scale(tensor(reference), tensor(hidden))
    assert consistency(tensor(reference), tensor(reference), scale, kind).item() == 0
    lost = consistency(tensor(hidden), tensor(reference), scale, kind).item()
    assert 0 <= lost <= 1 + 1e-5
    farther = abs(reference - hidden) >= max(abs(reference), TINY)
    if farther and (hidden < reference or kind != "one_sided"):
        assert lost == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("reference", "hidden", "activation", "expected"),
    [
        (0.8, 0.0, 0.4, 0.5),  # plain
        (0.8, 0.0, 0.9, -0.125),
        (-2.0, -6.0, -4.0, 0.5),  # a negative reference above nothing's activation
        (-2.0, -6.0, -1.0, -0.25),
        (0.0, -4.0, -1.0, 0.25),  # a reference of zero
        (0.0, 0.0, 0.0, 0.0),  # nothing to hold on to
    ],
)
def test_each_kind_of_consistency_is_what_is_written_out(reference, hidden, activation, expected) -> None:
    scale = score_scale(tensor(reference), tensor(hidden))

    def loss(kind: str) -> float:
        return consistency(tensor(activation), tensor(reference), scale, kind).item()

    assert loss("one_sided") == pytest.approx(max(expected, 0))
    assert loss("squared") == pytest.approx(expected**2)
    assert loss("absolute") == pytest.approx(abs(expected))


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
@settings(deadline=None)
def test_a_lower_activation_never_costs_less_one_sidedly(reference, hidden, one, other) -> None:
    assume(one <= other)
    scale = score_scale(tensor(reference), tensor(hidden))
    low, high = (consistency(tensor(value), tensor(reference), scale).item() for value in (one, other))
    assert low >= high >= 0


def test_a_score_that_is_kept_but_for_rounding_has_no_slope() -> None:
    scores = torch.tensor([0.8 - 1e-7, 0.8 + 1e-7, 0.8 - 1e-6, 0.79], requires_grad=True)
    loss = consistency(scores, torch.tensor(0.8), torch.tensor(0.8))
    (slope,) = torch.autograd.grad(loss.sum(), scores)
    assert loss.tolist() == pytest.approx([0, 0, 0, 0.0125], abs=1e-7)
    assert slope.tolist() == pytest.approx([0, 0, 0, -1.25])


def test_the_mask_value_is_the_open_share() -> None:
    masks = torch.zeros(2, 4, 6)
    masks[1, :2, :3] = 1
    assert mask_value(masks).tolist() == [0, 0.25]


SIDES = st.integers(2, 9)


@given(SIDES, SIDES, st.integers(2, 5), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_total_variation_is_the_same_at_every_resolution(height: int, width: int, times: int, seed: int) -> None:
    mask = torch.rand(1, height, width, generator=torch.Generator().manual_seed(seed))
    finer = mask.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)
    torch.testing.assert_close(total_variation(finer), total_variation(mask), rtol=1e-5, atol=1e-6)


def test_total_variation_is_the_contour_in_units_of_the_side() -> None:
    half, square, flat = torch.zeros(3, 40, 60)
    half[:20] = 1
    square[10:20, 15:45] = 1
    masks = torch.stack([half, square, flat + 0.7])
    # Across the whole width once; twice half the width and twice a quarter of the height.
    assert total_variation(masks).tolist() == pytest.approx([0.5, (2 * 0.5 + 2 * 0.25) / 2, 0], abs=1e-3)


def test_a_flat_mask_has_no_slope_that_rounding_could_turn() -> None:
    rough = (0.5 + 1e-7 * torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))).requires_grad_(True)
    (slope,) = torch.autograd.grad(total_variation(rough).sum(), rough)
    assert slope.abs().max() < 1e-3 * 2 / 16


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_total_variation_is_the_written_out_loop(height: int, width: int, seed: int) -> None:
    mask = torch.rand(height, width, generator=torch.Generator().manual_seed(seed))
    rows = mask.tolist()

    def size(difference: float) -> float:
        return abs(difference) - 5e-4 if abs(difference) > 1e-3 else difference**2 / 2e-3

    down = sum(size(rows[i + 1][j] - rows[i][j]) for i in range(height - 1) for j in range(width)) / width
    across = sum(size(rows[i][j + 1] - rows[i][j]) for i in range(height) for j in range(width - 1)) / height
    found = total_variation(mask.unsqueeze(0)).item()
    assert math.isclose(found, (down + across) / 2, rel_tol=1e-4, abs_tol=1e-6)
