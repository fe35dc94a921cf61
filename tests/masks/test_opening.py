"""Opening a map after the search until the score is back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskstack import HDM, MDM
from maskstack.masks.opening import MOST_LOST, OPENINGS, opened
from maskstack.masks.search import search
from maskstack.masks.settings import SearchSettings
from maskstack.tensors import minmax, rank_agreement


def closed_to(threshold: float):
    """A loss that is there until the mean of the map reaches a threshold."""
    return lambda maps, rows: (threshold - maps.mean(dim=(1, 2))).clamp_min(0)


@pytest.mark.slow
@given(st.floats(0.05, 0.95), st.integers(0, 1000), st.floats(1e-3, 1))
def test_the_least_opening_that_keeps_the_score_is_found_and_keeps_the_order(
    threshold: float, seed: int, scale: float
) -> None:
    stack = scale * torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(seed)) ** 3
    wider, opening = opened(stack, closed_to(threshold), allowed=0.0)
    for row in range(3):
        log_odds = minmax(stack[row]).logit(eps=1e-6)
        kept = [minmax((log_odds + more).sigmoid()).mean().item() >= threshold for more in OPENINGS]
        lost = threshold - minmax(stack[row]).mean().item()
        assert opening[row].item() == (OPENINGS[kept.index(True)] if any(kept) else 4.5 if lost > MOST_LOST else 0)
    for maps in zip(stack, wider, strict=True):
        assert rank_agreement(torch.stack(maps))[0, 1] > 0.999
    assert (minmax(wider) >= minmax(stack) - 1e-5).all()


def test_each_map_is_opened_by_itself_and_only_while_it_has_to_be() -> None:
    calls: list[list[int]] = []

    def loss(maps: Tensor, rows: Tensor) -> Tensor:
        calls.append(rows.tolist())
        return closed_to(0.5)(maps, rows)

    ramp = torch.linspace(0, 1, 16).view(4, 4)
    stack = torch.stack([ramp.sqrt(), ramp.square()])
    wider, opening = opened(stack, loss, allowed=0.0)
    assert calls == [[0, 1], [1], [1], [1]]
    assert opening.tolist() == [0.0, 1.5]
    torch.testing.assert_close(wider[0], ramp.sqrt(), atol=2e-6, rtol=0)  # a map that keeps the score stays as it is


def test_where_nothing_helps_the_best_opening_is_taken() -> None:
    def loss(maps: Tensor, _rows: Tensor) -> Tensor:
        return 1 + (maps.mean(dim=(1, 2)) - 0.63).abs()

    _, opening = opened(torch.linspace(0, 1, 16).view(1, 4, 4), loss, allowed=0.0)
    assert opening.item() == 1.0


def needs_much(images: Tensor, _rows: Tensor) -> Tensor:
    """A score that needs most of the image, the right side more than the left."""
    return (1.5 * (images.mean(dim=(1, 2)) * torch.linspace(0, 2, 16)).mean(dim=1)).clamp(max=1)


def test_a_search_that_closed_too_far_is_opened_until_its_map_keeps_the_score() -> None:
    images = torch.ones(1, 3, 16, 16)
    settings = SearchSettings(
        sizes=(2, 4), steps=30, members=1, mask_weight=30.0, removal_every=3, fill="zero", keep=0.0
    )
    left = search(needs_much, images, settings=settings)
    kept = search(needs_much, images, settings=settings.with_(keep=1.0))
    assert left.opening.item() == 0
    assert kept.opening.item() > 0
    under = [needs_much(minmax(found.stack).unsqueeze(1) * images, torch.zeros(1)).item() for found in (left, kept)]
    assert under[1] > under[0]
    assert under[1] == pytest.approx(1)
    assert torch.equal(kept.members, left.members)


@pytest.mark.parametrize("method", [MDM, HDM])
def test_the_passes_of_opening_are_part_of_the_cost(method: type) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    costs = [method(net, keep=keep).cost(1)["forward"] for keep in (0.0, 1.0)]
    assert costs[1] - costs[0] == len(OPENINGS)
