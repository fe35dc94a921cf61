"""The figure of one explanation."""

import io
import sys
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from maskstack.draw import explanation_figure, overlay
from maskstack.draw.figure import MOST_SIDE, SPREAD_COLOURS, Caption
from maskstack.draw.overlay import LEAST_SIDE, coloured
from maskstack.errors import InputError
from maskstack.geometry import Geometry

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (12, 18, 3), dtype=np.uint8)
SALIENCY, SPREAD = RANDOM.random((2, 12, 18), dtype=np.float32)
REGION = SALIENCY > 0.7
CAPTION = Caption(
    title="espresso 95%",
    word="reliable",
    sentence="The region alone keeps 93% of the score.",
    region="region: 12% of the photo",
    masked="the region alone keeps 93% of the score",
)


@pytest.fixture(autouse=True)
def small_photos_at_their_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The photos of these tests are small, so that their pixels can be compared."""
    monkeypatch.setattr(sys.modules["maskstack.draw.overlay"], "LEAST_SIDE", 1)


def draw(photo=PHOTO, **options) -> Figure:
    given = {"saliency": SALIENCY, "region": REGION, "spread": SPREAD, "caption": CAPTION, **options}
    return explanation_figure(photo, **given)


def panels(figure: Figure) -> dict[str, AxesImage]:
    """The pictures that have a title: its text begins at the left edge, right above the picture."""
    (sheet,) = figure.axes
    found = {}
    for image in sheet.images:
        left, _, _, top = image.get_extent()
        for text in sheet.texts:
            x, y = text.get_position()
            if x == left and 0 < top - y < 0.1:
                assert image.get_label() == text.get_text().replace("\n", " ")
                found[text.get_text().replace("\n", " ")] = image
    return found


def colours(panel: AxesImage) -> np.ndarray:
    """Red, green and blue of a panel with a picture, which has to be opaque."""
    pixels = np.asarray(panel.get_array())
    assert (pixels[..., 3] == 255).all()
    return pixels[..., :3]


def test_there_is_one_row_of_photo_region_masked_photo_map_and_spread() -> None:
    figure = draw()
    found = panels(figure)
    assert list(found) == ["photo", CAPTION.region, CAPTION.masked, "map", "spread of the members"]
    assert len({tuple(image.get_extent()[2:]) for image in found.values()}) == 1
    assert len(panels(draw(spread=None))) == 4


def test_grids_are_a_second_row_on_request() -> None:
    masks = RANDOM.random((2, 12, 18), dtype=np.float32)
    found = panels(draw(masks=masks, sizes=[(4, 5), (7, 8)]))
    assert list(found)[-2:] == ["4 x 5 cells", "7 x 8 cells"]
    np.testing.assert_array_equal(colours(found["4 x 5 cells"]), coloured(masks[0], "magma"))


def test_each_panel_shows_what_its_title_says() -> None:
    found = panels(draw())
    options = {"region": REGION}
    np.testing.assert_array_equal(colours(found["photo"]), PHOTO)
    np.testing.assert_array_equal(colours(found[CAPTION.region]), overlay(PHOTO, SALIENCY, **options))
    masked = overlay(PHOTO, SALIENCY, style="masked", **options)
    np.testing.assert_array_equal(colours(found[CAPTION.masked]), masked)
    np.testing.assert_array_equal(colours(found["map"]), coloured(SALIENCY, "magma"))
    np.testing.assert_array_equal(
        colours(found["spread of the members"]), coloured(SPREAD / SPREAD.max(), SPREAD_COLOURS)
    )


def test_maps_have_a_bar_and_the_map_a_scale_from_0_to_1() -> None:
    figure = draw(saliency=SALIENCY / 2)
    np.testing.assert_array_equal(colours(panels(figure)["map"]), coloured(SALIENCY / 2, "magma"))
    sheet = figure.axes[0]
    bars = [image for image in sheet.images if np.asarray(image.get_array()).shape[1] == 1]
    for bar, name in zip(bars, ("magma", SPREAD_COLOURS), strict=True):
        np.testing.assert_array_equal(
            colours(bar)[::-1, 0], np.uint8(np.round(colormaps[name](range(256)) * 255))[:, :3]
        )
    # The words of a bar are on the levels of their values.
    _, right, bottom, top = bars[0].get_extent()
    level = {
        text.get_text(): text.get_position()[1] for text in sheet.texts if right < text.get_position()[0] < right + 0.1
    }
    assert level == {"0": pytest.approx(bottom), "0.5": pytest.approx((bottom + top) / 2), "1": pytest.approx(top)}
    most = max(float(text.get_text()) for text in sheet.texts if text.get_position()[0] > bars[1].get_extent()[1])
    assert most == pytest.approx(SPREAD.max(), rel=0.01)


def test_a_map_is_transparent_where_the_network_saw_nothing() -> None:
    place = Geometry((12, 30), (12, 18), (6.0, 0.0, 24.0, 12.0))
    pixels = np.asarray(panels(draw(Image.new("RGB", (30, 12)), geometry=place))["map"].get_array())
    assert (pixels[:, 6:24, 3] == 255).all()
    assert not pixels[:, :6, 3].any()
    assert not pixels[:, 24:, 3].any()


def words(figure: Figure) -> list:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in figure.axes[0].texts]


@pytest.mark.parametrize("shape", [(12, 18), (40, 8), (8, 60), (300, 200)], ids=str)
@pytest.mark.parametrize("word", ["", "doubtful", "do not use"])
@pytest.mark.slow
def test_the_words_are_there_and_do_not_overlap(shape: tuple[int, int], word: str) -> None:
    saliency = RANDOM.random(shape, dtype=np.float32)
    caption = Caption(title="a long name of a class, 5%", word=word, sentence="A long sentence that says why. " * 6)
    figure = explanation_figure(RANDOM.random((*shape, 3)), saliency=saliency, spread=saliency, caption=caption)
    found = words(figure)
    joined = " ".join(text for text, _ in found)
    for expected in (word, caption.title, caption.sentence.split(".")[0], "photo", "map", "spread of the members"):
        assert expected in joined.replace("\n", " ")
    for (one, first), (other, second) in combinations(found, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert wide <= 1 or high <= 1, f"{one!r} and {other!r} overlap"
    for text, box in found:
        assert -1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1, text
        assert -1 <= box.y0 < box.y1 <= figure.bbox.y1 + 1, text


def test_a_map_that_must_not_be_used_does_not_glow() -> None:
    caption = Caption(word="do not use")
    shown = colours(panels(draw(caption=caption))["region"])
    plain = overlay(PHOTO, SALIENCY, region=REGION, opacity=0)
    np.testing.assert_array_equal(shown, plain)


@pytest.mark.parametrize("word", ["reliable", "doubtful", "do not use"])
def test_the_sign_stands_on_white(word: str) -> None:
    written = io.BytesIO()
    draw(caption=Caption(word=word)).savefig(written, format="png")
    pixels = np.asarray(Image.open(written).convert("L")).astype(int)
    # Discs and triangles leave the corner of their square free.
    sign = pixels[:40, :40]
    rows, columns = np.nonzero(sign < 250)
    corner = sign[rows.min() + 1, columns.min() + 1]
    assert corner > 200 if word != "do not use" else corner < 200


@pytest.mark.parametrize("side", [30, 500, 3000])
def test_panels_have_the_photos_own_resolution_up_to_a_bound(side: int) -> None:
    photo = Image.new("RGB", (side, side // 2), "red")
    place = Geometry((side // 2, side), (12, 18), (0.0, 0.0, float(side), side / 2))
    figure = draw(photo, geometry=place)
    image = panels(figure)["photo"]
    left, right, _, _ = image.get_extent()
    wide = (right - left) * figure.dpi
    assert image.get_array().shape[1] == min(side, MOST_SIDE)
    assert wide >= min(side, MOST_SIDE) - 1


def test_it_is_written_as_a_picture_and_belongs_to_no_window() -> None:
    before = plt.get_fignums()
    written = io.BytesIO()
    draw().savefig(written, format="png", dpi=50)
    pixels = np.asarray(Image.open(written).convert("RGB")).astype(int)
    assert pixels.std() > 10
    assert (pixels != pixels[0, 0]).any(axis=2).mean() > 0.2, "the panels leave most of the figure empty"
    assert plt.get_fignums() == before


def test_masks_and_sizes_have_to_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        draw(masks=SALIENCY[None], sizes=[(2, 2), (3, 3)])
    with pytest.raises(InputError, match="they must have the same size"):
        draw(PHOTO[:5])


def test_a_small_photo_is_enlarged_so_that_the_outline_does_not_cover_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["maskstack.draw.overlay"], "LEAST_SIDE", LEAST_SIDE)
    photo = np.full((32, 32, 3), (200, 40, 40), dtype=np.uint8)
    saliency = np.zeros((32, 32), dtype=np.float32)
    saliency[8:24, 8:24] = 1
    shown = panels(draw(photo, saliency=saliency, region=saliency > 0.5, spread=None))
    assert shown["photo"].get_array().shape[:2] == (LEAST_SIDE, LEAST_SIDE)
    alone = colours(shown[CAPTION.masked])
    inside = alone[90:230, 90:230]
    assert (inside == (200, 40, 40)).all(axis=-1).mean() > 0.9


def test_a_notebook_displays_the_figure_without_pyplot() -> None:
    formatters = pytest.importorskip("IPython.core.formatters", reason="IPython is not installed")
    figure = explanation_figure(PHOTO, saliency=SALIENCY)
    shown, _ = formatters.DisplayFormatter().format(figure)
    with Image.open(io.BytesIO(shown["image/png"])) as picture:
        assert picture.size == tuple((figure.get_size_inches() * 110).astype(int))
