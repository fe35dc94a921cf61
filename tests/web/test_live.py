"""A watched search finds what an unwatched one finds, and ends when it is told to."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import nn

from maskstack import MDM
from maskstack.errors import InputError
from maskstack.masks.result import Progress
from maskstack.web.live import SEARCH, Snapshot, live


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 4)
    )


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))


def searcher(net: nn.Module, *, steps: int) -> MDM:
    return MDM(net.eval(), preset="single", sizes=(3, 6), steps=steps, patience=0)


def watch(watching):
    """Everything a generator yields, and what it returns."""
    seen = []
    while True:
        try:
            seen.append(next(watching))
        except StopIteration as end:
            return seen, end.value


def searching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == SEARCH]


@pytest.mark.slow
def test_every_step_is_seen_and_nothing_is_changed_by_watching(net, images) -> None:
    mdm, told = searcher(net, steps=7), []

    def tell(at: Progress) -> None:
        told.append((float(at.shown_score[0]), float(at.hidden_score[0]), at.preview()[0]))

    alone = mdm(images, 1, progress=tell)
    stop = threading.Event()

    def slowly(tell):
        # A step that is over before the one who watches wakes up would be passed over.
        def step(at: Progress) -> bool | None:
            told_so = tell(at)
            time.sleep(0.1)
            return told_so

        return mdm(images, 1, progress=step)

    seen, found = watch(live(slowly, stop, every=0))
    assert [(one.step, one.steps) for one in seen] == [(step, 7) for step in range(1, 8)]
    for one, (_, _, stack) in zip(seen, told, strict=True):
        assert torch.equal(one.stack, stack)
    for what, values in (("shown_scores", 0), ("hidden_scores", 1)):
        expected = torch.tensor([each[values] for each in told])
        last = torch.tensor(getattr(seen[-1], what))
        torch.testing.assert_close(last, expected, rtol=0, atol=0, equal_nan=True)
        assert [len(getattr(one, what)) for one in seen] == list(range(1, 8))
    assert torch.equal(found.saliency, alone.saliency)
    assert [one.seconds for one in seen] == sorted(one.seconds for one in seen)
    assert not stop.is_set(), "a search that ends by itself was not stopped"
    assert not searching()


@pytest.mark.slow
def test_snapshots_are_no_more_often_than_asked_but_forget_no_step() -> None:
    times = [0.0, 0.02, 0.04, 0.3, 0.32]

    def work(tell):
        pause = threading.Event()
        for step, (before, now) in enumerate(zip([0.0, *times], times, strict=False), start=1):
            pause.wait(now - before)
            tell(Standing(step))
        return "found"

    seen, found = watch(live(work, threading.Event(), every=0.2))
    assert found == "found"
    assert [one.step for one in seen] == [1, 4]
    assert seen[1].shown_scores == (1.0, 2.0, 3.0, 4.0)
    assert seen[1].seconds >= 0.2


@pytest.mark.parametrize("ending", [{"steps": 3}, {"open": 0}])
def test_the_last_step_is_always_seen(ending: dict[str, int]) -> None:
    def work(tell):
        for step in (1, 2, 3):
            at = Standing(step)
            for name, value in ending.items() if step == 3 else ():
                setattr(at, name, value)
            tell(at)
        return "found"

    seen, _ = watch(live(work, threading.Event(), every=100))
    assert [(one.step, one.last) for one in seen][-1] == (3, True)
    assert not any(one.last for one in seen[:-1])


class Standing:
    """A search of a hundred steps, after one of them."""

    def __init__(self, step: int) -> None:
        self.step, self.steps, self.open = step, 100, 1
        self.shown_score, self.hidden_score = torch.tensor([float(step), -1.0]), torch.tensor([torch.nan, -1.0])

    def preview(self) -> torch.Tensor:
        return torch.stack([torch.full((2, 2), self.step / 100), torch.ones(2, 2)])


def test_a_snapshot_is_of_the_first_image() -> None:
    watching = live(lambda tell: tell(Standing(3)), threading.Event(), every=0)
    first = next(watching)
    assert torch.equal(first.stack, torch.full((2, 2), 0.03))
    assert first.shown_scores == (3.0,)
    assert first.hidden_scores[0] != first.hidden_scores[0]


@pytest.mark.slow
def test_stop_ends_the_search_with_what_was_found(net, images) -> None:
    stop = threading.Event()
    mdm = searcher(net, steps=100_000)
    watching = live(lambda tell: mdm(images, 1, progress=tell), stop, every=0)
    first = next(watching)
    stop.set()
    rest, found = watch(watching)
    last = [first, *rest][-1]
    assert int(found.steps[0].max()) == last.step < 100_000
    assert torch.equal(found.stack[0, 0].cpu(), last.stack)
    assert not searching()


def test_a_stop_that_came_before_leaves_one_step(net, images) -> None:
    stop = threading.Event()
    stop.set()
    seen, found = watch(live(lambda tell: searcher(net, steps=50)(images, 1, progress=tell), stop))
    assert [one.step for one in seen] == [1]
    assert int(found.steps.max()) == 1


@pytest.mark.slow
def test_who_leaves_ends_the_search(net, images) -> None:
    stop, mdm = threading.Event(), searcher(net, steps=100_000)
    watching = live(lambda tell: mdm(images, 1, progress=tell), stop, every=0)
    next(watching)
    assert searching()
    watching.close()
    assert stop.is_set()
    assert not searching()


@pytest.mark.parametrize("steps", [0, 2])
def test_a_failure_is_the_watchers_after_what_was_seen_before(steps: int) -> None:
    def work(tell):
        for step in range(1, steps + 1):
            tell(Standing(step))
        raise InputError("the class is out of range")

    stop, seen = threading.Event(), []
    watching = live(work, stop, every=0)
    with pytest.raises(InputError, match="out of range"):
        seen.extend(one.step for one in watching)
    assert seen[-1:] == ([steps] if steps else [])
    assert seen == sorted(set(seen))
    assert not stop.is_set()
    assert not searching()


@pytest.mark.parametrize(
    ("step", "seconds", "left"), [(1, 0.0, 0.0), (2, 0.5, 5.5), (5, 2.0, 4.0), (13, 9.0, 0.0)], ids=str
)
def test_the_time_left_is_as_the_steps_until_now_went(step: int, seconds: float, left: float) -> None:
    # Seconds count from the end of the first step, so they are those of one step less.
    snapshot = Snapshot(step, 13, seconds, torch.zeros(1, 1), (), ())
    assert snapshot.seconds_left == pytest.approx(left)


@pytest.mark.slow
def test_who_is_slow_sees_the_newest_and_not_what_was_before() -> None:
    steps, seen = 20, []

    def work(tell) -> str:
        for step in range(1, steps + 1):
            tell(Progress(step, steps, 1, 1, 0.0, torch.zeros(1), torch.zeros(1), lambda: torch.zeros(1, 2, 2)))
            time.sleep(0.02)
        return "found"

    for snapshot in live(work, threading.Event(), every=0):
        seen.append(snapshot.step)
        time.sleep(0.1)
    assert seen == sorted(set(seen))
    assert len(seen) < steps / 2
