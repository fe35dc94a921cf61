"""Drawing a map over its photo."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from maskstack.draw import as_rgb, overlay
from maskstack.draw.montage import slice_pictures
from maskstack.draw.overlay import Style
from maskstack.errors import InputError
from maskstack.geometry import Geometry

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (9, 14, 3), dtype=np.uint8)


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


def plain(photo, saliency, **options):
    """The colours alone, without an outline."""
    return np.asarray(overlay(photo, saliency, style="heat", **options))


def test_where_the_map_is_low_the_photo_keeps_its_colours() -> None:
    np.testing.assert_array_equal(plain(PHOTO, np.zeros((9, 14), dtype=np.float32)), PHOTO)
    saliency = np.zeros((90, 140), dtype=np.float32)
    saliency[30:60, 30:60] = 1
    photo = np.kron(PHOTO, np.ones((10, 10, 1), dtype=np.uint8))
    drawn = np.asarray(overlay(photo, saliency))
    np.testing.assert_array_equal(drawn[:, 70:], photo[:, 70:])
    inside = drawn[36:54, 36:54].astype(int) - photo[36:54, 36:54]
    assert 0 < np.abs(inside).mean() < 60, "the region is coloured lightly"


def test_a_high_map_takes_the_maps_colour() -> None:
    white = np.full((4, 4, 3), 255, dtype=np.uint8)
    for colours in ("magma", "viridis"):
        laid = plain(white, np.ones((4, 4), dtype=np.float32), opacity=1.0, colours=colours) / 255
        np.testing.assert_allclose(laid[0, 0], matplotlib.colormaps[colours](1.0)[:3], atol=1 / 255)


def test_the_colours_share_grows_evenly_with_the_map() -> None:
    white, half = np.full((1, 3, 3), 255, dtype=np.uint8), np.array([[0, 0.5, 1]], dtype=np.float32)
    laid = plain(white, half, opacity=0.6)[0] / 255
    colours = matplotlib.colormaps["magma"](half[0])[:, :3]
    for share, colour, pixel in zip((0, 0.3, 0.6), colours, laid, strict=True):
        np.testing.assert_allclose(pixel, (1 - share) + share * colour, atol=2 / 255)


def test_only_the_marked_half_changes_with_the_map() -> None:
    saliency = np.zeros((9, 14), dtype=np.float32)
    saliency[:, 7:] = 0.8
    marked = plain(PHOTO, saliency).astype(int)
    np.testing.assert_array_equal(marked[:, :7], PHOTO[:, :7])
    assert np.abs(marked[:, 7:] - PHOTO[:, 7:]).mean() > 30


def test_a_map_of_single_pixels_is_drawn_as_heat() -> None:
    saliency = np.zeros((60, 60), np.float32)
    saliency[10:40:3, 10:40:3] = RANDOM.uniform(0.1, 0.3, (10, 10))
    saliency[25, 25] = 1
    photo = Image.new("RGB", (60, 60), "white")
    changed = np.abs(np.asarray(overlay(photo, saliency)).astype(int) - 255).max(axis=2)
    assert (changed[saliency > 0.05] > 40).all()
    assert not changed[saliency == 0].any()
    assert np.array_equal(np.asarray(overlay(photo, np.zeros_like(saliency))), np.asarray(photo))


@pytest.mark.parametrize("style", ["contour", "heat"])
def test_a_map_that_should_not_be_used_is_still_seen(style: Style) -> None:
    photo, pixels, region = Image.new("RGB", (60, 60), "white"), *np.zeros((2, 60, 60), np.float32)
    pixels[10:40:6, 10:40:6], region[20:40, 20:40] = 1, 1
    drawn = np.asarray(overlay(photo, pixels, style=style, word="do not use", badge=False))
    assert (drawn[pixels > 0] < 230).any(axis=1).all(), "single pixels have no outline, so they keep their colours"
    drawn = np.asarray(overlay(photo, region, style=style, word="do not use", badge=False))
    assert (drawn[30, 15:25] < 100).any(), "an outline shows where the map is"
    assert (drawn[28:32, 28:32] == 255).all(), "its colours are left out"


def test_slices_where_the_map_is_low_keep_their_colours() -> None:
    slices = np.zeros((2, 40, 40), np.float32)
    slices[0, 10:30, 10:30], slices[1] = 1, 0.02
    tiles = slice_pictures([Image.new("RGB", (40, 40), "white")] * 2, slices, slices >= 0.5)
    assert np.asarray(tiles[0]).min() < 100
    assert np.asarray(tiles[1]).min() > 250


def test_masked_shows_the_region_alone() -> None:
    photo = np.kron(PHOTO, np.ones((10, 10, 1), dtype=np.uint8))
    region = np.zeros((90, 140), dtype=bool)
    region[30:60, 30:60] = True
    drawn = np.asarray(overlay(photo, region.astype(np.float32), region=region, style="masked")).astype(int)
    np.testing.assert_array_equal(drawn[38:52, 38:52], photo[38:52, 38:52])
    assert drawn[:, 80:].std() < 0.3 * photo[:, 80:].std()


@pytest.mark.parametrize("word", ["reliable", "doubtful", "do not use"])
def test_the_verdict_is_written_where_the_map_is_lowest(word) -> None:
    photo, saliency = np.full((300, 400, 3), 90, dtype=np.uint8), np.zeros((300, 400), dtype=np.float32)
    saliency[200:, :150] = 1
    drawn = overlay(photo, saliency, word=word, lines=["espresso 95%", "region 12%, keeps 90%"])
    changed = (np.abs(np.asarray(drawn).astype(int) - np.asarray(overlay(photo, saliency, style="heat"))) > 30).any(2)
    assert changed[:60, :200].any()
    if word == "do not use":
        np.testing.assert_array_equal(np.asarray(drawn)[220:280, 20:130], photo[220:280, 20:130])


@pytest.mark.parametrize("size", [(8, 8), (8, 400), (400, 8), (40, 60)], ids=str)
def test_a_picture_too_small_for_the_verdict_gets_its_sign_or_a_part_of_it(size) -> None:
    photo = np.full((*size, 3), 90, dtype=np.uint8)
    drawn = overlay(photo, np.zeros(size, dtype=np.float32), word="doubtful", lines=["long words " * 9])
    assert drawn.size == size[::-1]


def test_what_the_network_did_not_see_is_veiled_and_hatched() -> None:
    photo = np.kron(RANDOM.integers(0, 256, (20, 40, 3), dtype=np.uint8), np.ones((10, 10, 1), dtype=np.uint8))
    place = Geometry((200, 400), (64, 64), (100.0, 0.0, 300.0, 200.0))
    drawn = np.asarray(overlay(photo, np.zeros((64, 64), dtype=np.float32), geometry=place)).astype(int)
    np.testing.assert_array_equal(drawn[5:195, 105:295], photo[5:195, 105:295])
    for unseen in (slice(0, 98), slice(302, 400)):
        assert drawn[:, unseen].std() < 0.7 * photo[:, unseen].std()
        assert (drawn[:, unseen] != photo[:, unseen]).any(axis=2).mean() > 0.95


@pytest.mark.slow
def test_a_large_photo_is_drawn_smaller_and_a_small_one_at_its_size() -> None:
    saliency = np.eye(32, dtype=np.float32)
    for photo, size in (((9, 14), (14, 9)), ((3000, 9000), (6928, 2309))):
        place = Geometry(photo, (32, 32), (0.0, 0.0, float(photo[1]), float(photo[0])))
        assert overlay(Image.new("RGB", photo[::-1]), saliency, geometry=place).size == size


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"style": "glow"}, "style is 'glow'; it must be one of contour, heat, masked"),
        ({"opacity": 1.5}, r"opacity is 1.5; it must be a number in \[0, 1\]"),
        ({"colours": "virids"}, "not a colour map of matplotlib; did you mean viridis?"),
    ],
    ids=str,
)
def test_options_that_cannot_be_used_are_refused(options, match) -> None:
    with pytest.raises(InputError, match=match):
        overlay(PHOTO, np.zeros((9, 14), dtype=np.float32), **options)


def test_a_photo_that_is_not_the_explained_one_is_refused() -> None:
    place = Geometry((9, 15), (9, 14), (0.0, 0.0, 14.0, 9.0))
    with pytest.raises(InputError, match="give that photo"):
        overlay(PHOTO, np.zeros((9, 14), dtype=np.float32), geometry=place)


def test_the_overlay_is_a_picture_of_the_photos_size() -> None:
    laid = overlay(Image.fromarray(PHOTO), np.random.default_rng(1).random((9, 14), dtype=np.float32))
    assert laid.mode == "RGB"
    assert laid.size == (14, 9)


def test_a_map_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(InputError, match=r"the map is \(14, 9\) and the photo \(9, 14\)"):
        overlay(PHOTO, np.zeros((14, 9), dtype=np.float32))
