"""Maps carried back into the photo's frame lie where the network looked, whatever the preprocessing did."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from maskstack.errors import InputError
from maskstack.geometry import MOST_PIXELS, Geometry
from maskstack.models import LoadedModel, Preprocess
from maskstack.models.inputs import geometry_of, prepared, upright


def squash(image: Image.Image) -> torch.Tensor:
    return tensor(image.convert("RGB").resize((64, 48)))


def pad(image: Image.Image) -> torch.Tensor:
    """Fit the whole photo into a square and fill the rest with grey, as CLIP's processors may do."""
    return tensor(ImageOps.pad(image.convert("RGB"), (64, 64), color=(127, 127, 127)))


def mirror(image: Image.Image) -> torch.Tensor:
    return tensor(ImageOps.mirror(image.convert("RGB").resize((64, 48))))


def corner(image: Image.Image) -> torch.Tensor:
    """A crop that is not in the centre."""
    return tensor(image.convert("RGB").resize((80, 80)).crop((8, 16, 72, 80)))


def framed(image: Image.Image) -> torch.Tensor:
    """The whole photo in a black frame that is wider below."""
    page = Image.new("RGB", (64, 64))
    page.paste(image.convert("RGB").resize((56, 40)), (4, 6))
    return tensor(page)


def tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)


class Known:
    """A preprocessing that says where its crop lies, as one outside of this package may do."""

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return tensor(image.convert("RGB").crop((10, 0, 42, 32)))

    def box(self, _size: tuple[int, int]) -> tuple[float, float, float, float]:
        return (10.0, 0.0, 42.0, 32.0)


PREPROCESSINGS = {
    "centre crop": Preprocess(size=(64, 64)),
    "wide crop": Preprocess(size=(48, 80), share=0.7),
    "squash": Preprocess(size=(64, 48), share=1.0, squash=True),
    "squash and crop": Preprocess(size=(64, 48), share=0.8, squash=True),
    "measured squash": squash,
    "measured pad": pad,
    "measured mirror": mirror,
    "measured corner": corner,
    "measured frame": framed,
    "measured centre crop": lambda image: Preprocess(size=(64, 64))(image),
    "asked": Known(),
}
SIZES = [(120, 90), (90, 120), (50, 40), (300, 60), (41, 200)]
"""Widths and heights: landscape, upright, smaller than the input, a panorama and a column."""


@pytest.mark.parametrize("name", PREPROCESSINGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_marked_pixels_of_the_photo_are_marked_in_the_carried_map(name: str, size: tuple[int, int]) -> None:
    preprocess, (width, height) = PREPROCESSINGS[name], size
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    marked = (abs(x - 0.55) < 0.1) & (abs(y - 0.4) < 0.15)
    black = Image.new("RGB", size)
    photo = Image.fromarray(np.repeat(marked[..., None] * np.uint8(255), 3, axis=2))
    seen, without = (preprocess(image)[0].numpy() for image in (photo, black))
    white = preprocess(Image.new("RGB", size, "white"))[0].numpy()
    saliency = np.divide(seen - without, white - without, out=np.zeros_like(seen), where=white != without)
    place = geometry_of(preprocess, size, saliency.shape)
    assert place is not None
    found = place.carry_back(saliency.clip(0, 1).astype(np.float32))
    assert found.shape == (height, width)
    left, top, right, bottom = place.seen()
    inside = np.zeros_like(marked)
    inside[top:bottom, left:right] = True
    assert (found[~inside] == 0).all()
    expected, carried = marked & inside, found > 0.5
    # Pixels on the rim of the mark may fall on either side, as the network's pixels are coarser than the photo's.
    step = [
        max(round(abs(a - b) / side), 1)
        for a, b, side in zip(place.box[2:], place.box[:2], place.size[::-1], strict=True)
    ]
    rim = grown(marked, step[::-1]) & grown(~marked, step[::-1])
    assert ((expected == carried) | rim)[inside].all()
    if (expected & ~rim).any():
        assert carried[expected & ~rim].all()


def grown(values: np.ndarray, by: list[int]) -> np.ndarray:
    found = values.copy()
    for axis, most in enumerate(by):
        for shift in range(-most - 1, most + 2):
            found |= np.roll(values, shift, axis)
    return found


@given(
    photo=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    box=st.tuples(*[st.floats(-60, 150)] * 4),
)
@settings(deadline=None, max_examples=60)
def test_any_box_gives_a_map_of_the_photos_size_within_the_maps_range(photo, size, box) -> None:
    try:
        place = Geometry(photo, size, box)
    except InputError:
        return
    if min(abs(box[2] - box[0]), abs(box[3] - box[1])) < 0.5:
        return
    values = np.random.default_rng(0).random(size, dtype=np.float32)
    found = place.carry_back(values, outside=-1)
    left, top, right, bottom = place.seen()
    assert found.shape == photo
    assert 0 <= left < right <= photo[1]
    assert 0 <= top < bottom <= photo[0]
    part = found[top:bottom, left:right]
    assert values.min() - 1e-6 <= part.min() <= part.max() <= values.max() + 1e-6
    assert (found == -1).sum() == found.size - part.size
    assert Geometry.read(place.as_dict()) == place
    corners = np.array([[0.0, 0.0], [size[1], size[0]]])
    np.testing.assert_allclose(place.to_photo(corners), [box[:2], box[2:]], atol=1e-6)


def test_a_whole_image_is_carried_back_as_it_is() -> None:
    values = np.random.default_rng(0).random((7, 9), dtype=np.float32)
    np.testing.assert_allclose(Geometry.whole((7, 9)).carry_back(values), values, atol=1e-6)


def test_pictures_are_bounded_and_keep_their_shape() -> None:
    height, width = Geometry.whole((3000, 24000)).drawn
    assert height * width <= MOST_PIXELS
    assert width / height == pytest.approx(8, rel=1e-3)
    assert Geometry.whole((1, 200_000_000)).drawn[0] == 1


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, np.nan, 5), (50, 0, 60, 5), (-5, 0, 0, 5)], ids=str)
def test_a_box_that_shows_nothing_is_refused(box) -> None:
    with pytest.raises(InputError):
        Geometry((20, 30), (8, 8), box)


