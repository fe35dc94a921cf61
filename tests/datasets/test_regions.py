import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from maskstack.datasets import AnnotatedImage, MaskFile, Polygons, RunLengths
from maskstack.datasets.regions import dilated
from maskstack.errors import InputError

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def runs(mask):
    flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return tuple(np.diff(edges, prepend=0).tolist())


def packed(counts):
    """COCO's compression, implemented from its description."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


@pytest.mark.slow
@given(MASKS, st.booleans())
def test_run_lengths_give_the_mask_back(mask, compressed):
    counts = runs(mask)
    region = RunLengths(packed(counts) if compressed else counts, mask.shape[::-1])
    assert np.array_equal(np.asarray(region.draw(mask.shape[::-1])) == 255, mask)


@pytest.mark.parametrize("counts", [(3, 2), (-1, 7), (), "", "1", (10**30,)])
def test_run_lengths_that_do_not_fill_the_picture_are_refused(counts):
    with pytest.raises(InputError, match=r"a.json annotation 3"):
        RunLengths(counts, (2, 3), "a.json annotation 3").draw((2, 3))


def test_run_lengths_of_another_size_are_refused():
    with pytest.raises(InputError, match="for 2 x 3 pixels, but the image has 4 x 6"):
        RunLengths((6,), (2, 3)).draw((4, 6))


def test_polygons_cover_the_pixels_whose_centre_is_inside():
    drawn = np.asarray(Polygons(((2.0, 3.0, 8.0, 3.0, 8.0, 9.0, 2.0, 9.0),)).draw((20, 10))) > 0
    assert drawn.shape == (10, 20)
    assert drawn[3:9, 2:8].all()
    assert drawn.sum() == 36


@pytest.mark.parametrize("radius", [3, 10, 25, 60])
def test_the_area_of_a_polygon_is_that_of_its_outline(radius):
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    outline = np.stack([32.3 + radius * np.cos(turn), 30.8 + radius * np.sin(turn)], axis=1)
    drawn = np.asarray(Polygons((tuple(outline.ravel()),)).draw((64, 64))) > 0
    down, across = np.mgrid[:64, :64] + 0.5
    assert (drawn != (np.hypot(across - 32.3, down - 30.8) <= radius)).sum() <= 2


def test_several_outlines_and_thin_ones_are_drawn():
    two = Polygons(((1, 1, 4, 1, 4, 4, 1, 4), (3, 3, 6, 3, 6, 6, 3, 6))).draw((8, 8))
    assert (np.asarray(two) > 0).sum() == 17
    assert (np.asarray(Polygons(((1.6, 1, 1.9, 1, 1.9, 6, 1.6, 6),)).draw((8, 8))) > 0).any()


def test_files_choose_their_value_and_leave_out_the_void(tmp_path):
    values = np.zeros((6, 8), np.uint8)
    values[:2], values[2:4], values[5] = 1, 2, 255
    mask = Image.fromarray(values)
    mask.putpalette([*range(256)] * 3)
    mask.save(tmp_path / "mask.png")
    assert (np.asarray(MaskFile(tmp_path / "mask.png", 2).draw((8, 6))) > 0).sum() == 16
    assert (np.asarray(MaskFile(tmp_path / "mask.png").draw((8, 6))) > 0).sum() == 32
    assert MaskFile(tmp_path / "mask.png").draw((16, 12)).size == (16, 12)
    with pytest.raises(InputError, match="cannot be read"):
        MaskFile(tmp_path / "none.png").draw((8, 6))


def test_masks_of_several_objects_are_united():
    two = AnnotatedImage(None, "a", regions=(RunLengths((0, 2, 4), (2, 3)), RunLengths((4, 2), (2, 3))))
    assert (np.asarray(two.mask((2, 3))) > 0).sum() == 4
    assert AnnotatedImage(None, "a").mask((2, 3)) is None


@pytest.mark.slow
@given(MASKS, st.floats(0, 6))
def test_dilation_reaches_all_within_the_radius(mask, radius):
    grown = np.asarray(dilated(Image.fromarray((mask * 255).astype(np.uint8)), radius)) > 0
    rows, columns = np.indices(mask.shape)
    wanted = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        wanted |= (rows - row) ** 2 + (columns - column) ** 2 <= max(radius, 0.5) ** 2
    assert np.array_equal(grown, wanted)
