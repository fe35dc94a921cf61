import numpy as np
import pytest
from PIL import Image

from maskstack.errors import InputError
from maskstack.models.photos import to_rgb

RAMP = np.linspace(0, 255, 64, dtype=np.uint8).reshape(8, 8)


def grey(image):
    rgb = to_rgb(image)
    assert rgb.mode == "RGB"
    values = np.asarray(rgb)
    assert (values == values[..., :1]).all()
    return values[..., 0]


MODES = [
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "HSV",
    "LAB",
    "I",
    "F",
]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_rgb(mode):
    # Pillow converts to some modes only from their neighbours.
    through = {"La": "LA", "PA": "LA", "RGBa": "RGBA", "I": "L", "F": "L"}.get(mode, "RGB")
    image = Image.fromarray(np.stack([RAMP] * 3, axis=-1)).convert("RGBA").convert(through).convert(mode)
    assert image.mode == mode
    assert to_rgb(image).mode == "RGB"


def test_sixteen_bits_are_scaled_and_not_clipped():
    deep = RAMP.astype(np.uint16) * 257
    assert np.array_equal(grey(Image.fromarray(deep)), RAMP)
    assert np.array_equal(grey(Image.fromarray(deep.astype(np.int32))), RAMP)


def test_sixteen_bits_of_the_other_byte_order(tmp_path):
    deep = Image.frombytes("I;16B", (8, 8), (RAMP.astype(">u2") * 257).tobytes())
    assert np.array_equal(grey(deep), RAMP)


def test_floats_keep_their_range():
    assert np.array_equal(grey(Image.fromarray(RAMP.astype(np.float32))), RAMP)
    assert np.array_equal(grey(Image.fromarray(RAMP.astype(np.float32) / 255)), RAMP)


def test_values_out_of_any_range_are_stretched():
    hounsfield = Image.fromarray(RAMP.astype(np.int32) * 10 - 1000)
    assert np.array_equal(grey(hounsfield), RAMP)
    assert (grey(Image.fromarray(np.full((8, 8), -3.0, dtype=np.float32))) == 0).all()


def test_not_a_number_is_refused():
    with pytest.raises(InputError, match="NaN"):
        to_rgb(Image.fromarray(np.full((8, 8), np.nan, dtype=np.float32)))


def test_one_bit():
    assert set(np.unique(grey(Image.fromarray(RAMP > 100)))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_laid_on_white(mode):
    assert (grey(Image.new(mode, (8, 8), (0,) * len(mode))) == 255).all()


def test_a_transparent_palette_colour_is_laid_on_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30] + [0] * 765)
    assert to_rgb(image).getpixel((0, 0)) == (10, 20, 30)
    image.info["transparency"] = 0
    assert to_rgb(image).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk():
    assert to_rgb(Image.new("CMYK", (8, 8), (0, 255, 255, 0))).getpixel((0, 0)) == (255, 0, 0)


def test_the_picture_is_turned_upright():
    image = Image.new("RGB", (16, 8))
    image.putpixel((0, 0), (255, 0, 0))
    image.getexif()[0x0112] = 6  # Shot with the camera turned: shown a quarter clockwise.
    upright = to_rgb(image)
    assert upright.size == (8, 16)
    assert upright.getpixel((7, 0)) == (255, 0, 0)
