"""Mean curves of several methods as coordinates of an SVG drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskstack.draw.scatter import Frame, Tick, nice_marks

_FRAME = Frame(width=460, height=320, left=48, right=440, top=12, bottom=276)


@dataclass(frozen=True)
class Curve:
    """A method's line, as the points of an SVG polyline."""

    method: str
    style: str
    points: str


@dataclass(frozen=True)
class CurvePanel:
    """The curves of one metric, in pixels."""

    title: str
    x_label: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    frame: Frame


def curve_panel(
    means: Mapping[str, Sequence[float]], styles: Mapping[str, str], *, title: str, x_label: str
) -> CurvePanel:
    """Place the curves of a metric in a drawing.

    Args:
        means: For each method its curve, at equal steps of the share of pixels; later ones are drawn on top.
        styles: For each method the name of its style, see :func:`maskstack.draw.scatter.method_styles`.
        title: Name of the metric.
        x_label: What the share of pixels means.
    """
    marks = nice_marks(0.0, max(max(mean) for mean in means.values()))
    curves = tuple(
        Curve(
            method,
            styles[method],
            " ".join(
                f"{_FRAME.x(step / (len(mean) - 1)):.1f},{_FRAME.y(value / marks[-1]):.1f}"
                for step, value in enumerate(mean)
            ),
        )
        for method, mean in means.items()
    )
    x_ticks = tuple(Tick(_FRAME.x(share), f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1))
    y_ticks = tuple(Tick(_FRAME.y(mark / marks[-1]), f"{mark:.2g}") for mark in marks)
    return CurvePanel(title, x_label, curves, x_ticks, y_ticks, _FRAME)
