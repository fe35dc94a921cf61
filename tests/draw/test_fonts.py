"""Texts in letters that matplotlib's own font lacks."""

import warnings
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from PIL import ImageFont
from rich.cells import cell_len

from maskstack.draw.fonts import OWN, pil_font, use_installed_fonts

LATIN, RARE, NOWHERE = "Zürich, Ελλάδα, Москва", "\u1d81 and \u1d8d", "\U0010fffd"
"""Letters of matplotlib's own font; two that only another font has, which matplotlib brings too; and one of no font."""


def letters(font: ImageFont.FreeTypeFont) -> set[int]:
    return set(FT2Font(str(font.path)).get_charmap())


@pytest.mark.parametrize("bold", [False, True])
def test_the_own_font_is_taken_where_it_can_be(bold: bool) -> None:
    font = pil_font(12, LATIN, bold=bold)
    assert Path(font.path).name == ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    assert font.size == 12


def test_another_font_is_taken_for_letters_that_it_lacks() -> None:
    font = pil_font(12, RARE)
    assert set(map(ord, RARE)) <= letters(font)
    assert not set(map(ord, RARE)) <= letters(pil_font(12))


def test_letters_of_no_font_are_left_as_they_are() -> None:
    assert Path(pil_font(12, NOWHERE).path).name == "DejaVuSans.ttf"
    figure = Figure()
    text = figure.text(0, 0, NOWHERE)
    before = text.get_fontfamily()
    use_installed_fonts(figure)
    assert text.get_fontfamily() == before


@pytest.mark.slow
def test_all_letters_of_a_figure_are_drawn_and_the_others_stay_in_its_own_font() -> None:
    figure = Figure()
    usual, rare = figure.text(0, 0.5, LATIN), figure.text(0, 0.2, f"{LATIN} {RARE}\n{RARE}")
    before = usual.get_fontfamily()
    use_installed_fonts(figure)
    assert usual.get_fontfamily() == before
    assert rare.get_fontfamily()[0] == OWN
    assert rare.get_text().endswith(RARE), "the text itself stays"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that a glyph is missing
        FigureCanvasAgg(figure).draw()


@pytest.mark.parametrize("text", ["虎斑猫与肺炎影像" * 6, "pulmonary fibrosis with honeycombing " * 3])
def test_names_of_wide_letters_are_shortened_like_others(text: str) -> None:
    from maskstack.draw.gallery import _wrapped
    from maskstack.draw.prototypes import _short

    for short in (_wrapped(text, 20, lines=1), _short(text, 20)):
        assert 16 <= cell_len(short) <= 20
        assert "..." in short
