"""Members: independent searches of one image whose masks are averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskstack import MDM
from maskstack.masks.adam import DampedAdam
from maskstack.masks.presets import SINGLE
from maskstack.masks.search import search
from maskstack.masks.shifts import Margined, even_shifts

SETTINGS = SINGLE.with_(sizes=(2, 4, 8), members=3, steps=8, shift=0.1, slow_fine=0.6, damping=0.5, patience=0)


def corner(images: Tensor, _rows: Tensor) -> Tensor:
    """A score that sees only the upper left quarter."""
    return images[:, :, :8, :8].mean(dim=(1, 2, 3))


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(3)) + 0.5


def test_the_stack_is_the_mean_of_the_members() -> None:
    found = search(corner, images(), settings=SETTINGS)
    assert found.members.shape == (2, 3, 16, 16)
    assert torch.equal(found.stack, found.members.mean(dim=1))
    assert (found.members.std(dim=1) > 0).any()


@pytest.mark.slow
def test_members_find_what_the_score_sees() -> None:
    stack = search(corner, images(), settings=SETTINGS.with_(steps=40)).stack
    inside, outside = stack[:, :8, :8].mean(), stack[:, 8:, 8:].mean()
    assert inside > 2 * outside


@pytest.mark.slow
def test_an_image_gets_the_same_alone_and_in_company() -> None:
    together = search(corner, images(4), settings=SETTINGS).stack
    for row in range(4):
        alone = search(corner, images(4)[row : row + 1], settings=SETTINGS).stack
        assert torch.allclose(alone[0], together[row], atol=1e-4)


def test_each_member_takes_the_steps_of_the_settings() -> None:
    calls = []

    def counted(batch: Tensor, rows: Tensor) -> Tensor:
        calls.append(len(batch) if torch.is_grad_enabled() else 0)
        return corner(batch, rows)

    found = search(counted, images(), settings=SETTINGS)
    assert sum(calls) == 2 * 3 * 8
    assert found.steps.tolist() == [[8] * 3] * 2


def test_the_cost_counts_members() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
    mdm = MDM(net, sizes=(2, 4), members=3, steps=5, keep=0.0)
    explanation = mdm(images(), 1)
    assert explanation.backward_passes.tolist() == [15, 15]
    assert mdm.cost(2)["backward"] == 30
    assert mdm.cost(2)["forward"] == int(explanation.forward_passes.sum())


def test_spread_and_agreement_are_of_the_members() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
    several = MDM(net, sizes=(2, 4), members=3, steps=5, keep=0.0)(images(), 1)
    assert several.spread.shape == several.stack.shape
    assert (several.spread > 0).any()
    assert ((several.agreement >= -1) & (several.agreement <= 1)).all()
    single = MDM(net, preset="single", sizes=(2, 4), steps=5)(images(), 1)
    assert (single.spread == 0).all()
    assert single.agreement.isnan().all()


@given(st.integers(1, 60), st.integers(0, 40))
def test_shifts_stay_within_reach(count: int, reach: int) -> None:
    shifts = even_shifts(count, reach)
    assert shifts.shape == (count, 2)
    assert shifts.abs().amax() <= reach


@given(st.integers(-6, 6), st.integers(-6, 6))
def test_a_shift_is_a_window_of_the_reflected_image(down: int, right: int) -> None:
    image = images(1)
    padded = np.pad(image[0].numpy(), ((0, 0), (6, 6), (6, 6)), mode="reflect")
    expected = padded[:, 6 + down : 22 + down, 6 + right : 22 + right]
    assert np.array_equal(Margined.around(image, 6).view(0, (down, right)).numpy(), expected)


def test_without_damping_it_is_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(3, 2, 4, 4, generator=generator)
    theirs = ours.clone().requires_grad_(True)
    adam = torch.optim.Adam([theirs], lr=0.6)
    damped = DampedAdam(ours, torch.ones_like(ours), torch.full((3, 2, 1, 1), 0.6, dtype=torch.float64), damping=0.0)
    for _ in range(30):
        theirs.grad = torch.randn(3, 2, 4, 4, generator=generator)
        adam.step()
        damped.step(damped.packed(theirs.grad))
    assert torch.allclose(ours, theirs.detach(), atol=1e-5)


def test_damping_holds_back_cells_of_small_gradient() -> None:
    gradient = torch.tensor([[[[1.0, 0.01]]]])
    moved = {}
    for damping in (0.0, 1.0):
        free = torch.zeros(1, 1, 1, 2)
        adam = DampedAdam(free, torch.ones_like(free), torch.ones(1, 1, 1, 1, dtype=torch.float64), damping=damping)
        adam.step(adam.packed(gradient))
        moved[damping] = free.flatten()
    assert moved[0.0][1] == pytest.approx(moved[0.0][0].item(), rel=1e-3)
    assert moved[1.0][1].abs() < 0.05 * moved[1.0][0].abs()
