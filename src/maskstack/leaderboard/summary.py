"""The numbers of a report in long form: a line for each method and metric of each network."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from maskstack.files import write_whole
from maskstack.leaderboard.comparison import Comparison
from maskstack.leaderboard.derived import mean_of_classes

BY_CLASS = "pointing_game_by_class"


@dataclass(frozen=True)
class Line:
    """A method on a metric, as in :class:`maskstack.leaderboard.comparison.Cell`, with the cost of the method's maps.

    ``difference`` is the method minus the reference on the images both have. None is what does not exist.
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
class Cost:
    """What a map of a method costs on the mean of the images; None where none was made."""

    forward: float | None
    backward: float | None
    seconds: float | None

    @property
    def passes(self) -> float | None:
        """Images sent forward and backward."""
        return None if self.forward is None or self.backward is None else self.forward + self.backward


def cost(comparison: Comparison, method: str) -> Cost:
    """What a map of a method costs."""
    place = comparison.network.methods.index(method)
    return Cost(**{what: _mean(matrix[place]) for what, matrix in comparison.network.costs.items()})


def by_class(comparison: Comparison) -> tuple[dict[str, float], int]:
    """The pointing game as the mean of the classes, and their number; empty where it says nothing new."""
    values = comparison.network.values.get("pointing_game")
    if values is None:
        return {}, 0
    means, classes = mean_of_classes(values, comparison.network.targets)
    images = int((np.isfinite(values).any(axis=0) & (comparison.network.targets >= 0)).sum())
    if classes < 2 or classes == images:
        return {}, classes
    named = dict(zip(comparison.network.methods, map(float, means), strict=True))
    return {method: named[method] for method in comparison.methods if math.isfinite(named[method])}, classes


def lines(comparison: Comparison) -> Iterator[Line]:
    """All lines of a network, metric by metric."""
    model = comparison.network.model
    for metric, cells in comparison.cells.items():
        for method in comparison.methods:
            if method in cells:
                cell = cells[method]
                numbers = {
                    name: _there(getattr(cell, name))
                    for name in (
                        "low",
                        "high",
                        "difference",
                        "difference_low",
                        "difference_high",
                        "p",
                        "p_holm",
                        "rank",
                    )
                }
                paid = asdict(cost(comparison, method))
                yield Line(model, method, metric, cell.n, cell.mean, reference=comparison.reference, **numbers, **paid)
        if metric == "pointing_game":
            for method, mean in by_class(comparison)[0].items():
                yield Line(model, method, BY_CLASS, cells[method].n, mean)


def write_summary(path: Path, comparisons: Sequence[Comparison]) -> Path:
    """Write the lines of all networks as CSV, numbers in full.

    Raises:
        OutputError: The file cannot be written.
    """

    def write(beside: Path) -> None:
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Line)])
            writer.writeheader()
            for comparison in comparisons:
                writer.writerows(asdict(line) for line in lines(comparison))

    return write_whole(path, write)


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    found = values[np.isfinite(values)]
    return float(found.mean()) if len(found) else None


def _there(value: float) -> float | None:
    return None if math.isnan(value) else value
