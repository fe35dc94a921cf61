"""The curves show each value at its position, and omit values that were not computed."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskstack.draw.curves import faithfulness_curves, search_curve

NAN = float("nan")


@pytest.fixture(autouse=True)
def _no_warnings():
    """Warnings of Matplotlib are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drawn(axis: Axes) -> dict[str, list[tuple[float, float]]]:
    """The points of each line, by its label."""
    return {line.get_label(): [tuple(map(float, point)) for point in line.get_xydata()] for line in axis.lines}


def in_legend(axis: Axes) -> list[str]:
    return [text.get_text() for text in axis.get_legend().get_texts()]


def rendered(figure: Figure) -> np.ndarray:
    """The figure's pixels."""
    file = io.BytesIO()
    figure.savefig(file, format="rgba", dpi=80)
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


def test_a_search_is_drawn_from_its_first_step_and_nan_is_left_out() -> None:
    figure = search_curve([0.2, NAN, 0.6], [NAN, 0.5, NAN], whole=0.7, steps=10, name="probability")
    [axis] = figure.axes
    lines = drawn(axis)
    assert lines["shown"] == [(1, 0.2), (3, 0.6)]
    assert lines["hidden"] == [(2, 0.5)]
    assert {y for _, y in lines["whole image"]} == {0.7}
    assert in_legend(axis) == ["whole image", "shown", "hidden"]
    assert axis.get_xlim() == (0, 10)
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("step", "probability")
    assert rendered(figure).std() > 0


@pytest.mark.parametrize("left", [[], [NAN, NAN]], ids=str)
def test_values_that_were_not_computed_have_no_line(left) -> None:
    [axis] = search_curve([0.2, 0.3], left, whole=0.7, steps=10).axes
    assert in_legend(axis) == ["whole image", "shown"]


def test_a_search_that_has_not_begun_is_drawn_too() -> None:
    figure = search_curve([], [], whole=0.7, steps=10)
    assert in_legend(figure.axes[0]) == ["whole image"]
    assert rendered(figure).std() > 0


@pytest.mark.parametrize(
    ("kept", "left", "whole"),
    [([0.1, 0.9], [0.3], 0.5), ([0.1], [2.0], 0.5), ([-3.0, -1.0], [-7.0], -2.0), ([0.0], [NAN], 0.001)],
    ids=str,
)
def test_no_value_lies_outside_the_axis(kept, left, whole) -> None:
    [axis] = search_curve(kept, left, whole=whole, steps=5).axes
    low, high = axis.get_ylim()
    for value in (*kept, *left, whole):
        assert value != value or low <= value <= high


CURVES = {
    "MDM": ([0.0, 0.6, 0.9], [0.9, 0.3, 0.0]),
    "Grad-CAM": ([0.0, 0.4, 0.7, 0.8, 0.9], [0.9, 0.6, 0.5, 0.2, 0.0]),
    "RISE": ([0.1, 0.9], [0.9, 0.1]),
}


def test_each_method_has_its_line_on_both_sides_over_all_pixels() -> None:
    figure = faithfulness_curves(CURVES, name="probability")
    left, right = figure.axes
    assert "insertion" in left.get_title()
    assert "deletion" in right.get_title()
    for axis, which in ((left, 0), (right, 1)):
        lines = drawn(axis)
        assert list(lines) == list(CURVES)
        for method, curve in CURVES.items():
            assert [y for _, y in lines[method]] == curve[which]
            places = [x for x, _ in lines[method]]
            assert places == pytest.approx(np.linspace(0, 100, len(curve[which])).tolist())
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylabel() == "probability"
    assert in_legend(right) == list(CURVES)


def test_lines_differ_by_colour_and_by_dashes() -> None:
    four = {name: ([0.0, 1.0], [1.0, 0.0]) for name in "abcd"}
    for axis in faithfulness_curves(four).axes:
        assert len({line.get_color() for line in axis.lines}) == 4
        assert len({line.get_linestyle() for line in axis.lines}) == 4
    [axis] = search_curve([0.1, 0.2], [0.3, 0.2], whole=0.5, steps=2).axes
    assert len({line.get_color() for line in axis.lines}) == 3


def test_many_methods_are_all_drawn() -> None:
    many = {f"method {number}": ([0.0, 1.0], [1.0, 0.0]) for number in range(9)}
    assert [len(axis.lines) for axis in faithfulness_curves(many).axes] == [9, 9]


def test_drawing_leaves_no_figure_behind() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    search_curve([0.1], [0.2], whole=0.5, steps=2)
    faithfulness_curves(CURVES)
    assert pyplot.get_fignums() == before


def test_what_is_infinite_is_left_out() -> None:
    [axis] = search_curve([float("inf"), 1.0], [], whole=1.0, steps=2).axes
    assert drawn(axis)["shown"] == [(2, 1.0)]
