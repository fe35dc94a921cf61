"""Work beside its owner: in order, one at a time, its results in the owner's thread, its errors not lost."""

import contextlib
import threading

import pytest

from maskstack.jobs.beside import Beside


def test_work_runs_in_another_thread_and_its_results_come_in_order_in_this_one() -> None:
    found: list[tuple[int, bool]] = []
    with Beside() as beside:
        for number in range(3):
            beside.run(
                lambda number=number: (number, threading.current_thread() is not threading.main_thread()), found.append
            )
            assert len(found) == number, "at most one piece of work waits"
    assert found == [(0, True), (1, True), (2, True)]


def test_an_error_comes_with_the_next_work_or_at_the_end() -> None:
    def fails() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Beside() as beside:
        beside.run(fails, lambda _: pytest.fail("there is no result"))
    started = []
    with Beside() as beside:
        beside.run(fails, lambda _: None)
        with pytest.raises(OSError, match="disk full"):
            beside.run(lambda: started.append(1), lambda _: None)
    assert not started


def test_what_was_begun_is_finished_after_an_error_of_the_owner() -> None:
    found: list[int] = []
    with contextlib.suppress(KeyboardInterrupt), Beside() as beside:
        beside.run(lambda: 1, found.append)
        raise KeyboardInterrupt
    assert found == [1]
