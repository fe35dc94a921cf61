"""The comparison of all methods on one network, with the reference and with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstack.errors import InputError
from maskstack.explainers.table import CONTROLS
from maskstack.leaderboard.columns import COLUMNS, QUALITY, Column
from maskstack.leaderboard.results import NetworkResults
from maskstack.runs.statistics import SIGNIFICANT, Bootstrap, holm, ranks, signed_rank_p

Values = NDArray[np.float64]
_NONE = float("nan")


@dataclass(frozen=True)
class MethodOnMetric:
    """The values of a method on a metric.

    Attributes:
        n: Number of images.
        mean: Mean over them.
        low: Lower end of its confidence interval.
        high: Upper end.
        difference: Mean difference to the reference over the images that both have; NaN for the reference.
        difference_low: Lower end of its confidence interval.
        difference_high: Upper end.
        p: p-value of the sign of that difference.
        p_holm: The same, corrected for the number of methods.
        rank: Rank among the methods without the controls, 1 is best; NaN for a control.
        first: Whether no method is better.
        tied: Whether it is not first, but not significantly different from the best.
        whole: Whether it has all images that any method has.
    """

    n: int
    mean: float
    low: float
    high: float
    difference: float = _NONE
    difference_low: float = _NONE
    difference_high: float = _NONE
    p: float = _NONE
    p_holm: float = _NONE
    rank: float = _NONE
    first: bool = False
    tied: bool = False
    whole: bool = True

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def told_apart(self) -> bool:
        """Whether it differs significantly from the reference."""
        return self.p_holm < SIGNIFICANT


@dataclass(frozen=True)
class Comparison:
    """All methods of a network on all metrics.

    Attributes:
        network: The results.
        reference: The method that all others are compared with.
        methods: The ranked methods by mean rank, then the controls.
        cells: For each metric and each method that has it, the values.
        mean_ranks: For each ranked method the mean of its ranks on metrics of quality, and the number of these ranks.
    """

    network: NetworkResults
    reference: str
    methods: tuple[str, ...]
    cells: Mapping[str, Mapping[str, MethodOnMetric]]
    mean_ranks: Mapping[str, tuple[float, int]]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The metrics that were measured."""
        return tuple(COLUMNS[metric] for metric in self.cells)

    @property
    def counted(self) -> tuple[Column, ...]:
        """The metrics of quality among them."""
        return tuple(column for column in self.columns if column.kind == QUALITY)

    @property
    def measured(self) -> int:
        """Number of images on which any method has a value of any metric."""
        there = [np.isfinite(values).any(axis=0) for values in self.network.values.values()]
        return int(np.any(there, axis=0).sum()) if there else 0

    @property
    def shared(self) -> int:
        """Largest number of images on which a metric of quality compares the reference with another ranked method."""
        found = 0
        for column in self.counted:
            there = dict(zip(self.network.methods, np.isfinite(self.network.values[column.metric]), strict=True))
            own = there[self.reference]
            others = [line for method, line in there.items() if method != self.reference and not is_control(method)]
            found = max([found, *(int((own & line).sum()) for line in others or [own])])
        return found

    def best(self, metric: str) -> tuple[str, ...]:
        """The best methods on a metric; several if they are equal."""
        return tuple(method for method, cell in self.cells[metric].items() if cell.first)


def is_control(method: str) -> bool:
    """Whether a method is a control: its map does not depend on the network."""
    return method.split(":")[0] in CONTROLS


