"""How much does the map change when the image hardly changes?"""

import pytest
import torch
from captum.metrics import sensitivity_max
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.toy import drawn

from maskstack.errors import InputError
from maskstack.metrics import max_sensitivity

WEIGHTS = drawn(3, 9, 8, seed=7) - 0.5


@torch.enable_grad()  # Captum calls it without gradients.
def gradient_map(image: torch.Tensor) -> torch.Tensor:
    """Map of a nonlinear score, which depends on the image."""
    image = image.detach().requires_grad_()
    ((image * WEIGHTS).sum().sin() + (image**3 * WEIGHTS).sum()).backward()
    return image.grad.abs().amax(dim=0)


@given(st.floats(1e-3, 0.5), st.integers(1, 6), st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_it_is_captums_on_the_same_changes(radius, samples, seed) -> None:
    image = drawn(3, 9, 8, seed=seed)
    seen = []

    def explain(moved: torch.Tensor) -> torch.Tensor:
        seen.append(moved)
        return gradient_map(moved)

    value = max_sensitivity(
        explain, image, radius=radius, samples=samples, generator=torch.Generator().manual_seed(seed)
    )
    assert torch.equal(seen.pop(0), image)
    assert len(seen) == samples
    assert all((moved - image).abs().max() <= radius + 1e-6 for moved in seen)
    changes = iter(seen)
    theirs = sensitivity_max(
        lambda inputs: (gradient_map(inputs[0][0])[None],),
        (image[None],),
        perturb_func=lambda inputs, radius: (next(changes)[None],),
        n_perturb_samples=samples,
        max_examples_per_batch=1,
    )
    assert value.item() == pytest.approx(theirs.item(), rel=1e-4)


def test_the_sensitivity_of_a_map_that_grows_with_the_image_is_known() -> None:
    # The map is the image, so its change is the noise, and many of its values are close to the radius.
    image = torch.full((1, 50, 50), 2.0)
    value = max_sensitivity(lambda each: each[0], image, radius=0.3, generator=torch.Generator().manual_seed(0))
    assert value.item() == pytest.approx(0.3 / 3**0.5 / 2, rel=0.05)


def test_changes_are_even_in_the_cube_and_the_same_for_the_same_generator() -> None:
    state, seen = torch.get_rng_state(), []

    def explain(moved: torch.Tensor) -> torch.Tensor:
        seen.append(moved)
        return moved[0]

    image = torch.ones(1, 100, 100)
    for _ in range(2):
        max_sensitivity(
            explain, image, radius=0.5, samples=1, generator=torch.Generator().manual_seed(3), original=image[0]
        )
    assert torch.equal(*seen)
    assert torch.equal(torch.get_rng_state(), state)
    change = (seen[0] - 1).flatten()
    assert change.histc(10, min=-0.5, max=0.5).min() > 850


def test_known_maps_are_not_made_again_and_scale_does_not_count() -> None:
    image, calls = drawn(3, 9, 8), []

    def explain(moved: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient_map(moved) * 100

    values = [
        max_sensitivity(each, image, generator=torch.Generator().manual_seed(0), original=each(image))
        for each in (gradient_map, explain)
    ]
    assert len(calls) == 11
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-4)


def test_steady_maps_do_not_move_and_maps_of_zeros_say_nothing() -> None:
    assert max_sensitivity(lambda _: torch.ones(9, 8), drawn(3, 9, 8)).item() == 0
    assert max_sensitivity(lambda _: torch.zeros(9, 8), drawn(3, 9, 8)).isnan()
    assert max_sensitivity(lambda each: each[0], drawn(3, 9, 8), original=torch.zeros(9, 8)).isnan()


@pytest.mark.parametrize("bad", [{"samples": 0}, {"radius": 0.0}, {"radius": -1.0}, {"radius": float("nan")}])
def test_no_sample_and_no_radius_are_refused(bad) -> None:
    with pytest.raises(InputError, match="radius"):
        max_sensitivity(gradient_map, drawn(3, 9, 8), **bad)


def test_a_map_of_another_size_than_the_original_is_refused() -> None:
    with pytest.raises(InputError, match=r"a map of 8 x 8, and the original map is 4 x 4; return one size"):
        max_sensitivity(lambda _: torch.ones(8, 8), drawn(3, 8, 8), original=torch.ones(4, 4))
