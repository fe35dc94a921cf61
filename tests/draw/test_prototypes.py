"""Pages of prototype networks: what their panels show, and that it can be read."""

import io
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from maskstack.draw import as_rgb, overlay
from maskstack.draw.prototypes import Likeness, Shown, looks_like_page, prototype_gallery, region_of
from maskstack.errors import InputError

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (40, 60, 3), dtype=np.uint8)
SOURCE = RANDOM.integers(0, 256, (50, 50, 3), dtype=np.uint8)
LONG = "train/Ruby_throated_Hummingbird/Ruby_Throated_Hummingbird_0001_57557.jpg"


def bump(height, width, row, column):
    rows, columns = np.mgrid[:height, :width]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 60).astype(np.float32)


def line(number=3, *, source=SOURCE, name="train/cat/1.png", similarity=4.0, weight=1.5):
    there = None if source is None else bump(50, 50, 10, 40)
    return Likeness(number, similarity, weight, bump(40, 60, 20, 15), source, there, name)


def shown(number=3, *, source=SOURCE, note="", name="train/cat/1.png"):
    return Shown(number, 1.25, source, None if source is None else bump(50, 50, 10, 40), name, note)


def page(lines, **more):
    return looks_like_page(PHOTO, lines, **{"title": "a.png: cat, 97%", "method": "mdm", **more})


def gallery(lines, **more):
    return prototype_gallery(lines, **{"title": "cat", "method": "mdm", **more})


