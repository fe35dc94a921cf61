"""A search tells after every step what its masks show and hide, as the score says of these images by themselves."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import fields

import pytest
import torch

from maskstack.masks.presets import SINGLE
from maskstack.masks.result import Progress, SearchResult
from maskstack.masks.search import search
from maskstack.masks.settings import SearchSettings

STEPS = 9


def quick(**changes) -> SearchSettings:
    changes = {
        "sizes": ((4, 4), (8, 6)), "steps": STEPS, "patience": 0, "fill": ("zero",), "batch_size": 8, **changes,
    }  # fmt: skip
    return SINGLE.with_(**changes)


def told(net_score, photos, settings) -> list[tuple[Progress, torch.Tensor]]:
    """What was told after each step, with the stack as it was then."""
    heard: list[tuple[Progress, torch.Tensor]] = []
    search(net_score, photos, settings=settings, progress=lambda at: heard.append((at, at.preview().detach().clone())))
    assert [at.step for at, _ in heard] == list(range(1, settings.steps + 1))
    return heard


def by_hand(net_score, photos, masks: torch.Tensor) -> torch.Tensor:
    """Activation of what masks show of the photos, P x H x W, with nothing behind it."""
    return net_score(photos * masks.unsqueeze(1), torch.arange(len(photos)))


@pytest.mark.parametrize("every", [2, 3])
def test_kept_and_left_are_the_scores_of_what_is_shown_and_hidden(net_score, photos, every: int) -> None:
    heard = told(net_score, photos, quick(removal_every=every))
    kept = left = torch.full((len(photos),), torch.nan)
    # A step asks about the mask it finds, which is the one that the step before it left.
    mask = torch.full_like(photos[:, 0], SINGLE.start)
    for at, after in heard:
        if at.step % every == 0:
            left = by_hand(net_score, photos, 1 - mask)
        else:
            kept = by_hand(net_score, photos, mask)
        torch.testing.assert_close(at.shown_score, kept, atol=1e-5, rtol=1e-5, equal_nan=True)
        torch.testing.assert_close(at.hidden_score, left, atol=1e-5, rtol=1e-5, equal_nan=True)
        mask = after
    assert not torch.allclose(heard[0][0].shown_score, heard[-1][0].shown_score, atol=1e-3), "the masks hardly moved"


def test_what_was_not_asked_for_is_nan_for_every_image(net_score, photos) -> None:
    first, second, third = [at for at, _ in told(net_score, photos, quick(removal_every=3, steps=3))]
    assert first.hidden_score.isnan().all()
    assert second.hidden_score.isnan().all()
    assert third.hidden_score.isfinite().all()
    assert first.shown_score.isfinite().all()
    never = [at for at, _ in told(net_score, photos, quick(removal_every=0))]
    assert all(at.hidden_score.isnan().all() and at.shown_score.isfinite().all() for at in never)


def test_the_fill_of_the_step_is_behind_what_is_shown(net_score, photos) -> None:
    given = torch.randn(3, 32, 24, generator=torch.Generator().manual_seed(5))
    heard: list[Progress] = []
    settings = quick(fill=("zero", "given"), removal_every=0, steps=2, start=0.3)
    search(net_score, photos, settings=settings, fill_image=given, progress=heard.append)
    rows = torch.arange(len(photos))
    torch.testing.assert_close(heard[0].shown_score, net_score(0.3 * photos, rows), atol=1e-5, rtol=1e-5)
    found = search(net_score, photos, settings=settings.with_(steps=1), fill_image=given)
    mask = found.stack.unsqueeze(1)
    torch.testing.assert_close(
        heard[1].shown_score, net_score(mask * photos + (1 - mask) * given, rows), atol=1e-5, rtol=1e-5
    )


def test_sizes_of_their_own_are_told_image_by_image(net_score, photos) -> None:
    settings = quick(joint=False, removal_every=0, steps=2)
    before = search(net_score, photos, settings=settings.with_(steps=1))
    heard: list[Progress] = []
    search(net_score, photos, settings=settings, progress=heard.append)
    expected = torch.stack([by_hand(net_score, photos, before.masks[:, size]) for size in range(2)], dim=1)
    torch.testing.assert_close(heard[1].shown_score, expected.flatten(), atol=1e-5, rtol=1e-5)
    assert len(heard[1].hidden_score) == heard[1].problems == 2 * len(photos)


def test_what_was_told_does_not_change_afterwards(net_score, photos) -> None:
    copies: list[tuple[torch.Tensor, torch.Tensor]] = []
    heard: list[Progress] = []

    def listen(at: Progress) -> None:
        heard.append(at)
        copies.append((at.shown_score.clone(), at.hidden_score.clone()))

    search(net_score, photos, settings=quick(removal_every=2), progress=listen)
    for at, (kept, left) in zip(heard, copies, strict=True):
        torch.testing.assert_close(at.shown_score, kept, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(at.hidden_score, left, rtol=0, atol=0, equal_nan=True)


def test_listening_changes_nothing(net_score, photos) -> None:
    silent = search(net_score, photos, settings=quick())
    heard = search(net_score, photos, settings=quick(), progress=lambda at: at.preview() is not None)
    assert torch.equal(silent.stack, heard.stack)
    assert torch.equal(silent.steps, heard.steps)


def test_progress_runs_through_the_groups_of_a_large_batch(net_score, photos) -> None:
    settings = quick(batch_size=2)
    heard: list[Progress] = []
    whole = search(net_score, photos, settings=settings, progress=heard.append)
    assert [at.step for at in heard] == list(range(1, 3 * STEPS + 1))
    assert {at.steps for at in heard} == {3 * STEPS}
    assert [len(at.preview()) for at in heard[::STEPS]] == [2, 2, 1]
    torch.testing.assert_close(heard[-1].preview(), whole.stack[4:])
    stopped = search(net_score, photos, settings=settings, progress=lambda at: at.step < 4)
    assert stopped.steps[:, 0].tolist() == [4, 4, 1, 1, 1]


@pytest.mark.slow
def test_of_a_large_batch_only_what_was_found_is_kept(net_score, photos) -> None:
    settings = quick(batch_size=2)
    whole = search(net_score, photos, settings=settings)
    let_go: list[weakref.ref[SearchResult]] = []

    def groups() -> Iterator[SearchResult]:
        for first in range(0, len(photos), 2):
            assert all(group() is None for group in let_go), "a group's result is held while the next is searched for"
            group = search(net_score, photos[first : first + 2], settings=settings)
            let_go.append(weakref.ref(group))
            yield group
            del group

    gathered = SearchResult.gathered(groups(), len(photos))
    assert len(let_go) == 3
    for field in fields(SearchResult):
        torch.testing.assert_close(getattr(gathered, field.name), getattr(whole, field.name), rtol=0, atol=0)
