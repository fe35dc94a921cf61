"""Drawing a map over its photo."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from maskstack.draw import as_rgb, overlay
from maskstack.errors import InputError

PHOTO = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK", "I;16"])
def test_pil_images_of_every_mode_become_rgb(mode: str) -> None:
    image = Image.new("I;16", (14, 9), 200) if mode == "I;16" else Image.fromarray(PHOTO).convert(mode)
    array = as_rgb(image)
    assert array.shape == (9, 14, 3)
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, np.asarray(image.convert("RGB")) / np.float32(255), rtol=1e-6)


def test_integers_count_to_255_and_floats_to_1() -> None:
    expected = PHOTO.astype(np.float32) / 255
    for array in (PHOTO, PHOTO.astype(np.int64), PHOTO / 255, expected, (PHOTO / 255).astype(np.float16)):
        np.testing.assert_allclose(as_rgb(array), expected, atol=1e-3)
    assert as_rgb(PHOTO[..., 0] > 128).max() == 1, "booleans are black and white"
    np.testing.assert_array_equal(as_rgb(np.array([[-3.0, 7.0]]))[0, :, 0], [0, 1])


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6))))
@settings(deadline=None, max_examples=25)
def test_grey_images_get_three_equal_channels(grey) -> None:
    for array in (grey, grey[..., None]):
        rgb = as_rgb(array)
        assert rgb.shape == (*grey.shape, 3)
        np.testing.assert_allclose(rgb, np.repeat(grey[..., None] / 255, 3, axis=2), rtol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (3, 9, 14), (9, 14, 4), (1, 9, 14, 3), (0, 14, 3), (9, 0)], ids=str)
def test_an_array_of_another_shape_is_refused(shape) -> None:
    with pytest.raises(InputError, match=r"the image has shape \(.*give H x W") as caught:
        as_rgb(np.zeros(shape))
    assert str(shape) in str(caught.value)


def test_the_input_is_not_written_to() -> None:
    photo, saliency = PHOTO / 255, np.full((9, 14), 0.5, dtype=np.float32)
    before = photo.copy()
    picture = as_rgb(photo)
    picture[:] = 0
    overlay(photo, saliency)
    np.testing.assert_array_equal(photo, before)
    assert (saliency == 0.5).all()


def test_a_low_map_leaves_the_photo_darker_and_greyer_but_there() -> None:
    laid = np.asarray(overlay(PHOTO, np.zeros((9, 14), dtype=np.float32))) / 255
    photo = PHOTO / 255
    np.testing.assert_allclose(laid, 0.5 * photo + 0.25 * photo.mean(axis=2, keepdims=True), atol=1 / 255)


def test_a_high_map_takes_the_maps_colour() -> None:
    white = np.full((4, 4, 3), 255, dtype=np.uint8)
    for colours in ("inferno", "viridis"):
        laid = np.asarray(overlay(white, np.ones((4, 4), dtype=np.float32), opacity=1.0, colours=colours)) / 255
        np.testing.assert_allclose(laid[0, 0], matplotlib.colormaps[colours](1.0)[:3], atol=1 / 255)


def test_the_colours_share_grows_evenly_with_the_map() -> None:
    white, half = np.full((1, 3, 3), 255, dtype=np.uint8), np.array([[0, 0.5, 1]], dtype=np.float32)
    laid = np.asarray(overlay(white, half, opacity=0.6))[0] / 255
    colours = matplotlib.colormaps["inferno"](half[0])[:, :3]
    for share, colour, pixel in zip((0, 0.3, 0.6), colours, laid, strict=True):
        np.testing.assert_allclose(pixel, (1 - share) * 0.75 + share * colour, atol=1 / 255)


def test_only_the_marked_half_changes_with_the_map() -> None:
    saliency = np.zeros((9, 14), dtype=np.float32)
    plain = np.asarray(overlay(PHOTO, saliency)).astype(int)
    saliency[:, 7:] = 0.8
    marked = np.asarray(overlay(PHOTO, saliency)).astype(int)
    np.testing.assert_array_equal(marked[:, :7], plain[:, :7])
    assert np.abs(marked[:, 7:] - plain[:, 7:]).mean() > 30


def test_the_overlay_is_a_picture_of_the_photos_size() -> None:
    laid = overlay(Image.fromarray(PHOTO), np.random.default_rng(1).random((9, 14), dtype=np.float32))
    assert laid.mode == "RGB"
    assert laid.size == (14, 9)


def test_a_map_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(InputError, match=r"the map is \(14, 9\) and the photo \(9, 14\)"):
        overlay(PHOTO, np.zeros((14, 9), dtype=np.float32))