def compare(network: NetworkResults, reference: str = "mdm", *, bootstrap: Bootstrap | None = None) -> Comparison:
    """Compare the methods of a network.

    Args:
        network: The results on it.
        reference: The method to compare the others with.
        bootstrap: Draws the samples of the intervals.

    Raises:
        InputError: The network was not measured with the reference, or the reference is a control.
    """
    if reference not in network.methods:
        others = ", ".join(method for method in network.methods if not is_control(method))
        remedy = f"choose --reference among {others}" if others else "measure a method that is not a control"
        raise InputError(f"{network.model} was not measured with the reference {reference}; {remedy}")
    if is_control(reference):
        raise InputError(f"the reference {reference} is a control, and controls are not ranked; choose another method")
    bootstrap = bootstrap or Bootstrap()
    cells = {
        metric: _compare(network.methods, values, COLUMNS[metric].sign, reference, bootstrap)
        for metric, values in network.values.items()
    }
    counted = [metric for metric in cells if COLUMNS[metric].kind == QUALITY]
    mean_ranks = {}
    for method in network.methods:
        placed = [cells[metric][method].rank for metric in counted if method in cells[metric]]
        if not is_control(method):
            mean_ranks[method] = (float(np.mean(placed)) if placed else _NONE, len(placed))
    ranked = sorted(mean_ranks, key=lambda method: (np.isnan(mean_ranks[method][0]), mean_ranks[method][0], method))
    controls = sorted(
        set(network.methods) - set(ranked), key=lambda method: (CONTROLS.index(method.split(":")[0]), method)
    )
    return Comparison(network, reference, (*ranked, *controls), cells, mean_ranks)


def _compare(
    methods: Sequence[str], values: Values, sign: int, reference: str, bootstrap: Bootstrap
) -> dict[str, MethodOnMetric]:
    """The values of each method on one metric; ``values`` is methods x images."""
    lines = dict(zip(methods, values, strict=True))
    own = {method: line[np.isfinite(line)] for method, line in lines.items()}
    own = {method: line for method, line in own.items() if len(line)}
    differences = {
        method: _paired(lines[method], lines[reference]) for method in own if method != reference and reference in own
    }
    means, apart = _with_intervals(own, bootstrap), _with_intervals(differences, bootstrap)
    p = {method: signed_rank_p(difference, toward_mean=True) for method, difference in differences.items()}
    corrected = dict(zip(p, holm(list(p.values())), strict=True))
    places, tied = _places({method: lines[method] for method in own if not is_control(method)}, sign)
    first = min(places.values(), default=_NONE)
    everywhere = int(np.isfinite(values).any(axis=0).sum())
    return {
        method: MethodOnMetric(
            len(own[method]),
            *means[method],
            *apart.get(method, (_NONE,) * 3),
            p=p.get(method, _NONE),
            p_holm=float(corrected.get(method, _NONE)),
            rank=places.get(method, _NONE),
            first=places.get(method, _NONE) == first,
            tied=method in tied,
            whole=len(own[method]) == everywhere,
        )
        for method in own
    }


def _places(lines: Mapping[str, Values], sign: int) -> tuple[dict[str, float], set[str]]:
    """The methods' ranks, and those that are not first, but not significantly different from the first."""
    if not lines or not sign:
        return {}, set()
    places = dict(zip(lines, map(float, ranks(np.stack(list(lines.values())), sign=sign)), strict=True))
    best = min(places, key=lambda method: places[method])
    others = [method for method in lines if places[method] > places[best]]
    p = holm([signed_rank_p(_paired(lines[method], lines[best]), toward_mean=True) for method in others])
    return places, {method for method, value in zip(others, p, strict=True) if value >= SIGNIFICANT}


def _paired(one: Values, other: Values) -> Values:
    difference = one - other
    found: Values = difference[np.isfinite(difference)]
    return found


def _with_intervals(samples: Mapping[str, Values], bootstrap: Bootstrap) -> dict[str, tuple[float, float, float]]:
    """Mean, low and high of each sample. Samples of one size are drawn together."""
    found: dict[str, tuple[float, float, float]] = {}
    for size in sorted({len(sample) for sample in samples.values()}):
        names = [name for name, sample in samples.items() if len(sample) == size]
        for name, (low, high) in zip(names, bootstrap.intervals(np.stack([samples[n] for n in names])), strict=True):
            found[name] = (float(samples[name].mean()) if size else _NONE, float(low), float(high))
    return found
