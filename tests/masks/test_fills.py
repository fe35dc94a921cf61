"""What shows where a mask is closed."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from maskstack.errors import InputError
from maskstack.masks.fills import FILLS, make_fill
from maskstack.tensors import gaussian_blur


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 2, 11, 17, generator=generator(5)) * torch.tensor([1.0, 4.0]).view(2, 1, 1) + 2


SIGMAS = st.floats(0.05, 12)
SIDES = st.integers(1, 24)


@given(SIDES, SIDES, SIGMAS, st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_blur_is_scipys_gaussian_filter(height: int, width: int, sigma: float, seed: int) -> None:
    images = torch.randn(2, 2, height, width, generator=generator(seed))
    radius = math.ceil(3 * sigma)
    expected = ndimage.gaussian_filter(images.double().numpy(), sigma, mode="nearest", radius=radius, axes=(2, 3))
    np.testing.assert_allclose(gaussian_blur(images, sigma).numpy(), expected, atol=2e-5)


@given(SIDES, SIDES, SIGMAS, st.floats(-100, 100, width=32))
@settings(deadline=None, max_examples=12)
def test_blur_keeps_constants_and_stays_between_the_extremes(height, width, sigma, value) -> None:
    constant = torch.full((1, 1, height, width), value)
    torch.testing.assert_close(gaussian_blur(constant, sigma), constant, rtol=1e-5, atol=1e-5)
    images = torch.rand(1, 1, height, width, generator=generator(1))
    blurred = gaussian_blur(images, sigma)
    assert images.min() - 1e-5 <= blurred.min() <= blurred.max() <= images.max() + 1e-5


def test_blur_spreads_a_point_without_losing_any_of_it() -> None:
    point = torch.zeros(1, 1, 31, 31)
    point[..., 15, 15] = 1
    blurred = gaussian_blur(point, 3)
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(blurred, blurred.mT)
    torch.testing.assert_close(blurred, blurred.flip(-1))
    assert blurred.argmax() == point.argmax()


def test_no_blur_changes_nothing(images) -> None:
    assert torch.equal(gaussian_blur(images, 0), images)
    assert torch.equal(make_fill("blur", images, blur=0, generator=generator()), images)


@pytest.mark.parametrize("name", [name for name in FILLS if name != "given"])
def test_an_image_has_the_same_fill_alone_and_in_company(name: str, images) -> None:
    together = make_fill(name, images, generator=generator())
    assert together.shape == images.shape
    for row in range(len(images)):
        alone = make_fill(name, images[row : row + 1], generator=generator())
        torch.testing.assert_close(alone[0], together[row], msg=lambda text: f"{name}: {text}")


def test_zero_is_zero_and_mean_is_each_channels_mean(images) -> None:
    assert not make_fill("zero", images, generator=generator()).any()
    mean = make_fill("mean", images, generator=generator())
    expected = np.broadcast_to(images.numpy().mean(axis=(2, 3), keepdims=True), images.shape)
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-5)


def test_the_blur_is_a_share_of_the_shorter_side(images) -> None:
    filled = make_fill("blur", images, blur=0.2, generator=generator())
    torch.testing.assert_close(filled, gaussian_blur(images, 0.2 * 11))
    turned = make_fill("blur", images.mT, blur=0.2, generator=generator())
    torch.testing.assert_close(turned, filled.mT)


def test_noise_has_the_images_own_mean_and_spread() -> None:
    images = torch.randn(2, 3, 128, 128, generator=generator(1)) * torch.tensor([0.5, 1, 5]).view(3, 1, 1) + 7
    noise = make_fill("noise", images, generator=generator(2))
    torch.testing.assert_close(noise.mean(dim=(2, 3)), images.mean(dim=(2, 3)), rtol=0.05, atol=0.05)
    torch.testing.assert_close(noise.std(dim=(2, 3)), images.std(dim=(2, 3)), rtol=0.05, atol=0)
    correlation = np.corrcoef(noise[0, 0].flatten(), images[0, 0].flatten())[0, 1]
    assert abs(correlation) < 0.05, "noise must not show the image"


def test_noise_is_that_of_the_seed_and_new_with_each_draw(images) -> None:
    one = generator(1)
    first, second = make_fill("noise", images, generator=one), make_fill("noise", images, generator=one)
    assert torch.equal(first, make_fill("noise", images, generator=generator(1)))
    assert not torch.equal(first, second)
    assert not torch.equal(first, make_fill("noise", images, generator=generator(2)))


def test_noise_over_a_plain_image_is_that_plain_image() -> None:
    for side in (8, 1):
        plain = torch.full((1, 3, side, side), 0.25)
        torch.testing.assert_close(make_fill("noise", plain, generator=generator()), plain)


@pytest.mark.parametrize("shape", [(), (1,), (2, 1, 1), (2, 11, 17), (1, 2, 11, 17), (3, 2, 11, 17)])
def test_a_given_fill_broadcasts_to_the_images(images, shape) -> None:
    given = torch.randn(shape, generator=generator(3), dtype=torch.float64)
    filled = make_fill("given", images, generator=generator(), given=given)
    assert filled.dtype == images.dtype
    np.testing.assert_array_equal(filled.numpy(), np.broadcast_to(given.float().numpy(), images.shape))


def test_a_given_fill_that_cannot_be_used_is_refused(images) -> None:
    with pytest.raises(InputError, match="needs an image: pass it as fill_image"):
        make_fill("given", images, generator=generator())
    with pytest.raises(InputError, match=r"shape \(2, 5, 5\), which does not broadcast to .*\(3, 2, 11, 17\)"):
        make_fill("given", images, generator=generator(), given=torch.zeros(2, 5, 5))
    with pytest.raises(InputError, match="NaN or infinite"):
        make_fill("given", images, generator=generator(), given=torch.full((11, 17), torch.inf))
