"""Verdicts differ by word, shape and brightness, not by colour alone."""

import re
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from maskstack.draw import badges
from maskstack.draw.badges import SIGNS, draw_badge, sign_of, sign_picture


def grey(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L")).astype(int)


def test_the_words_are_the_three_verdicts() -> None:
    assert list(SIGNS) == ["reliable", "doubtful", "do not use"]
    assert len({sign.letter for sign in SIGNS.values()}) == len({sign.corners for sign in SIGNS.values()}) == 3


def test_the_signs_differ_in_grey() -> None:
    for one, other in combinations(SIGNS.values(), 2):
        assert np.abs(grey(sign_picture(one, 40)) - grey(sign_picture(other, 40))).mean() > 15


@pytest.mark.parametrize("word", [*SIGNS, "anything else"])
def test_a_badge_is_dark_with_light_words_inside_the_picture(word: str) -> None:
    picture = Image.new("RGB", (400, 300), (120, 130, 140))
    draw_badge(picture, word, ["espresso 95%"], corners=[(True, False)])
    changed = (np.asarray(picture) != (120, 130, 140)).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert columns.min() > 130
    assert rows.max() < 100
    assert grey(picture)[changed].min() < 30
    assert grey(picture)[changed].max() > 240


def test_lines_that_do_not_fit_are_left_out() -> None:
    small, large = (Image.new("RGB", (side, side), "white") for side in (100, 600))
    for picture in (small, large):
        draw_badge(picture, "do not use", ["a line of many words that is long", "another"])
    share = [(grey(picture) < 250).mean() for picture in (small, large)]
    assert all(each < 0.15 for each in share)


def test_a_long_name_is_smaller_then_cut_in_its_middle_and_then_left_out(monkeypatch) -> None:
    tried = []
    real = badges._badge
    monkeypatch.setattr(
        badges, "_badge", lambda word, lines, *more: tried.append(list(lines)) or real(word, lines, *more)
    )
    name = "pulmonary fibrosis with honeycombing in the lower lobes of both lungs"

    def lines(side: int, name: str = name) -> list[str]:
        """Those of the badge that is drawn, which is the last one tried."""
        draw_badge(Image.new("RGB", (side, side), "white"), "reliable", [f"{name} 49%"])
        return tried[-1]

    assert lines(600, name[:35]) == [f"{name[:35]} 49%"]
    (cut,) = lines(500)
    assert re.fullmatch(r"pulmonary fibrosis.*\u2026 49%", cut)
    assert lines(120) == []


def test_it_does_not_cover_the_region_where_another_corner_or_fewer_lines_leave_it_free() -> None:
    region = np.zeros((300, 400), dtype=bool)
    region[150:] = True
    for free, where in ((region, slice(0, 150)), (~region, slice(150, 300))):
        picture = Image.new("RGB", (400, 300), "white")
        draw_badge(picture, "reliable", ["espresso 95%"], corners=[(False, True), (False, False)], keep_free=free)
        rows = np.nonzero(grey(picture) < 250)[0]
        assert where.start <= rows.min() <= rows.max() < where.stop
    narrow = np.zeros((300, 400), dtype=bool)
    narrow[:, 110:] = True  # room for the word alone
    picture = Image.new("RGB", (400, 300), "white")
    draw_badge(picture, "reliable", ["a line of many words that is long"], corners=[(False, True)], keep_free=narrow)
    assert not (grey(picture) < 250)[narrow].any()


def test_it_is_there_where_all_corners_are_covered() -> None:
    pictures = [Image.new("RGB", (400, 300), "white") for _ in range(2)]
    for picture, free in zip(pictures, (None, np.ones((300, 400), dtype=bool)), strict=True):
        draw_badge(picture, "reliable", ["espresso 95%"], keep_free=free)
    assert np.array_equal(*map(np.asarray, pictures))


def test_other_words_have_a_neutral_sign() -> None:
    assert sign_of("").letter not in {sign.letter for sign in SIGNS.values()}
