"""Checks of options: what passes, and the sentence for what does not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskstack import checks
from maskstack.errors import InputError

NUMBERS = st.one_of(st.integers(-1000, 1000), st.floats(-1000, 1000))


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 50))
def test_whole_accepts_the_range_and_nothing_else(value: int, least: int, width: int) -> None:
    most = least + width
    if least <= value <= most:
        checks.whole("steps", value, least=least, most=most)
    else:
        with pytest.raises(InputError, match=f"^steps is {value}; it must be a whole number from {least} to {most}$"):
            checks.whole("steps", value, least=least, most=most)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, math.nan])
def test_whole_refuses_what_is_not_an_integer(value: object) -> None:
    with pytest.raises(InputError, match="steps is"):
        checks.whole("steps", value, least=0)


@given(NUMBERS, st.booleans(), st.booleans())
def test_real_accepts_the_range_with_or_without_its_ends(value: float, open_low: bool, open_high: bool) -> None:
    inside = (value > -5 or (value == -5 and not open_low)) and (value < 5 or (value == 5 and not open_high))
    if inside:
        checks.real("weight", value, -5, 5, open_low=open_low, open_high=open_high)
    else:
        with pytest.raises(InputError, match="weight is "):
            checks.real("weight", value, -5, 5, open_low=open_low, open_high=open_high)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "0.5", None, False, 1j])
def test_real_refuses_what_is_not_a_number_of_the_range(value: object) -> None:
    with pytest.raises(InputError, match=r"must be a number in \[0, 1\]"):
        checks.real("weight", value, 0, 1)


def test_a_share_excludes_its_ends_unless_they_are_allowed() -> None:
    checks.share("p", 0.5)
    checks.share("p", 0, zero=True)
    checks.share("p", 1, one=True)
    for value, words in ((0, r"\(0, 1\)"), (1, r"\(0, 1\)")):
        with pytest.raises(InputError, match=words):
            checks.share("p", value)
    with pytest.raises(InputError, match=r"\[0, 1\)"):
        checks.share("p", 1, zero=True)


@given(st.lists(st.text("abcde", min_size=1, max_size=6), min_size=1, max_size=5), st.text("abcde", max_size=6))
def test_one_of_accepts_the_words_and_lists_them_otherwise(allowed: list[str], word: str) -> None:
    if word in allowed:
        checks.one_of("kind", word, allowed)
    else:
        with pytest.raises(InputError) as caught:
            checks.one_of("kind", word, allowed)
        assert str(caught.value).startswith(f"kind is {word!r}; it must be one of {', '.join(allowed)}")


def test_a_flag_is_true_or_false_only() -> None:
    checks.flag("fold", True)
    checks.flag("fold", False)
    for value in (0, 1, None, "yes"):
        with pytest.raises(InputError, match=r"fold is .*; it must be True or False"):
            checks.flag("fold", value)


def test_several_makes_a_tuple_of_one_or_many_and_refuses_none() -> None:
    assert checks.several("sizes", 3, int) == (3,)
    assert checks.several("sizes", [3, 4], int) == (3, 4)
    for value in ((), [], None, "ab", {1, 2}):
        with pytest.raises(InputError, match="give at least one in a list or tuple"):
            checks.several("sizes", value, int)


def test_names_are_given_once_each() -> None:
    checks.distinct("method", ["mdm", "rise"])
    with pytest.raises(InputError, match="no method is given"):
        checks.distinct("method", [])
    with pytest.raises(InputError, match="a method is named twice in mdm, mdm"):
        checks.distinct("method", ["mdm", "mdm"])
