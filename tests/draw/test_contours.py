"""The contour of a region is on its edge, and visible on every photo."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskstack.draw.contours import draw_contour, outlines
from maskstack.draw.overlay import overlay
from maskstack.errors import InputError
from maskstack.geometry import Geometry
from maskstack.samples import sample_photos

RANDOM = np.random.default_rng(0)


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Relative luminance as the Web Content Accessibility Guidelines define it."""
    values = pixels / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def visible_share(drawn: np.ndarray, below: np.ndarray, lines: list[np.ndarray], *, least: float = 3.0) -> float:
    """Share of the contour's length at which a pixel of it has at least this contrast to the picture below."""
    bright = [luminance(each.astype(float)) for each in (drawn, below)]
    changed = (drawn != below).any(axis=2)
    high, low = np.maximum(*bright) + 0.05, np.minimum(*bright) + 0.05
    good = changed & (high / low >= least)
    length = seen = 0.0
    height, width = good.shape
    reach = max(round((height * width) ** 0.5 / 110), 2)
    for line in lines:
        steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
        for (x, y), step in zip((line[:-1] + line[1:]) / 2, steps, strict=True):
            column, row = int(np.clip(x, 0, width - 1)), int(np.clip(y, 0, height - 1))
            near = good[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
            length, seen = length + step, seen + step * near.any()
    return seen / length


def blob(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A smooth map of a few hills."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]] / np.array(size)[:, None, None]
    hills = sum(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 0.015) for y, x in chance.uniform(0.15, 0.85, (4, 2)))
    return (hills / hills.max()).astype(np.float32)


def contrast(photo: Image.Image, place: Geometry, saliency: np.ndarray, **options) -> float:
    """The least visible share of the contour of a map, against the photo and against the photo with its colours."""
    region = saliency >= 0.5
    below = overlay(photo, saliency, geometry=place, style="heat", opacity=options.get("opacity", 0.35))
    drawn = overlay(photo, saliency, geometry=place, region=region, **options)
    lines = [place.scaled(place.drawn).to_photo(line) for line in outlines(region)]
    return min(visible_share(np.asarray(drawn), np.asarray(each), lines) for each in (below, photo))


def whole(photo: Image.Image) -> Geometry:
    return Geometry((photo.height, photo.width), (96, 96), (0.0, 0.0, float(photo.width), float(photo.height)))


COLOURS = ("black", "white", "yellow", "#777777", "red", "blue", "#00ff00", "#f3e5ab", "#101040")


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("size", [(96, 96), (600, 400)], ids=str)
@pytest.mark.slow
def test_it_has_contrast_on_every_colour(colour: str, size: tuple[int, int]) -> None:
    photo = Image.new("RGB", size, colour)
    assert contrast(photo, whole(photo), blob((96, 96))) >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("index", range(3))
def test_it_has_contrast_on_photos_also_in_grey(index: int) -> None:
    photo = sample_photos()[index]
    assert contrast(photo, whole(photo), blob((96, 96), index)) >= 0.95
    grey = photo.convert("L").convert("RGB")
    assert contrast(grey, whole(grey), blob((96, 96), index)) >= 0.95


def test_it_has_contrast_on_noise() -> None:
    photo = Image.fromarray(RANDOM.integers(0, 256, (200, 200, 3), dtype=np.uint8))
    assert contrast(photo, whole(photo), blob((96, 96))) >= 0.95


@pytest.mark.slow
def test_it_has_contrast_on_photographs_radiographs_and_birds() -> None:
    """Twenty photographs of ImageNet, five radiographs of the chest and five birds."""
    if "MASKSTACK_DATA" not in os.environ:
        pytest.skip("MASKSTACK_DATA does not name a folder of images")
    root = Path(os.environ["MASKSTACK_DATA"])
    shares = {}
    for folder, table, count in (
        ("imagenet-val", "annotations.csv", 20),
        ("chest", "images.csv", 5),
        ("birds", "images.csv", 5),
    ):
        with (root / folder / table).open(encoding="utf-8") as file:
            names = sorted({row["file"] for row in csv.DictReader(file) if row.get("split", "test") == "test"})
        for name in names[:: len(names) // count][:count]:
            path = next((root / folder).rglob(Path(name).name))
            photo = Image.open(path).convert("RGB")
            shares[name] = contrast(photo, whole(photo), blob((96, 96), len(shares)))
    assert len(shares) == 30
    assert min(shares.values()) >= 0.95, shares


def test_the_outline_is_on_the_regions_edge() -> None:
    region = np.zeros((40, 50), dtype=bool)
    region[10:30, 20:40] = True
    (line,) = outlines(region)
    assert abs(line[:, 0].min() - 20) < 0.2
    assert abs(line[:, 0].max() - 40) < 0.2
    assert abs(line[:, 1].min() - 10) < 0.2
    assert abs(line[:, 1].max() - 30) < 0.2
    picture = Image.new("RGB", (500, 400), "grey")
    draw_contour(picture, region, Geometry((400, 500), (40, 50), (0.0, 0.0, 500.0, 400.0)))
    changed = (np.asarray(picture) != 128).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (abs(rows.min() - 100), abs(rows.max() - 300)) < (8, 8)
    assert (abs(columns.min() - 200), abs(columns.max() - 400)) < (8, 8)
    assert not changed[115:285, 215:385].any()


def test_holes_are_outlined_and_specks_are_not() -> None:
    region = np.zeros((60, 60), dtype=bool)
    region[10:50, 10:50] = True
    region[20:40, 20:40] = False
    region[2, 2] = True
    assert len(outlines(region)) == 2


@pytest.mark.parametrize("fill", [False, True])
def test_nothing_and_everything_can_be_drawn(fill: bool) -> None:
    picture = Image.new("RGB", (50, 40))
    draw_contour(picture, np.full((8, 10), fill), Geometry((40, 50), (8, 10), (0.0, 0.0, 50.0, 40.0)))
    assert picture.getbbox() is None or fill


def test_an_outline_that_leaves_the_photo_is_drawn_at_its_edge() -> None:
    photo = Image.new("RGB", (100, 100), "grey")
    draw_contour(photo, np.ones((10, 10), dtype=bool), Geometry((100, 100), (10, 10), (-50.0, 0.0, 150.0, 100.0)))
    assert (np.asarray(photo)[50, :4] == 255).any()


def test_a_region_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match="it must be H x W"):
        outlines(np.zeros((3, 4, 5), dtype=bool))