def texts(figure):
    """All texts of a figure with the boxes they take on it."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [*figure.texts, figure._suptitle, figure._supxlabel]
    for axis in figure.axes:
        found += [*axis.texts, axis.title]
    unique = {id(text): text for text in found if text is not None and text.get_text()}
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in unique.values()]


def all_text(figure):
    return "\n".join(text for text, _ in texts(figure))


def assert_readable(figure):
    boxes = texts(figure)
    for (one, first), (other, second) in combinations(boxes, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert wide <= 1 or high <= 1, f"{one!r} and {other!r} overlap"
    for text, box in boxes:
        assert box.x0 >= -1, text
        assert box.x1 <= figure.bbox.x1 + 1, text
        assert box.y0 >= -1, text
        assert box.y1 <= figure.bbox.y1 + 1, text


def assert_texts_beside_pictures(figure):
    """No text lies on a picture of another panel."""
    pictures = [axis.get_window_extent() for axis in figure.axes if axis.images]
    for text, box in texts(figure):
        for picture in pictures:
            wide = min(box.x1, picture.x1) - max(box.x0, picture.x0)
            high = min(box.y1, picture.y1) - max(box.y0, picture.y0)
            assert wide <= 1 or high <= 2, f"{text!r} lies on a picture"


@pytest.mark.slow
def test_a_row_shows_the_image_the_prototypes_own_image_and_their_maps() -> None:
    figure = page([line(3), line(8)])
    assert len(figure.axes) == 10
    first = figure.axes[:5]
    assert [axis.get_title() for axis in first] == ["this image", "its map", "looks like", "its map", ""]
    photo, source = as_rgb(PHOTO), as_rgb(SOURCE)
    np.testing.assert_array_equal(first[1].images[0].get_array(), overlay(photo, bump(40, 60, 20, 15)))
    np.testing.assert_array_equal(first[3].images[0].get_array(), overlay(source, bump(50, 50, 10, 40)))
    assert not any(axis.axison for axis in figure.axes), "ticks and frames around pictures"


@pytest.mark.slow
@pytest.mark.parametrize(("place", "photo", "values"), [
    (0, PHOTO, bump(40, 60, 20, 15)), (2, SOURCE, bump(50, 50, 10, 40)),
])  # fmt: skip
def test_outside_of_the_region_the_photo_is_dimmed_and_inside_it_is_as_it_is(place, photo, values) -> None:
    drawn = np.asarray(page([line()]).axes[place].images[0].get_array())
    inside = region_of(values)
    assert 0 < inside.mean() < 0.5
    # The outline covers a few pixels on both sides of the region's edge.
    deep, far = region_of(values, level=0.85), ~region_of(values, level=0.1)
    np.testing.assert_array_equal(drawn[deep], photo[deep])
    assert drawn[far].std() < 0.5 * photo[far].std()


def test_the_region_is_outlined() -> None:
    drawn = np.asarray(page([line()]).axes[0].images[0].get_array()).astype(int)
    rows, columns = np.nonzero((drawn < 40).all(axis=2))
    radius = np.hypot(columns + 0.5 - 15, rows + 0.5 - 20)
    assert np.median(radius) == pytest.approx(np.sqrt(60 * np.log(2)), abs=2), "the level set of half the maximum"


@pytest.mark.slow
def test_numbers_say_what_was_multiplied_and_added() -> None:
    text = all_text(page([line(3, similarity=4.0, weight=1.5), line(8, similarity=2.5, weight=-0.5)]))
    assert "similarity 4.00\nx weight 1.50\n= 6.00" in text
    assert "similarity 2.50\nx weight -0.50\n= -1.25" in text
    assert "these 2 prototypes add 4.75 to the class's logit" in text
    assert "regions by mdm" in text
    assert "similarity -0.20 (unlike)" in all_text(page([line(similarity=-0.2)]))
    assert "this prototype adds 6.00" in all_text(page([line()]))


@pytest.mark.slow
def test_a_picture_that_is_not_available_is_reported() -> None:
    figure = page([line(3), line(8, source=None)])
    assert all_text(figure).count("picture not available") == 1
    assert len([axis for axis in figure.axes if axis.images]) == 6
    assert all_text(gallery([shown(source=None)])).count("picture not available") == 1


@pytest.mark.slow
def test_a_gallery_has_a_picture_for_each_prototype() -> None:
    figure = gallery([shown(number) for number in range(7)], columns=3)
    assert len([axis for axis in figure.axes if axis.images]) == 7
    assert figure.axes[4].get_title() == "4: weight 1.25\ntrain/cat/1.png"
    assert "\nduplicate of 2" in gallery([shown(note="duplicate of 2")]).axes[0].get_title()


@pytest.mark.parametrize("count", [1, 2, 10])
@pytest.mark.slow
def test_texts_do_not_overlap_on_a_page(count: int) -> None:
    lines = [line(100 + number, source=SOURCE if number % 2 else None, name=LONG) for number in range(count)]
    for photo in (PHOTO, np.zeros((30, 90, 3), np.uint8), np.zeros((90, 30, 3), np.uint8)):
        values = np.ones(photo.shape[:2], np.float32)
        fitting = [replace(each, similarity=9.21, weight=-10.5, region=values) for each in lines]
        figure = looks_like_page(photo, fitting, title="W" * 300, method="mdm:steps=400:sizes=4/7/14")
        assert_readable(figure)
        assert_texts_beside_pictures(figure)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
@pytest.mark.slow
def test_texts_do_not_overlap_in_a_gallery(count: int) -> None:
    figure = gallery(
        [shown(1000 + number, name=LONG, note="duplicate of 1000" if number else "") for number in range(count)],
        title="Ruby_throated_Hummingbird of the north, adult, male, in flight",
    )
    assert_readable(figure)
    assert_texts_beside_pictures(figure)


@pytest.mark.parametrize("name", ["costs $5 and $6.png", r"$\frac$.png", "a_b^c.png", "猫.png"])
@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.slow
def test_names_are_shown_as_they_are(name: str) -> None:
    for figure in (page([line(name=name)], title=name), gallery([shown(name=name)], title=name)):
        figure.savefig(io.BytesIO(), format="png", dpi=40)
        assert name in all_text(figure)
        assert not any(text.get_parse_math() and text.get_text().count("$") > 1
                       for axis in figure.axes for text in [*axis.texts, axis.title])  # fmt: skip


@pytest.mark.slow
def test_it_is_written_as_a_picture() -> None:
    for figure in (page([line()]), gallery([shown()])):
        written = io.BytesIO()
        figure.savefig(written, format="png", dpi=50)
        assert np.asarray(Image.open(written).convert("L")).std() > 10


def test_a_map_of_zeros_has_no_region() -> None:
    assert not region_of(np.zeros((4, 4), np.float32)).any()
    assert region_of(np.ones((4, 4), np.float32)).all()
    flat = Likeness(0, 0.0, 1.0, np.zeros((40, 60), np.float32), None, None, "x")
    assert not page([flat]).axes[0].collections


NOTHING = "a blank image scores as high, so no region explains the score"


@pytest.mark.slow
def test_where_nothing_was_found_no_region_is_drawn_and_why_is_said() -> None:
    figure = page([replace(line(), problem=NOTHING), replace(line(4), source_problem=NOTHING)])
    cells = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    np.testing.assert_allclose(cells[0], as_rgb(PHOTO), atol=1e-6)
    assert (cells[1] == 1).all()
    np.testing.assert_allclose(cells[6], as_rgb(SOURCE), atol=1e-6)
    assert all_text(figure).replace("\n", " ").count(f"no region: {NOTHING}") == 2
    assert_readable(figure)
    figure = gallery([replace(shown(), problem=NOTHING)])
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), as_rgb(SOURCE), atol=1e-6)
    assert f"no region: {NOTHING}" in all_text(figure).replace("\n", " ")
    assert_readable(figure)


@pytest.mark.slow
def test_the_verdict_is_written_on_the_map_that_it_is_about() -> None:
    def pictures(figure):
        return [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]

    plain, judged = pictures(page([line()])), pictures(page([replace(line(), word="doubtful")]))
    assert [np.array_equal(*both) for both in zip(plain, judged, strict=True)] == [True, False, True, True]
    judged = pictures(page([replace(line(), source_word="do not use")]))
    assert [np.array_equal(*both) for both in zip(plain, judged, strict=True)] == [True, True, True, False]
    (plain,), (judged,) = pictures(gallery([shown()])), pictures(gallery([replace(shown(), word="doubtful")]))
    assert not np.array_equal(plain, judged)


def test_what_does_not_fit_is_reported() -> None:
    with pytest.raises(InputError, match="there is no prototype to draw"):
        page([])
    with pytest.raises(InputError, match="there is no prototype to draw"):
        gallery([])
    wrong = Likeness(0, 1.0, 1.0, bump(40, 40, 3, 3), None, None, "x")
    with pytest.raises(InputError, match="they must be of one size"):
        page([wrong])
    wrong = Likeness(0, 1.0, 1.0, bump(40, 60, 3, 3), SOURCE, bump(40, 60, 3, 3), "x")
    with pytest.raises(InputError, match="they must be of one size"):
        page([wrong])
    with pytest.raises(InputError, match="they must be of one size"):
        gallery([Shown(0, 1.0, SOURCE, bump(40, 60, 3, 3), "x")])
