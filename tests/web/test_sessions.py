"""Visitors are kept apart, and what they leave behind is removed, but nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskstack.web.sessions import Sessions


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
def sessions(clock) -> Sessions:
    return Sessions(forget_after=60, clock=clock)


@pytest.fixture
def file(tmp_path):
    def write(name: str) -> Path:
        path = tmp_path / name
        path.write_text(name)
        return path

    return write


@pytest.fixture
def keep(sessions, file):
    """Uploads a file of that name for a user, and gives its path."""

    def upload(key: str, name: str, tab: str = "explain") -> Path:
        path = file(name)
        sessions.keep_upload(key, path, tab=tab)
        return path

    return upload


def test_a_key_has_its_own_visit_and_keeps_it(sessions) -> None:
    ann = sessions.of("ann")
    ann.curves["MDM"] = ([0.0, 1.0], [1.0, 0.0])
    assert sessions.of("ann") is ann
    assert sessions.of("bob").curves == {}
    sessions.of("bob").stop.set()
    assert not ann.stop.is_set()
    assert len(sessions) == 2


def test_the_end_stops_the_work_and_removes_the_photos_of_all_tabs(sessions, keep) -> None:
    mine, yours = [keep("ann", "first.png"), keep("ann", "second.png", "prototypes")], keep("bob", "other.png")
    ann, bob = sessions.of("ann"), sessions.of("bob")
    sessions.end("ann")
    assert ann.stop.is_set()
    assert not bob.stop.is_set()
    assert [path.exists() for path in (*mine, yours)] == [False, False, True]
    assert sessions.of("ann") is not ann, "who comes back is somebody new"


def test_the_end_of_somebody_unknown_or_gone_is_no_trouble(sessions, keep) -> None:
    keep("ann", "photo.png").unlink()  # Gradio's own tidying came first
    sessions.end("nobody")
    assert len(sessions) == 1
    sessions.end("ann")
    sessions.end("ann")
    assert len(sessions) == 0


def test_a_new_photo_removes_the_one_before_it_on_its_tab_alone(keep) -> None:
    paths = [keep("ann", "first.png"), keep("ann", "second.png", "prototypes"), keep("ann", "third.png")]
    assert [path.exists() for path in paths] == [False, True, True]


def test_the_same_photo_again_stays(sessions, file) -> None:
    path = file("photo.png")
    sessions.keep_upload("ann", path)
    sessions.keep_upload("ann", path)
    assert path.exists()


def test_a_file_that_two_share_goes_with_the_last_of_them(sessions, file) -> None:
    shared, own = file("shared.png"), file("own.png")
    sessions.keep_upload("ann", shared)
    sessions.keep_upload("bob", shared)
    sessions.keep_upload("ann", own)
    assert shared.exists(), "bob still has it"
    sessions.end("ann")
    assert shared.exists()
    sessions.end("bob")
    assert not shared.exists()


def test_a_file_on_both_tabs_goes_with_the_last_of_them(sessions, file) -> None:
    both, first, second = file("both.png"), file("first.png"), file("second.png")
    sessions.keep_upload("ann", both)
    sessions.keep_upload("ann", both, tab="prototypes")
    sessions.keep_upload("ann", first)
    assert both.exists()
    sessions.keep_upload("ann", second, tab="prototypes")
    assert not both.exists()


def test_a_file_on_both_tabs_goes_at_the_end(sessions, file) -> None:
    both = file("both.png")
    sessions.keep_upload("ann", both)
    sessions.keep_upload("ann", both, tab="prototypes")
    sessions.end("ann")
    assert not both.exists()


def test_who_does_nothing_for_long_is_forgotten_when_somebody_else_comes(sessions, clock, file) -> None:
    path = file("photo.png")
    sessions.keep_upload("ann", path)
    ann = sessions.of("ann")
    clock.now += 60
    sessions.of("bob")
    assert path.exists(), "not longer than the time, but exactly it"
    clock.now += 1
    sessions.of("bob")
    assert not path.exists()
    assert ann.stop.is_set()
    assert len(sessions) == 1


def test_every_sign_of_life_counts_anew(sessions, clock, file) -> None:
    path = file("photo.png")
    sessions.keep_upload("ann", path)
    ann = sessions.of("ann")
    for _ in range(4):
        clock.now += 50
        sessions.of("ann")
        sessions.of("bob")
    assert path.exists()
    assert sessions.of("ann") is ann


def test_who_was_away_for_long_finds_the_own_work_again(sessions, clock, file) -> None:
    path = file("photo.png")
    sessions.keep_upload("ann", path)
    ann = sessions.of("ann")
    clock.now += 1000
    assert sessions.of("ann") is ann
    assert path.exists()


def test_forgotten_results_leave_the_photo_and_the_look(sessions, file) -> None:
    path = file("photo.png")
    sessions.keep_upload("ann", path)
    ann = sessions.of("ann")
    ann.predicted, ann.found, ann.curves = object(), object(), {"MDM": ([], [])}
    predicted = ann.predicted
    ann.forget_results()
    assert (ann.found, ann.curves, ann.predicted) == (None, {}, predicted)
    assert ann.uploads == {"explain": path}
    assert path.exists()
