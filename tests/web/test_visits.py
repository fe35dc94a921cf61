"""Visitors are kept apart, and what they leave behind is removed, but nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskstack.web.visits import Visits


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def visits(clock) -> Visits:
    return Visits(forget_after=60, clock=clock)


@pytest.fixture
def file(tmp_path):
    def write(name: str) -> Path:
        path = tmp_path / name
        path.write_text(name)
        return path

    return write


def test_a_key_has_its_own_visit_and_keeps_it(visits) -> None:
    ann = visits.of("ann")
    ann.curves["MDM"] = ([0.0, 1.0], [1.0, 0.0])
    assert visits.of("ann") is ann
    assert visits.of("bob").curves == {}
    visits.of("bob").stop.set()
    assert not ann.stop.is_set()
    assert len(visits) == 2


def test_the_end_stops_the_work_and_removes_the_photos_of_all_tabs(visits, file) -> None:
    first, second, other = file("first.png"), file("second.png"), file("other.png")
    visits.keep_upload("ann", first)
    visits.keep_upload("ann", second, tab="prototypes")
    visits.keep_upload("bob", other)
    ann, bob = visits.of("ann"), visits.of("bob")
    visits.end("ann")
    assert ann.stop.is_set()
    assert not bob.stop.is_set()
    assert [path.exists() for path in (first, second, other)] == [False, False, True]
    assert visits.of("ann") is not ann, "who comes back is somebody new"


def test_the_end_of_somebody_unknown_or_gone_is_no_trouble(visits, file) -> None:
    path = file("photo.png")
    visits.keep_upload("ann", path)
    path.unlink()  # Gradio's own tidying came first
    visits.end("nobody")
    assert len(visits) == 1
    visits.end("ann")
    visits.end("ann")
    assert len(visits) == 0


def test_a_new_photo_removes_the_one_before_it_on_its_tab_alone(visits, file) -> None:
    first, second, third = file("first.png"), file("second.png"), file("third.png")
    visits.keep_upload("ann", first)
    visits.keep_upload("ann", second, tab="prototypes")
    visits.keep_upload("ann", third)
    assert [path.exists() for path in (first, second, third)] == [False, True, True]


def test_the_same_photo_again_stays(visits, file) -> None:
    path = file("photo.png")
    visits.keep_upload("ann", path)
    visits.keep_upload("ann", path)
    assert path.exists()


def test_a_file_that_two_share_goes_with_the_last_of_them(visits, file) -> None:
    shared, own = file("shared.png"), file("own.png")
    visits.keep_upload("ann", shared)
    visits.keep_upload("bob", shared)
    visits.keep_upload("ann", own)
    assert shared.exists(), "bob still has it"
    visits.end("ann")
    assert shared.exists()
    visits.end("bob")
    assert not shared.exists()


def test_a_file_on_both_tabs_goes_with_the_last_of_them(visits, file) -> None:
    both, first, second = file("both.png"), file("first.png"), file("second.png")
    visits.keep_upload("ann", both)
    visits.keep_upload("ann", both, tab="prototypes")
    visits.keep_upload("ann", first)
    assert both.exists()
    visits.keep_upload("ann", second, tab="prototypes")
    assert not both.exists()


def test_a_file_on_both_tabs_goes_at_the_end(visits, file) -> None:
    both = file("both.png")
    visits.keep_upload("ann", both)
    visits.keep_upload("ann", both, tab="prototypes")
    visits.end("ann")
    assert not both.exists()


def test_who_does_nothing_for_long_is_forgotten_when_somebody_else_comes(visits, clock, file) -> None:
    path = file("photo.png")
    visits.keep_upload("ann", path)
    ann = visits.of("ann")
    clock.now += 60
    visits.of("bob")
    assert path.exists(), "not longer than the time, but exactly it"
    clock.now += 1
    visits.of("bob")
    assert not path.exists()
    assert ann.stop.is_set()
    assert len(visits) == 1


def test_every_sign_of_life_counts_anew(visits, clock, file) -> None:
    path = file("photo.png")
    visits.keep_upload("ann", path)
    ann = visits.of("ann")
    for _ in range(4):
        clock.now += 50
        visits.of("ann")
        visits.of("bob")
    assert path.exists()
    assert visits.of("ann") is ann


def test_who_was_away_for_long_finds_the_own_work_again(visits, clock, file) -> None:
    path = file("photo.png")
    visits.keep_upload("ann", path)
    ann = visits.of("ann")
    clock.now += 1000
    assert visits.of("ann") is ann
    assert path.exists()


def test_forgotten_results_leave_the_photo_and_the_look(visits, file) -> None:
    path = file("photo.png")
    visits.keep_upload("ann", path)
    ann = visits.of("ann")
    ann.look, ann.found, ann.curves = object(), object(), {"MDM": ([], [])}
    look = ann.look
    ann.forget_results()
    assert (ann.found, ann.curves, ann.look) == (None, {}, look)
    assert ann.uploads == {"explain": path}
    assert path.exists()
