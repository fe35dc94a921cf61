"""Quality against passes, as places on a drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskstack.leaderboard.comparison import Comparison
from maskstack.runs.statistics import Bootstrap
from maskstack.leaderboard.styles import styles
from maskstack.leaderboard.summary import cost

WIDTH, HEIGHT = 720.0, 400.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 24.0, 16.0, 48.0
_NOTHING = 44.0
"""Width of the strip for methods without any pass, which a logarithm has no place for."""

_LETTER, _LINE = 6.9, 13.0

_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Point:
    """A method's place, the ends of its interval, and where its name stands."""

    method: str
    style: str
    passes: float
    quality: float
    x: float
    y: float
    low_y: float
    high_y: float
    label_x: float = 0.0
    label_y: float = 0.0
    anchor: str = "start"


@dataclass(frozen=True)
class Scatter:
    """The drawing."""

    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def scatter(comparison: Comparison, bootstrap: Bootstrap) -> Scatter | None:
    """Place the methods by insertion minus deletion and by the passes of a map; None if that was not measured."""
    quality = comparison.network.quality
    if quality is None or not np.isfinite(quality).any():
        return None
    found = []
    for method in comparison.methods:
        own = quality[comparison.network.methods.index(method)]
        own, passes = own[np.isfinite(own)], cost(comparison, method).passes
        if len(own) and passes is not None:
            low, high = bootstrap.intervals(own[None])[0]
            found.append((method, passes, float(own.mean()), float(low), float(high)))
    if not found:
        return None
    y_marks = nice_marks(min(low for *_, low, _ in found), max(high for *_, high in found))
    decades = _decades([passes for _, passes, *_ in found])
    style = styles(comparison)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_marks[0]) / (y_marks[-1] - y_marks[0]) * (HEIGHT - BOTTOM - TOP)

    def x(passes: float) -> float:
        if passes <= 0:
            return LEFT + _NOTHING / 2
        share = (math.log10(passes) - decades[0]) / (decades[-1] - decades[0])
        return LEFT + _NOTHING + share * (WIDTH - RIGHT - LEFT - _NOTHING)

    points = [
        Point(method, style[method], passes, mean, x(passes), y(mean), y(low), y(high))
        for method, passes, mean, low, high in found
    ]
    x_ticks = [Tick(x(0), "0"), *(Tick(x(10**decade), f"{10**decade:,}") for decade in decades)]
    y_ticks = [Tick(y(mark), f"{mark:.2g}".replace("-", "−")) for mark in y_marks]
    return Scatter(_with_labels(points), tuple(x_ticks), tuple(y_ticks))


def nice_marks(low: float, high: float, *, most: int = 7) -> list[float]:
    """Round numbers that enclose a range.

    >>> nice_marks(0.03, 0.52)
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    """
    high = max(high, low + 1e-6)
    size = 10 ** math.floor(math.log10(high - low))
    for step in (size * share for share in (0.1, 0.2, 0.5, 1, 2)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    return [round(place * step, 10) for place in range(first, max(last, first + 1) + 1)]


def _decades(passes: Sequence[float]) -> list[int]:
    some = [math.log10(count) for count in passes if count > 0] or [0.0]
    first = math.floor(min(some))
    return list(range(first, max(math.ceil(max(some)), first + 1) + 1))


def _with_labels(points: Sequence[Point]) -> tuple[Point, ...]:
    """Put each name beside its point where it covers least of what is there already."""
    taken: list[_Box] = [(point.x - 6, point.y - 6, point.x + 6, point.y + 6) for point in points]
    taken += [(point.x - 1, point.high_y, point.x + 1, point.low_y) for point in points]
    placed = {}
    # From the right, where there is least room.
    for point in sorted(points, key=lambda one: -one.x):
        offsets = [(side * 9.0, rise, side) for rise in (4.0, -8.0, 16.0, -20.0, 28.0, -32.0) for side in (1, -1)]
        at = min(offsets, key=lambda offset: _covered(_box(point, *offset), taken))
        taken.append(_box(point, *at))
        placed[point.method] = at
    return tuple(
        Point(
            **{
                **vars(point),
                "label_x": point.x + placed[point.method][0],
                "label_y": point.y + placed[point.method][1],
                "anchor": "start" if placed[point.method][2] > 0 else "end",
            }
        )
        for point in points
    )


def _box(point: Point, across: float, down: float, side: int) -> _Box:
    start, width = point.x + across, _LETTER * len(point.method)
    left = start if side > 0 else start - width
    return left, point.y + down - _LINE + 3, left + width, point.y + down + 3


def _covered(box: _Box, taken: Sequence[_Box]) -> float:
    outside = (
        max(0, LEFT - box[0]) + max(0, box[2] - WIDTH) + max(0, TOP - 8 - box[1]) + max(0, box[3] - HEIGHT + BOTTOM)
    )
    shared = sum(
        max(0, min(box[2], other[2]) - max(box[0], other[0])) * max(0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
    )
    return shared + outside * _LINE
