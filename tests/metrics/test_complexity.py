"""How few pixels does the map mark?"""

import math

import numpy as np
import pytest
import quantus
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.metrics.toy import drawn

from maskstack.errors import InputError
from maskstack.metrics import entropy, gini

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(SIZES, st.integers(1, 6), st.integers(0, 2**31))
@settings(deadline=None, max_examples=50)
def test_both_equal_their_definitions(size, levels, seed) -> None:
    saliency = torch.randint(levels + 1, size, generator=torch.Generator().manual_seed(seed)).double()
    saliency.view(-1)[0] = 1
    values = saliency.flatten().tolist()
    count, total = len(values), sum(values)
    assert entropy(saliency).item() == pytest.approx(stats.entropy(values), abs=1e-9)
    # The Gini index by its other definition: half the relative mean difference of all pairs.
    differences = sum(abs(one - other) for one in values for other in values)
    assert gini(saliency).item() == pytest.approx(differences / (2 * count * total), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_both_are_those_of_quantus(seed: int) -> None:
    saliency = drawn(10, 9, seed=seed).double() ** (seed + 1)
    batch = saliency.numpy()[None, None]
    settings_ = {"abs": True, "normalise": False, "disable_warnings": True, "display_progressbar": False}
    asked = {"model": None, "x_batch": batch, "y_batch": np.zeros(1, int), "device": "cpu"}
    sparse, complex_ = quantus.Sparseness(**settings_), quantus.Complexity(**settings_)
    # Quantus adds 1e-7 to every value of the sparseness and changes its argument in place.
    assert gini(saliency).item() == pytest.approx(sparse(a_batch=batch.copy(), **asked)[0], abs=1e-5)
    assert entropy(saliency).item() == pytest.approx(complex_(a_batch=batch.copy(), **asked)[0], abs=1e-5)


@given(SIZES, st.floats(1e-6, 1e6), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_neither_depends_on_scale_or_place_and_both_stay_in_range(size, scale, seed) -> None:
    saliency = drawn(*size, seed=seed).double()
    count = saliency.numel()
    moved = saliency.flatten()[torch.randperm(count, generator=torch.Generator().manual_seed(seed))].view(size)
    for metric in (entropy, gini):
        assert metric(moved * scale).item() == pytest.approx(metric(saliency).item(), abs=1e-6)
    assert -1e-9 <= entropy(saliency).item() <= math.log(count) + 1e-9
    assert 0 <= gini(saliency).item() <= 1 - 1 / count + 1e-9


@pytest.mark.parametrize("value", [0, 1e-30, 0.4, 1e30])
def test_a_constant_map_the_map_of_zeros_too_speaks_of_all_pixels(value: float) -> None:
    saliency = torch.full((6, 8), value)
    assert entropy(saliency).item() == pytest.approx(math.log(48))
    assert gini(saliency).item() == pytest.approx(0, abs=1e-6)


def test_a_single_pixel_is_simple_and_sparse() -> None:
    saliency = torch.zeros(6, 8)
    saliency[2, 3] = 0.3
    assert entropy(saliency).item() == 0
    assert gini(saliency).item() == pytest.approx(1 - 1 / 48)
    assert gini(saliency).dtype == entropy(saliency).dtype == saliency.dtype
    assert gini(saliency > 0).item() == pytest.approx(1 - 1 / 48), "booleans are a map, too"


def test_gathering_the_map_lowers_entropy_and_raises_gini() -> None:
    saliency = drawn(12, 12)
    entropies = [entropy(saliency**power).item() for power in (1, 2, 4)]
    ginis = [gini(saliency**power).item() for power in (1, 2, 4)]
    assert entropies == sorted(entropies, reverse=True)
    assert ginis == sorted(ginis)


@pytest.mark.parametrize("metric", [entropy, gini])
def test_negative_values_are_refused(metric) -> None:
    with pytest.raises(InputError, match="negative"):
        metric(drawn(4, 4) - 0.5)