@pytest.mark.parametrize("values", [{}, {"photo": [1]}, {"photo": "ab", "size": [2, 2], "box": [0, 0, 1, 1]}], ids=str)
def test_values_of_no_geometry_are_refused(values) -> None:
    with pytest.raises(InputError, match="does not describe the geometry"):
        Geometry.read(values)


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="the size of the network's input"):
        Geometry.whole((4, 5)).carry_back(np.zeros((5, 4), np.float32))


def test_a_preprocessing_that_turns_the_photo_has_no_geometry() -> None:
    def turned(image: Image.Image) -> torch.Tensor:
        return tensor(image.convert("RGB").resize((64, 48)).rotate(90, expand=True))

    assert geometry_of(turned, (120, 90), (64, 48)) is None


def test_a_preprocessing_that_cannot_be_measured_has_no_geometry() -> None:
    assert geometry_of(lambda image: torch.zeros(3, 8, 8), (20, 30), (8, 8)) is None


def test_a_large_photo_is_measured_at_a_smaller_size() -> None:
    width, height = 6000, 4000
    measured = geometry_of(lambda image: Preprocess(size=(64, 64))(image), (width, height), (64, 64))
    exact = geometry_of(Preprocess(size=(64, 64)), (width, height), (64, 64))
    assert measured is not None
    assert exact is not None
    np.testing.assert_allclose(measured.box, exact.box, atol=60)  # less than one pixel of the input


def test_a_long_strip_is_not_resized_as_a_whole() -> None:
    strip = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 40_000, 3), dtype=np.uint8))
    preprocess = Preprocess(size=(64, 64))
    assert preprocess(strip).shape == (3, 64, 64)
    near = strip.crop((20_000 - 40, 0, 20_000 + 40, 8))
    torch.testing.assert_close(preprocess(strip), preprocess(near), atol=0.05, rtol=0)


def model() -> LoadedModel:
    preprocess = Preprocess(size=(32, 32))
    return LoadedModel(torch.nn.Flatten(), preprocess, (), (32, 32), preprocess.mean, preprocess.std, "x", "x")


def test_photos_files_and_lists_of_both_are_prepared(tmp_path) -> None:
    photo = Image.new("RGB", (60, 40), "red")
    photo.save(tmp_path / "a.png")
    for given_, count in ((photo, 1), (tmp_path / "a.png", 1), (str(tmp_path / "a.png"), 1), ([photo] * 2, 2)):
        images, places = model().prepare_photos(given_)
        assert images.shape == (count, 3, 32, 32)
        assert [place.photo for place in places] == [(40, 60)] * count
        torch.testing.assert_close(images[0], model().preprocess(photo))


def test_the_frame_is_that_of_the_upright_photo(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as turned:
        for photo in (turned, str(tmp_path / "turned.jpg")):
            _, (place,) = prepared(photo, model().preprocess)
            assert place.photo == (60, 40)
            assert upright(photo).size == (40, 60)


@pytest.mark.parametrize("wrong", [3, np.zeros((3, 3)), [None], []], ids=repr)
def test_what_is_no_photo_is_refused_in_a_sentence(wrong) -> None:
    with pytest.raises((InputError, TypeError), match=r"photo|iterable"):
        model().prepare_photos(wrong)


@pytest.mark.slow
def test_photos_that_are_too_small_or_too_large_are_refused() -> None:
    for size in ((1, 4000), (4000, 1), (20_000, 20_000)):
        with pytest.raises(InputError, match=r"pixels.*shorter side|more than the limit"):
            upright(Image.new("1", size))
