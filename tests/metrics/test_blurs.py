"""Are the blurs those of published results?"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal
from tests.metrics.toy import drawn

from maskstack.errors import InputError
from maskstack.masks.fills import gaussian_blur
from maskstack.metrics import blur, narrow_blur


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.floats(0.1, 12), st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_the_blur_is_scipys_and_that_of_the_mask_search(channels, height, width, sigma, seed) -> None:
    image = drawn(channels, height, width, seed=seed)
    blurred = blur(image, sigma=sigma)
    radius = int(np.ceil(3 * sigma))
    expected = ndimage.gaussian_filter(image.double().numpy(), (0, sigma, sigma), mode="nearest", radius=radius)
    np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-5)
    torch.testing.assert_close(blurred, gaussian_blur(image.unsqueeze(0), sigma)[0])


def test_no_blur_changes_nothing_and_a_constant_image_stays() -> None:
    image = drawn(3, 9, 7)
    assert torch.equal(blur(image, sigma=0), image)
    torch.testing.assert_close(blur(torch.full((3, 9, 7), 0.3), sigma=10), torch.full((3, 9, 7), 0.3))
    with pytest.raises(InputError, match="standard deviation"):
        blur(image, sigma=-1)


def test_the_narrow_blur_is_an_impulse_filtered_in_a_window_of_11() -> None:
    impulse = np.zeros((11, 11))
    impulse[5, 5] = 1
    kernel = ndimage.gaussian_filter(impulse, 5)
    image = drawn(3, 30, 26)
    expected = [signal.convolve2d(plane, kernel, mode="same", boundary="fill") for plane in image.double().numpy()]
    np.testing.assert_allclose(narrow_blur(image).numpy(), expected, atol=1e-6)


def test_the_narrow_blur_is_nearly_a_box_and_dark_at_the_border() -> None:
    image = drawn(3, 30, 26)
    box = torch.nn.functional.avg_pool2d(image.unsqueeze(1), 11, stride=1, padding=5).squeeze(1)
    assert (narrow_blur(image) - box).abs().max() < 0.02
    ones = narrow_blur(torch.ones(1, 30, 26))
    assert ones[0, 15, 13].item() == pytest.approx(1)
    assert ones[0, 0, 13].item() == pytest.approx(6 / 11, abs=0.01)
