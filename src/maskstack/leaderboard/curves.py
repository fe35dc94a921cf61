"""Mean insertion and deletion curves, as lines on a drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskstack.leaderboard.columns import COLUMNS
from maskstack.leaderboard.comparison import Comparison
from maskstack.leaderboard.scatter import Tick, nice_marks
from maskstack.leaderboard.styles import styles

WIDTH, HEIGHT = 460.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 20.0, 12.0, 44.0


@dataclass(frozen=True)
class Curve:
    """A method's line, as the points of an SVG polyline."""

    method: str
    style: str
    points: str


@dataclass(frozen=True)
class Panel:
    """The curves of one metric."""

    title: str
    what: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


_WHAT = {"insertion_wide": "share of pixels put back", "deletion_zero": "share of pixels removed"}


def panels(comparison: Comparison) -> tuple[Panel, ...]:
    """Insertion and deletion side by side; empty if neither was measured."""
    return tuple(
        _panel(comparison, metric, what) for metric, what in _WHAT.items() if metric in comparison.network.curves
    )


def _panel(comparison: Comparison, metric: str, what: str) -> Panel:
    network, style = comparison.network, styles(comparison)
    means = {}
    for method in comparison.methods:
        own = network.curves[metric][network.methods.index(method)]
        own = own[np.isfinite(own).all(axis=1)]
        if len(own):
            means[method] = own.mean(axis=0)
    marks = nice_marks(0.0, max(float(mean.max()) for mean in means.values()))

    def x(share: float) -> float:
        return LEFT + share * (WIDTH - RIGHT - LEFT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / marks[-1] * (HEIGHT - BOTTOM - TOP)

    # The reference last, so that no other line lies over it.
    order = sorted(means, key=lambda method: (method == comparison.reference, not style[method].startswith("control")))
    curves = tuple(
        Curve(
            method,
            style[method],
            " ".join(
                f"{x(at / (len(means[method]) - 1)):.1f},{y(value):.1f}" for at, value in enumerate(means[method])
            ),
        )
        for method in order
    )
    x_ticks = tuple(Tick(x(share), f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1))
    y_ticks = tuple(Tick(y(mark), f"{mark:.2g}") for mark in marks)
    return Panel(COLUMNS[metric].label, what, curves, x_ticks, y_ticks)
