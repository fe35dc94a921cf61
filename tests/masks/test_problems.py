"""The problems of a batch: how they are laid out, held in range, and when they leave."""

import pytest
import torch

from maskstack.masks.grids import Upsampler
from maskstack.masks.presets import SINGLE
from maskstack.masks.problems import Problems

SIZES = ((2, 2), (3, 5))


def lay_out(images: int = 2, **changes) -> Problems:
    changes = {"sizes": SIZES, "fill": "zero", "stack": "mean", "patience": 2, "tolerance": 0.1, **changes}
    changes = {"removal_every": 0, **changes}
    settings = SINGLE.with_(**changes)
    return Problems.lay_out(images, Upsampler.build(settings.sizes, (8, 8), torch.device("cpu")), settings)


def feed(problems: Problems, *losses: list[float]) -> list[list[bool]]:
    """Record losses step by step for the problems still open; which are open after each step."""
    opened = []
    for step, row in enumerate(losses):
        working = problems.open.nonzero().flatten()
        problems.record(working, torch.tensor(row)[working], step)
        opened.append(problems.open.tolist())
    return opened


def test_joint_problems_are_one_an_image_with_a_grid_of_every_size() -> None:
    problems = lay_out(images=3, joint=True)
    assert problems.image.tolist() == [0, 1, 2]
    assert problems.size.tolist() == [[0, 1]] * 3
    assert problems.free.shape == (3, 2, 3, 5)


def test_separate_problems_are_one_an_image_and_size_images_first() -> None:
    problems = lay_out(images=2, joint=False)
    assert problems.image.tolist() == [0, 0, 1, 1]
    assert problems.size.tolist() == [[0], [1], [0], [1]]
    assert problems.free.shape == (4, 1, 3, 5)


@pytest.mark.parametrize("parametrisation", ["sigmoid", "clip"])
@pytest.mark.parametrize("start", [0.01, 0.5, 0.9])
def test_every_cell_starts_at_the_start_value_and_is_its_own(parametrisation: str, start: float) -> None:
    problems = lay_out(parametrisation=parametrisation, start=start)
    for grid in problems.grids():
        torch.testing.assert_close(grid, torch.full_like(grid, start))
    problems.free[0, 0, 0, 0] += 1
    assert len(problems.free.unique()) == 2, "cells share memory"


@pytest.mark.parametrize("parametrisation", ["sigmoid", "clip"])
def test_values_stay_in_range_wherever_the_optimiser_goes(parametrisation: str) -> None:
    problems = lay_out(parametrisation=parametrisation)
    problems.free = torch.linspace(-50, 50, problems.free.numel()).view(problems.free.shape)
    feed(problems, [1.0, 1.0])
    for grid, masks in zip(problems.grids(), problems.all_masks().unbind(dim=1), strict=True):
        for values in (grid, masks):
            assert values.min() >= 0
            assert values.max() <= 1
        assert (grid.flatten(1).diff() >= 0).all()


def test_clipped_values_come_back_from_the_edge_at_once() -> None:
    problems = lay_out(parametrisation="clip")
    problems.free += 10
    problems.keep_in_range()
    assert problems.free.unique().tolist() == [1]


def test_a_problem_leaves_after_patience_steps_without_improving() -> None:
    problems = lay_out(joint=True)
    opened = feed(problems, [1.0, 1.0], [0.5, 0.95], [0.45, 0.95], [0.3, 9.0])
    assert opened == [[True, True], [True, True], [True, False], [True, False]]
    assert problems.steps.tolist() == [4, 3]
    assert not problems.failed.any()


def test_a_slow_but_steady_fall_counts_from_the_last_best() -> None:
    problems = lay_out(images=1, tolerance=0.1, patience=3)
    assert feed(problems, [1.0], [0.94], [0.88], [0.82], [0.76], [0.70]) == [[True]] * 6


def test_patience_zero_keeps_every_problem() -> None:
    problems = lay_out(patience=0)
    assert feed(problems, *[[1.0, 1.0]] * 30)[-1] == [True, True]
    assert problems.steps.tolist() == [30, 30]


def test_fills_that_take_turns_are_compared_over_a_whole_turn() -> None:
    alternating = [[1.0], [0.2], [0.8], [0.0], [0.6], [-0.2]]
    problems = lay_out(images=1, fill=("zero", "blur"), patience=2, tolerance=0.05)
    assert feed(problems, *alternating) == [[True]] * 6, "the harder fill must not count as getting worse"
    stale = lay_out(images=1, fill=("zero", "blur"), patience=2, tolerance=0.05)
    assert feed(stale, [1.0], [0.2], [1.0], [0.2], [1.0])[-2:] == [[False], [False]]


def test_steps_that_keep_and_steps_that_remove_are_compared_over_a_whole_turn() -> None:
    problems = lay_out(images=1, removal_every=2, patience=2, tolerance=0.05)
    assert feed(problems, [0.2], [1.0], [0.1], [0.9], [0.0], [0.8]) == [[True]] * 6
    stale = lay_out(images=1, removal_every=2, patience=2, tolerance=0.05)
    assert feed(stale, [0.2], [1.0], [0.2], [1.0], [0.2])[-2:] == [[False], [False]]


@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_fails_its_problem_only(bad: float, patience: int) -> None:
    problems = lay_out(patience=patience)
    opened = feed(problems, [1.0, 1.0], [bad, 0.5], [0.0, 0.2])
    assert opened[1:] == [[False, True], [False, True]]
    assert problems.failed.tolist() == [True, False]
    assert problems.steps.tolist() == [2, 3]
