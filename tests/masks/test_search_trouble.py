"""The search's fills, and what it does when it is stopped, short of memory or handed what it cannot use."""

from dataclasses import replace

import pytest
import torch
from tests.masks.toys import IMAGES, assert_same, two_sizes

from maskstack.errors import InputError, ModelError
from maskstack.masks.result import Progress
from maskstack.masks.search import search
from maskstack.reliability.measure import BLANK
from maskstack.tensors import blend


def test_progress_tells_each_step_and_previews_the_stack(score) -> None:
    states: list[Progress] = []
    previews = []

    def progress(state: Progress) -> None:
        states.append(state)
        previews.append(state.preview())

    found = search(score, IMAGES, settings=two_sizes(removal_every=0), progress=progress)
    assert [state.step for state in states] == [1, 2, 3, 4, 5, 6]
    assert {(state.steps, state.problems, state.open) for state in states} == {(6, 8, 8)}
    assert states[-1].loss < states[0].loss
    assert torch.equal(previews[-1], found.stack)
    assert not torch.equal(previews[0], previews[-1])
    assert not previews[0].requires_grad


@pytest.mark.parametrize("answer", [False, None, True, 0])
def test_only_a_progress_that_returns_false_stops(score, answer) -> None:
    found = search(score, IMAGES, settings=two_sizes(), progress=lambda state: answer if state.step == 2 else None)
    steps = 2 if answer is False else 6
    assert found.steps.unique().tolist() == [steps]
    assert_same(found, search(score, IMAGES, settings=two_sizes(steps=steps)))


def test_an_error_in_progress_comes_through(score) -> None:
    def progress(_state: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(score, IMAGES, settings=two_sizes(), progress=progress)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("fits", [1, 3, 5])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.slow
def test_too_little_memory_gives_the_same_masks(score, joint: bool, fits: int, backward: bool) -> None:
    refused = []

    class Greedy(torch.autograd.Function):
        @staticmethod
        def forward(_context, images: torch.Tensor) -> torch.Tensor:
            return images.clone()

        @staticmethod
        def backward(_context, gradient: torch.Tensor) -> torch.Tensor:
            check(gradient)
            return gradient

    def check(images: torch.Tensor) -> None:
        if len(images) > fits:
            refused.append(len(images))
            raise torch.OutOfMemoryError("CUDA out of memory")

    def limited(images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        if backward:
            return score(Greedy.apply(images), rows)
        check(images)
        return score(images, rows)

    settings = two_sizes(joint=joint, fill=("noise", "zero"))
    assert_same(search(limited, IMAGES, settings=settings), search(score, IMAGES, settings=settings))
    assert len(refused) <= 4, "memory that ran out was asked for again and again"
    assert refused or fits >= (4 if joint else 8)


def test_an_image_that_does_not_fit_alone_is_a_model_error(score) -> None:
    def never(_images: torch.Tensor, _rows: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ModelError, match="one image alone does not fit in memory"):
        search(never, IMAGES, settings=two_sizes())


def test_it_works_inside_no_grad_and_leaves_the_images_alone(score) -> None:
    images = IMAGES.clone().requires_grad_(True)
    with torch.no_grad():
        inside = search(score, images, settings=two_sizes())
    assert_same(inside, search(score, IMAGES, settings=two_sizes()))
    assert images.grad is None
    assert torch.equal(images, IMAGES)
    assert not any(grid.requires_grad for grid in inside.grids)
    assert not inside.stack.requires_grad


def test_noise_is_that_of_the_seed(score) -> None:
    first, same, other = (
        search(score, IMAGES, settings=two_sizes(fill=("noise",), steps=6, seed=seed)).stack for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert (first - other).abs().max() > 1e-3
    state = torch.get_rng_state()
    search(score, IMAGES, settings=two_sizes(fill=("noise",), steps=2))
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers were touched"


def test_the_given_fill_is_what_shows_where_the_mask_is_closed(score) -> None:
    fill = torch.randn(3, 16, 20, generator=torch.Generator().manual_seed(9))
    found = search(score, IMAGES, settings=two_sizes(fill=("given",)), fill_image=fill)
    expected = score(fill.unsqueeze(0), torch.zeros(1)).item()
    assert found.hidden[:, 0].tolist() == pytest.approx([expected] * 4, abs=1e-5)
    with pytest.raises(InputError, match="needs an image"):
        search(score, IMAGES, settings=two_sizes(fill=("given",)))
    with pytest.raises(InputError, match="does not broadcast"):
        search(score, IMAGES, settings=two_sizes(fill=("given",)), fill_image=fill[:, :5])


def test_a_grid_finer_than_the_image_is_refused_before_any_pass(score) -> None:
    def never(_images: torch.Tensor, _rows: torch.Tensor) -> torch.Tensor:
        pytest.fail("the network was asked")

    with pytest.raises(InputError, match="17 x 17 cells is larger than the image of 16 x 20"):
        search(never, IMAGES, settings=two_sizes(sizes=(2, 17)))


def test_blend_shows_the_image_where_open_and_the_fill_where_closed() -> None:
    image, fill = torch.full((1, 3, 2, 2), 4.0), torch.full((1, 3, 2, 2), -4.0)
    masks = torch.tensor([[[0.0, 1.0], [0.5, 0.25]]])
    expected = torch.tensor([[-4.0, 4.0], [0.0, -2.0]]).expand(1, 3, 2, 2)
    assert torch.equal(blend(masks, image, fill), expected)


@pytest.mark.parametrize(
    ("hidden", "of_one_class", "of_two"),
    [((0.1, 0.2), False, False), ((0.1, 1.5), True, False), ((1.2, 1.5), True, True)],
)
def test_a_fill_that_scores_as_high_by_chance_does_not_spoil_a_comparison(score, hidden, of_one_class, of_two) -> None:
    found = search(score, IMAGES[:1], settings=two_sizes())
    found = replace(found, before=torch.tensor([1.0]), hidden=torch.tensor([hidden]), under_stack=torch.tensor([1.0]))
    for compares, blank in ((False, of_one_class), (True, of_two)):
        (problem,) = found.problems(("zero", "mean"), compares=compares)
        assert (problem == BLANK) is blank


def test_a_blurred_image_that_scores_as_high_is_no_blank_image(score) -> None:
    found = search(score, IMAGES[:1], settings=two_sizes())
    found = replace(found, before=torch.tensor([1.0]), under_stack=torch.tensor([1.0]))
    soft = replace(found, hidden=torch.tensor([[0.1, 1.0, 0.0]]))
    assert soft.problems(("zero", "blur", "mean")) == (None,)
    assert soft.problems(("zero", "mean", "blur")) == (BLANK,)
    alone = replace(found, hidden=torch.tensor([[1.0]]))
    assert alone.problems(("blur",)) == ("with blur instead of the image, the score is as high",)
    assert replace(found, hidden=torch.ones(1, 2)).problems(("blur", "noise"))[0].startswith("with blur and noise")


def test_the_logarithm_is_proposed_only_where_the_score_is_a_probability(score) -> None:
    found = search(score, IMAGES[:1], settings=two_sizes())
    found = replace(
        found, before=torch.tensor([1.0]), hidden=torch.tensor([[0.0, 0.0]]), under_stack=torch.tensor([0.1])
    )
    words = "over the search's own fills, the map keeps less than half of the score"
    assert found.problems(("zero", "mean")) == (words,)
    assert found.problems(("zero", "mean"), probability=True) == (f"{words}; try the objective log_probability",)
