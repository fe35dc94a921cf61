"""The figure of one explanation."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from maskstack.draw import as_rgb, explanation_figure, overlay
from maskstack.errors import InputError

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (12, 18, 3), dtype=np.uint8)
SALIENCY, STACK = RANDOM.random((2, 12, 18), dtype=np.float32)


def draw(sizes: list[tuple[int, int]], title: str = "a cat") -> tuple[Figure, np.ndarray]:
    masks = RANDOM.random((len(sizes), 12, 18), dtype=np.float32)
    return explanation_figure(PHOTO, masks=masks, sizes=sizes, stack=STACK, saliency=SALIENCY, title=title), masks


def panels(figure: Figure) -> dict[str, object]:
    return {axis.get_title(): axis.images[0] for axis in figure.axes if axis.images}


@pytest.mark.parametrize("count", [1, 4, 7])
def test_there_is_a_panel_for_photo_overlay_masked_photo_stack_and_every_size(count: int) -> None:
    sizes = [(index + 2, index + 3) for index in range(count)]
    figure, masks = draw(sizes)
    found = panels(figure)
    own = [f"{h} x {w}, area {mask.mean():.0%}" for (h, w), mask in zip(sizes, masks, strict=True)]
    assert list(found) == ["photo", "overlay", f"masked, area {STACK.mean():.0%}", "stack", *own]
    for name, mask in zip(own, masks, strict=True):
        np.testing.assert_array_equal(found[name].get_array(), mask)
    assert figure.get_suptitle() == "a cat"
    assert not any(axis.axison for axis in figure.axes), "ticks and frames around images"


def test_each_panel_shows_what_its_title_says() -> None:
    found = panels(draw([(2, 2)])[0])
    photo = as_rgb(PHOTO)
    np.testing.assert_array_equal(found["photo"].get_array(), photo)
    np.testing.assert_array_equal(found["overlay"].get_array(), as_rgb(overlay(PHOTO, SALIENCY)))
    masked = found[f"masked, area {STACK.mean():.0%}"].get_array()
    np.testing.assert_allclose(masked, photo * STACK[:, :, None], rtol=1e-6)
    np.testing.assert_array_equal(found["stack"].get_array(), SALIENCY)


def test_maps_are_drawn_on_the_one_scale_from_0_to_1() -> None:
    for name, panel in panels(draw([(2, 2), (3, 3)])[0]).items():
        if name == "stack" or name[0].isdigit():
            assert panel.get_clim() == (0, 1), name
            assert panel.get_cmap().name == "inferno"


def test_it_is_written_as_a_picture_and_belongs_to_no_window() -> None:
    before = plt.get_fignums()
    figure, _masks = draw([(2, 2)])
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=50)
    pixels = np.asarray(Image.open(written).convert("RGB")).astype(int)
    assert pixels.std() > 10
    assert (pixels != pixels[0, 0]).any(axis=2).mean() > 0.2, "the panels leave most of the figure empty"
    assert plt.get_fignums() == before


def test_masks_and_sizes_have_to_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        explanation_figure(PHOTO, masks=SALIENCY[None], sizes=[(2, 2), (3, 3)], stack=STACK, saliency=SALIENCY)
    with pytest.raises(InputError, match="they must have the same size"):
        explanation_figure(PHOTO[:5], masks=SALIENCY[None], sizes=[(2, 2)], stack=STACK, saliency=SALIENCY)
