"""The numbers of a report as a long table: a line for each method and metric of each network."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from maskstack.files import csv_cell, write_whole
from maskstack.leaderboard.comparison import Comparison
from maskstack.leaderboard.derived import mean_of_classes

BY_CLASS = "pointing_game_by_class"


_NUMBERS = ("low", "high", "difference", "difference_low", "difference_high", "p", "p_holm", "rank")


@dataclass(frozen=True)
class SummaryLine:
    """The fields of :class:`maskstack.leaderboard.comparison.MethodOnMetric` with the cost of the method's maps.

    A value that does not exist is None.
    """

    model: str
    method: str
    metric: str
    n: int
    mean: float
    low: float | None = None
    high: float | None = None
    reference: str | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    rank: float | None = None
    forward: float | None = None
    backward: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class MapCost:
    """Mean cost of a map of a method; None if no map was made."""

    forward: float | None
    backward: float | None
    seconds: float | None

    @property
    def passes(self) -> float | None:
        """Images sent forward and backward."""
        return None if self.forward is None or self.backward is None else self.forward + self.backward


def cost(comparison: Comparison, method: str) -> MapCost:
    """Mean cost of a map of a method."""
    place = comparison.network.methods.index(method)
    return MapCost(**{what: _mean(matrix[place]) for what, matrix in comparison.network.costs.items()})


def by_class(comparison: Comparison) -> tuple[dict[str, float], int]:
    """The pointing game as a mean over classes, and their number; empty if it equals the mean over images."""
    values = comparison.network.values.get("pointing_game")
    if values is None:
        return {}, 0
    means, classes = mean_of_classes(values, comparison.network.targets)
    images = int((np.isfinite(values).any(axis=0) & (comparison.network.targets >= 0)).sum())
    if classes < 2 or classes == images:
        return {}, classes
    named = dict(zip(comparison.network.methods, map(float, means), strict=True))
    return {method: named[method] for method in comparison.methods if math.isfinite(named[method])}, classes


def lines(comparison: Comparison) -> Iterator[SummaryLine]:
    """All lines of a network, metric by metric."""
    model = comparison.network.model
    for metric, cells in comparison.cells.items():
        for method in comparison.methods:
            if method in cells:
                cell = cells[method]
                numbers = {name: _or_none(getattr(cell, name)) for name in _NUMBERS} | asdict(cost(comparison, method))
                yield SummaryLine(model, method, metric, cell.n, cell.mean, reference=comparison.reference, **numbers)
        if metric == "pointing_game":
            for method, mean in by_class(comparison)[0].items():
                yield SummaryLine(model, method, BY_CLASS, cells[method].n, mean)


def write_summary(path: Path, comparisons: Sequence[Comparison]) -> Path:
    """Write the lines of all networks as CSV, numbers not rounded.

    Raises:
        OutputError: The file cannot be written.
    """

    def write(beside: Path) -> None:
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(SummaryLine)])
            writer.writeheader()
            for comparison in comparisons:
                for line in lines(comparison):
                    cells = asdict(line).items()
                    writer.writerow(
                        {name: csv_cell(value) if isinstance(value, str) else value for name, value in cells}
                    )

    return write_whole(path, write)


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    found = values[np.isfinite(values)]
    return float(found.mean()) if len(found) else None


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
