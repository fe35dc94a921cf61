"""The most salient pixels, and what is refused as a map."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstack.errors import InputError
from maskstack.metrics import keep_top
from maskstack.metrics.order import check_map
from maskstack.tensors import ranks


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.booleans(), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_ranks_are_those_of_a_stable_sort(height, width, levels, descending, seed) -> None:
    saliency = torch.randint(levels, (height, width), generator=torch.Generator().manual_seed(seed)).float()
    values = saliency.flatten().tolist()
    order = sorted(range(len(values)), key=lambda pixel: -values[pixel] if descending else values[pixel])
    rank = ranks(saliency, descending=descending).flatten().tolist()
    assert [order[place] for place in rank] == list(range(len(values)))


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(1, 4), st.integers(0, 2**31))
@settings(deadline=None, max_examples=60)
def test_exactly_that_share_is_kept_and_none_left_is_greater(height, width, share, levels, seed) -> None:
    saliency = torch.randint(levels, (height, width), generator=torch.Generator().manual_seed(seed)).float()
    kept = keep_top(saliency, share)
    assert kept.dtype == torch.bool
    assert kept.sum().item() == round(share * height * width)
    if kept.any() and not kept.all():
        assert saliency[kept].min() >= saliency[~kept].max()
    assert torch.equal(kept, keep_top(saliency.exp() * 3 - 7, share)), "only the order counts"


def test_a_constant_map_is_kept_in_reading_order() -> None:
    assert keep_top(torch.ones(2, 4)).tolist() == [[True] * 4, [False] * 4]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        keep_top(torch.ones(2, 2), share)


@pytest.mark.parametrize(
    ("saliency", "word"),
    [
        (torch.ones(1, 4, 4), "H x W"),
        (torch.ones(0, 4), "H x W"),
        (torch.ones(5, 4), "height and width must be equal"),
        (torch.full((4, 4), torch.nan), "NaN"),
        (-torch.ones(4, 4), "negative"),
    ],
)
def test_wrong_maps_are_refused(saliency: torch.Tensor, word: str) -> None:
    with pytest.raises(InputError, match=word):
        check_map(saliency, image=torch.ones(3, 4, 4), positive=True)
