"""Settings are checked when they are made, and survive JSON."""

import dataclasses
import json
import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from maskstack.errors import InputError
from maskstack.masks import SearchSettings
from maskstack.masks.fills import FILLS
from maskstack.masks.losses import CONSISTENCIES
from maskstack.masks.settings import Parametrisation, SearchOptions, setting_help
from maskstack.masks.stack import STACKS
from maskstack.speed import Speed

SIZES = st.one_of(st.integers(1, 99), st.tuples(st.integers(1, 99), st.integers(1, 99)))
VALID = st.fixed_dictionaries(
    {},
    optional={
        "sizes": st.lists(SIZES, min_size=1, max_size=4).map(tuple),
        "joint": st.booleans(),
        "steps": st.integers(1, 100_000),
        "learning_rate": st.floats(0, 10, exclude_min=True),
        "mask_weight": st.floats(0, 1000),
        "removal": st.floats(0, 1000),
        "removal_every": st.sampled_from([0, 2, 3, 1000]),
        "smoothness": st.floats(0, 1000),
        "fill": st.lists(st.sampled_from(FILLS), min_size=1, max_size=3).map(tuple),
        "blur": st.floats(0, 1),
        "consistency": st.sampled_from(CONSISTENCIES),
        "parametrisation": st.sampled_from(get_args(Parametrisation)),
        "start": st.floats(0, 1, exclude_min=True, exclude_max=True),
        "stack": st.sampled_from(STACKS),
        "tolerance": st.floats(0, 1),
        "patience": st.integers(0, 100_000),
        "seed": st.integers(0, 2**63 - 1),
        "batch_size": st.integers(1, 65_536),
        "speed": st.sampled_from(get_args(Speed)),
    },
)


@pytest.mark.slow
@given(VALID)
@hypothesis_settings(deadline=None)
def test_valid_settings_survive_json(changes) -> None:
    if changes.get("parametrisation") == "clip" and changes.get("stack", "log_odds") == "log_odds":
        changes["stack"] = "mean"
    made = SearchSettings().with_(**changes)
    written = json.dumps(made.as_dict(), allow_nan=False)
    assert SearchSettings.from_dict(json.loads(written)) == made
    for name, value in changes.items():
        if name != "sizes":
            assert getattr(made, name) == value


def test_single_values_and_lists_become_tuples() -> None:
    made = SearchSettings(sizes=[7, [4, 6]], fill="blur")
    assert made.sizes == ((7, 7), (4, 6))
    assert made.fill == ("blur",)
    assert SearchSettings(sizes=5).sizes == ((5, 5),)
    assert hash(made) == hash(SearchSettings(sizes=(7, (4, 6)), fill=("blur",)))


RANGES = {
    "steps": ("a whole number from 1 to 100000", [0, -3, 100_001, 2.0, "9", None, True, math.nan]),
    "patience": ("a whole number from 0 to 100000", [-1, 100_001, 0.5, False]),
    "seed": ("a whole number from 0 to 9223372036854775807", [-1, 2**63, 1.0]),
    "batch_size": ("a whole number from 1 to 65536", [0, 65_537, None]),
    "learning_rate": ("a number in (0, 10]", [0, -0.1, 10.1, math.nan, math.inf, "0.1", None, True]),
    "mask_weight": ("a number in [0, 1000]", [-0.1, 1000.1, math.nan, -math.inf]),
    "removal": ("a number in [0, 1000]", [-0.1, math.inf]),
    "removal_every": ("a whole number from 0 to 1000", [-1, 1001, 2.0]),
    "smoothness": ("a number in [0, 1000]", [-0.1, 1001, 1j]),
    "blur": ("a number in [0, 1]", [-0.1, 1.1]),
    "start": ("a number in (0, 1)", [0, 1, 0.0, 1.0, -1]),
    "tolerance": ("a number in [0, 1]", [-1e-9, 2]),
    "joint": ("True or False", [1, 0, "yes", None]),
    "consistency": ("one of one_sided, squared, absolute", ["two_sided", 2, None]),
    "parametrisation": ("one of sigmoid, clip", ["softmax", ["sigmoid"]]),
    "stack": ("one of log_odds, mean, normalised, geometric", ["median", ""]),
    "speed": ("one of auto, plain, half, compiled, half_compiled", ["fast", 32]),
    "fill": ("one of zero, mean, blur, noise, given", [("zero", "black"), "grey", (1,)]),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, values) in RANGES.items() for value in values])
def test_an_invalid_value_is_named_with_its_range(name: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        SearchSettings(**{name: value})
    assert str(caught.value).startswith(f"{name} is ")
    assert RANGES[name][0] in str(caught.value)
    bad = value[-1] if isinstance(value, tuple) else value
    assert repr(bad) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("sizes", ()), ("sizes", []), ("sizes", None), ("sizes", "7"), ("sizes", 2.5), ("fill", ()), ("fill", 3)],
)
def test_an_empty_choice_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name} is .*; give at least one"):
        SearchSettings(**{name: value})


@pytest.mark.parametrize("sizes", [(7, 0), (7, (3, 4, 5, 6)), (2.5,), ((2, None),), (True,)], ids=repr)
def test_a_size_that_is_none_is_refused(sizes: object) -> None:
    with pytest.raises(InputError, match="positive whole number or a pair"):
        SearchSettings(sizes=sizes)


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("consistency", "onesided", "one_sided"),
        ("stack", "normalized", "normalised"),
        ("fill", "blurr", "blur"),
        ("parametrisation", "sigmod", "sigmoid"),
    ],
)
def test_a_mistyped_choice_suggests_the_nearest(field: str, value: str, meant: str) -> None:
    with pytest.raises(InputError, match=rf"\(did you mean {meant}\?\)"):
        SearchSettings(**{field: value})


@pytest.mark.parametrize(("typed", "meant"), [("learningrate", "learning_rate"), ("size", "sizes"), ("step", "steps")])
def test_an_unknown_setting_suggests_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"no setting named {typed}; did you mean {meant}\\?"):
        SearchSettings().with_(**{typed: 1})


def test_a_setting_like_no_other_lists_them_all() -> None:
    with pytest.raises(InputError) as caught:
        SearchSettings.from_dict({"xyzzy": 1})
    assert all(field.name in str(caught.value) for field in dataclasses.fields(SearchSettings))


def test_settings_cannot_be_changed_in_place_and_with_leaves_the_original() -> None:
    made = SearchSettings(steps=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.steps = 6
    assert made.with_(steps=7, fill="mean").steps == 7
    assert made.steps == 5
    with pytest.raises(InputError, match="steps is 0"):
        made.with_(steps=0)


def test_options_and_help_name_exactly_the_settings() -> None:
    fields = [field.name for field in dataclasses.fields(SearchSettings)]
    assert list(SearchOptions.__annotations__) == fields
    assert list(setting_help()) == fields
    assert set(SearchSettings().running()) <= set(fields)


@pytest.mark.parametrize("name", ["steps", "joint"])
def test_help_is_a_sentence_in_one_line(name: str) -> None:
    words = setting_help()[name]
    assert words.endswith(".")
    assert "\n" not in words
    assert "  " not in words
