import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from maskstack import InputError
from maskstack.draw.gallery import GalleryCell, gallery_figure

PHOTO = np.full((30, 40, 3), 0.5, dtype=np.float32)


def cell(side=24, words=("cat", "80%, kept 70%, area 9%")):
    return GalleryCell(np.full((side, side, 3), 0.5), np.eye(side, dtype=np.float32), words)


@pytest.mark.slow
def test_networks_by_photos():
    rows = [("first", [cell(), cell()]), ("a second network with a long name", [cell(32), cell(32, ("dog",))])]
    figure = gallery_figure([("one.png", PHOTO), ("two.png", PHOTO)], rows, title="$not math$")
    drawn = [axis for axis in figure.axes if axis.images]
    assert len(drawn) == 2 + 4
    drawn_text = " ".join(text.get_text() for axis in figure.axes for text in (*axis.texts, axis.title))
    for words in ("one.png", "first", "cat", "area 9%", "dog", "a second network"):
        assert words in drawn_text.replace("\n", " ")
    file = io.BytesIO()
    figure.savefig(file)
    assert Image.open(file).width > 400


@pytest.mark.slow
def test_words_do_not_reach_into_the_next_picture():
    rows = [(f"network {index}", [cell(words=("name", "numbers", "low trust"))] * 2) for index in range(3)]
    figure = gallery_figure([("one.png", PHOTO)] * 2, rows)
    FigureCanvasAgg(figure).draw()
    grid = np.array(figure.axes).reshape(4, 3)
    for upper, lower in ((grid[1, 1], grid[2, 1]), (grid[2, 2], grid[3, 2])):
        (text,) = upper.texts
        assert text.get_window_extent().y0 >= lower.get_window_extent().y1 - 1
        assert text.get_window_extent().y1 <= upper.get_window_extent().y0 + 1


@pytest.mark.slow
@pytest.mark.parametrize("title", ["", "a title", "a title of many words " * 6])
@pytest.mark.parametrize("shape", [(30, 40, 3), (40, 30, 3)])
def test_nothing_is_cut_and_names_do_not_overlap(shape, title):
    photo = np.full(shape, 0.5, dtype=np.float32)
    rows = [("a network with a long name of many words", [cell(words=("x" * 60, "numbers", "low trust"))] * 2)]
    figure = gallery_figure([("one long name of a photo.png", photo), ("two.png", PHOTO)], rows, title=title)
    FigureCanvasAgg(figure).draw()
    drawn = [text for axis in figure.axes for text in (*axis.texts, axis.title) if text.get_text()]
    boxes = [text.get_window_extent() for text in (*drawn, *figure.texts)]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert not any(one.overlaps(two) for index, one in enumerate(boxes) for two in boxes[:index])


@pytest.mark.parametrize(
    ("photos", "rows", "match"),
    [
        ([], [("net", [])], "at least one of each"),
        ([("one", PHOTO)], [], "at least one of each"),
        ([("one", PHOTO)], [("net", [cell(), cell()])], "net has 2 cells for 1 photographs"),
        ([("one", PHOTO)], [("net", [GalleryCell(PHOTO, np.zeros((3, 3), np.float32), ("cat",))])], "same size"),
    ],
)
def test_bad_input(photos, rows, match):
    with pytest.raises(InputError, match=match):
        gallery_figure(photos, rows)


def test_the_outline_and_the_verdict_do_not_cover_a_small_photo():
    saliency = np.zeros((32, 32), np.float32)
    saliency[8:16, 8:16] = 1
    drawn = GalleryCell(np.full((32, 32, 3), 0.5), saliency, ("cat",), verdict="do not use").drawn()
    assert drawn.size == (320, 320)
    assert (np.asarray(drawn) == 128).all(axis=2).mean() > 0.7
