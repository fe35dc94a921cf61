"""Quality against passes of several methods as coordinates of an SVG drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

_ZERO_STRIP = 44.0
"""Width of the strip for methods without any pass, which do not fit on a logarithmic axis."""

STYLES = 8
"""Number of colours and dashes that readers can distinguish."""

_LETTER, _LINE = 6.9, 13.0

_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """The size of a drawing, and the edges of the rectangle between its axes, in pixels."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    def x(self, share: float) -> float:
        """The x coordinate at a share of the horizontal axis."""
        return self.left + share * (self.right - self.left)

    def y(self, share: float) -> float:
        """The y coordinate at a share of the vertical axis."""
        return self.bottom - share * (self.bottom - self.top)


_FRAME = Frame(width=720, height=400, left=60, right=696, top=16, bottom=352)


@dataclass(frozen=True)
class QualityAtCost:
    """A method to draw.

    Attributes:
        method: Its name.
        passes: Mean number of passes of a map.
        quality: Mean quality.
        low: Lower end of the confidence interval of the quality.
        high: Upper end.
    """

    method: str
    passes: float
    quality: float
    low: float
    high: float


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, in pixels, and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class ScatterPoint:
    """A method's point, the ends of its interval and the position of its label, in pixels."""

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
    """The drawing, in pixels."""

    points: tuple[ScatterPoint, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    frame: Frame


def scatter(methods: Sequence[QualityAtCost], styles: Mapping[str, str]) -> Scatter | None:
    """Place methods in a drawing by their passes (logarithmic) and their quality; None if there are no methods.

    Args:
        methods: What is drawn.
        styles: For each method the name of its style, see :func:`method_styles`.
    """
    if not methods:
        return None
    y_marks = nice_marks(min(one.low for one in methods), max(one.high for one in methods))
    decades = _decades([one.passes for one in methods])

    def y(value: float) -> float:
        return _FRAME.y((value - y_marks[0]) / (y_marks[-1] - y_marks[0]))

    def x(passes: float) -> float:
        if passes <= 0:
            return _FRAME.left + _ZERO_STRIP / 2
        share = (math.log10(passes) - decades[0]) / (decades[-1] - decades[0])
        return _FRAME.left + _ZERO_STRIP + share * (_FRAME.right - _FRAME.left - _ZERO_STRIP)

    points = []
    for one in methods:
        heights = y(one.quality), y(one.low), y(one.high)
        points.append(ScatterPoint(one.method, styles[one.method], one.passes, one.quality, x(one.passes), *heights))
    x_ticks = [Tick(x(0), "0"), *(Tick(x(10**decade), f"{10**decade:,}") for decade in decades)]
    y_ticks = [Tick(y(mark), f"{mark:.2g}".replace("-", "−")) for mark in y_marks]
    return Scatter(_with_labels(points), tuple(x_ticks), tuple(y_ticks), _FRAME)


def method_styles(methods: Sequence[str], controls: Sequence[str]) -> dict[str, str]:
    """Name of the style of each method, the same in all figures of a network.

    Args:
        methods: In the order of the styles; those after the first :data:`STYLES` are thin and pale.
        controls: Control methods, drawn in grey.

    >>> method_styles(["mdm", "rise"], ["random"])
    {'mdm': 'style-0', 'rise': 'style-1', 'random': 'control control-0'}
    """
    named = {method: f"style-{place}" if place < STYLES else "pale" for place, method in enumerate(methods)}
    return named | {method: f"control control-{place % 3}" for place, method in enumerate(controls)}


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


def _with_labels(points: Sequence[ScatterPoint]) -> tuple[ScatterPoint, ...]:
    """Place each label next to its point, at the position with the least overlap with other points and labels."""
    taken: list[_Box] = [(point.x - 6, point.y - 6, point.x + 6, point.y + 6) for point in points]
    taken += [(point.x - 1, point.high_y, point.x + 1, point.low_y) for point in points]
    placed: dict[str, ScatterPoint] = {}
    # From the right, where there is the least space.
    for point in sorted(points, key=lambda one: -one.x):
        offsets = [(side * 9.0, rise, side) for rise in (4.0, -8.0, 16.0, -20.0, 28.0, -32.0) for side in (1, -1)]
        across, down, side = min(offsets, key=lambda offset: _covered(_box(point, *offset), taken))
        taken.append(_box(point, across, down, side))
        anchor = "start" if side > 0 else "end"
        placed[point.method] = replace(point, label_x=point.x + across, label_y=point.y + down, anchor=anchor)
    return tuple(placed[point.method] for point in points)


def _box(point: ScatterPoint, across: float, down: float, side: int) -> _Box:
    start, width = point.x + across, _LETTER * len(point.method)
    left = start if side > 0 else start - width
    return left, point.y + down - _LINE + 3, left + width, point.y + down + 3


def _covered(box: _Box, taken: Sequence[_Box]) -> float:
    outside = (
        max(0, _FRAME.left - box[0])
        + max(0, box[2] - _FRAME.width)
        + max(0, _FRAME.top - 8 - box[1])
        + max(0, box[3] - _FRAME.bottom)
    )
    shared = sum(
        max(0, min(box[2], other[2]) - max(box[0], other[0])) * max(0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
    )
    return shared + outside * _LINE
