"""The curves show each value at its position, and omit values that were not computed."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskstack.draw.curves import faithfulness_curves


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


def test_many_methods_are_all_drawn() -> None:
    many = {f"method {number}": ([0.0, 1.0], [1.0, 0.0]) for number in range(9)}
    assert [len(axis.lines) for axis in faithfulness_curves(many).axes] == [9, 9]


def test_lines_differ_by_colour_and_by_dashes() -> None:
    four = {name: ([0.0, 1.0], [1.0, 0.0]) for name in "abcd"}
    for axis in faithfulness_curves(four).axes:
        assert len({line.get_color() for line in axis.lines}) == 4
        assert len({line.get_linestyle() for line in axis.lines}) == 4


def test_drawing_leaves_no_figure_behind() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    faithfulness_curves(CURVES)
    assert pyplot.get_fignums() == before
