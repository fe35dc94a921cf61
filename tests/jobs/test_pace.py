"""The remaining time: right where maps take about as long as each other, also after a slow first one."""

import random

import pytest

from maskstack.jobs.pace import Pace


@pytest.mark.parametrize("seed", range(20))
def test_the_remaining_time_is_right_within_30_percent(seed: int) -> None:
    draw = random.Random(seed)
    took = [30.0] + [draw.uniform(1, 3) for _ in range(200)]
    now = 0.0
    pace = Pace(len(took), lambda: now)
    for number, seconds in enumerate(took):
        pace.at(number)
        if 8 <= number <= 150:
            assert pace.remaining() == pytest.approx(sum(took[number:]), rel=0.3)
        now += seconds


def test_a_machine_that_becomes_busy_is_noticed() -> None:
    now = 0.0
    pace = Pace(100, lambda: now)
    for number in range(60):
        pace.at(number)
        now += 1 if number < 25 else 4
    pace.at(60)
    assert pace.remaining() == pytest.approx(160, rel=0.1)


def test_nothing_is_said_before_the_first_map_and_nothing_negative_after_the_last() -> None:
    now = 0.0
    pace = Pace(2, lambda: now)
    assert pace.remaining() is None
    pace.at(0)
    assert pace.remaining() is None
    now = 5.0
    pace.at(1)
    now = 100.0
    assert pace.remaining() == 0
