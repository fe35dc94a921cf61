import io
import os

import numpy as np
import pytest
from PIL import Image

from maskstack.errors import InputError
from maskstack.models import open_photo
from maskstack.models.photos import to_rgb


def refused(path, match, **options):
    with pytest.raises(InputError, match=match) as caught:
        open_photo(path, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_photo_is_opened_as_rgb(tmp_path, photo):
    photo.convert("RGBA").save(tmp_path / "photo.png")
    opened = open_photo(tmp_path / "photo.png")
    assert (opened.mode, opened.size) == ("RGB", photo.size)
    assert opened.tobytes() == photo.tobytes()


def test_a_missing_file(tmp_path):
    refused(tmp_path / "none.jpg", "does not exist")


def test_a_folder(tmp_path):
    refused(tmp_path, "is a folder")


def test_an_empty_file(tmp_path):
    (tmp_path / "empty.jpg").touch()
    refused(tmp_path / "empty.jpg", "is empty")


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    refused(tmp_path / "pipe.jpg", "no.* ordinary file")


def test_text_named_as_a_picture(tmp_path):
    (tmp_path / "text.jpg").write_text("not an image at all")
    refused(tmp_path / "text.jpg", "not an image")


def test_postscript_which_would_run_a_program(tmp_path):
    (tmp_path / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n%%EOF\n")
    refused(tmp_path / "drawing.eps", "not an image")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_truncated_picture(tmp_path, photo, form):
    whole = io.BytesIO()
    photo.save(whole, form)
    (tmp_path / "half").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    refused(tmp_path / "half", "damaged|not an image")


def test_a_picture_with_more_pixels_than_allowed(tmp_path, photo):
    photo.save(tmp_path / "photo.png")
    refused(tmp_path / "photo.png", "80 x 60 pixels, more than the limit of 4000", max_pixels=4000)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [9_500, 14_000])
def test_a_decompression_bomb(tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    refused(tmp_path / "bomb.png", "resize it first")


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
def test_a_picture_without_regions(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "dot.png")
    refused(tmp_path / "dot.png", "shorter side")


def test_a_picture_of_nan_names_the_file(tmp_path):
    Image.new("F", (8, 8), float("nan")).save(tmp_path / "nan.tiff")
    refused(tmp_path / "nan.tiff", "NaN")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_turned_once(orientation: int, kind: str, tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 20)).save(tmp_path / "photo", kind, exif=exif)
    photo = open_photo(tmp_path / "photo")
    assert photo.size == ((40, 20) if orientation < 5 else (20, 40))
    assert to_rgb(photo).size == photo.size
    assert to_rgb(photo).getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "CMYK", "RGBA", "RGB"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_an_uncompressed_tiff_file_that_is_turned_keeps_its_rows(orientation: int, mode: str, tmp_path) -> None:
    stored = np.zeros((20, 40), dtype=np.uint16)
    stored[:5] = 65535
    eight = Image.fromarray((stored >> 8).astype(np.uint8))
    image = Image.fromarray(stored) if mode == "I;16" else eight.convert(mode)
    image.save(tmp_path / "photo.tif", tiffinfo={0x0112: orientation})
    photo = open_photo(tmp_path / "photo.tif").convert("L")
    assert photo.size == (20, 40)
    side = 0 if orientation in (5, 8) else 15
    assert photo.point(lambda value: 255 * (value > 127)).getbbox() == (side, 0, side + 5, 40)


def test_an_address_on_the_web_is_named_as_one() -> None:
    with pytest.raises(InputError, match=r"^https://x\.org/a/b\.jpg is an address; save the photo and give its file$"):
        open_photo("https://x.org/a/b.jpg")
