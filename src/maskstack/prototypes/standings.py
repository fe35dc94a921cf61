"""The table of a prototype bench: means with confidence intervals, and paired tests against MDM."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstack.files import csv_cell
from maskstack.prototypes.measuring import hits_of
from maskstack.prototypes.parts import Hits, best_part, part_consistency, part_purity, part_stability
from maskstack.runs.rows import FAILED, ResultRow
from maskstack.runs.statistics import Bootstrap, holm, signed_rank_p

REFERENCE = "mdm"
"""Method that the others are tested against, with the fewest options that a run has it with."""

METRICS: Mapping[str, int] = {
    "insertion_anew": 1,
    "deletion_anew": -1,
    "area_anew": -1,
    "insertion_fixed": 1,
    "deletion_fixed": -1,
    "area_fixed": -1,
    "consistency": 1,
    "best_part": 1,
    "consistency_mass": 1,
    "best_part_mass": 1,
    "purity": 1,
    "stability": 1,
    "energy": 1,
    "pointing": 1,
    "iou": 1,
    "box_share": 0,
}
"""The metrics: 1 if high values are good, -1 if low values are, 0 for the value expected by chance."""

_OF_EVERY_MAP = tuple(metric for metric in METRICS if metric.endswith(("_anew", "_fixed")))

_OF_PROTOTYPES: Mapping[str, tuple[str, Callable[[Sequence[Hits]], float]]] = {
    "consistency": ("consistency", part_consistency),
    "best_part": ("consistency", lambda hits: (best_part(hits) or ("", np.nan))[1]),
    "consistency_mass": ("mass", part_consistency),
    "best_part_mass": ("mass", lambda hits: (best_part(hits) or ("", np.nan))[1]),
    "purity": ("purity", part_purity),
}


@dataclass(frozen=True)
class Standing:
    """The values of one method on one metric.

    Attributes:
        method: The method with its options.
        metric: One of :data:`METRICS`.
        mean: Mean over the units.
        low: Lower end of the 95% bootstrap interval of the mean.
        high: Upper end.
        median: Median over the units. Shares of an activation near 0 can be very large, and a few dominate the mean.
        units: Number of pairs of image and prototype; of prototypes for metrics over all images of a prototype.
        failed: Number of units that could not be measured.
        p_value: Holm-corrected p-value of the paired test against the reference, over all methods and metrics; NaN
            where no test was made, as for the reference itself.
    """

    method: str
    metric: str
    mean: float
    low: float
    high: float
    median: float
    units: int
    failed: int
    p_value: float


def reference_of(rows: Sequence[ResultRow]) -> str | None:
    """The method that the others are tested against: MDM, or its first variant; None if there is none."""
    return min((row.method for row in rows if row.method.partition(":")[0] == REFERENCE), default=None)


def standings(rows: Sequence[ResultRow], *, reference: str | None = None) -> list[Standing]:
    """Make the table of all methods and metrics.

    A unit counts for a method if it could be measured. A test uses the units that both methods have.

    Args:
        rows: The rows of one bench.
        reference: Method that all others are tested against, by default that of :func:`reference_of`; without it there
            are no tests.
    """
    reference = reference or reference_of(rows)
    table = _values(rows)
    methods = sorted({row.method for row in rows}, key=lambda method: (method != reference, method))
    bootstrap = Bootstrap()
    found, p_values = [], []
    for metric in METRICS:
        for method in methods:
            units = table.get((method, metric), {})
            values = np.array([value for value in units.values() if np.isfinite(value)])
            if not len(values):
                continue
            low, high = bootstrap.intervals(values[None])[0]
            other = table.get((reference or "", metric), {})
            pairs = [(units[unit], other[unit]) for unit in sorted(units) if unit in other]
            both = np.array([one - two for one, two in pairs if np.isfinite(one) and np.isfinite(two)])
            tested = method != reference and METRICS[metric] != 0 and len(both) > 0
            p_values.append(signed_rank_p(both) if tested else np.nan)
            middle = float(np.median(values)), len(values), len(units) - len(values)
            found.append((method, metric, float(values.mean()), float(low), float(high), *middle))
    corrected: NDArray[np.float64] = holm(p_values)
    return [Standing(*one, p_value=float(p)) for one, p in zip(found, corrected, strict=True)]


def as_csv(table: Sequence[Standing]) -> str:
    """The table as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("metric", "method", "mean", "low", "high", "median", "units", "failed", "p_against_mdm"))
    for one in table:
        numbers = [f"{value:.4f}" for value in (one.mean, one.low, one.high, one.median)]
        writer.writerow(
            (csv_cell(one.metric), csv_cell(one.method), *numbers, one.units, one.failed, f"{one.p_value:.2g}")
        )
    return file.getvalue()


def _values(rows: Sequence[ResultRow]) -> dict[tuple[str, str], dict[str, float]]:
    """For each method and metric, the value of each unit; NaN if it could not be measured."""
    table: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    hits: dict[tuple[str, str], dict[str, dict[str, Hits]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row.metric.startswith("parts_"):
            hits[row.method, row.group][row.metric.removeprefix("parts_")][row.image] = hits_of(row.protocol)
        # A map that failed has none of the values that every map has.
        for metric in _OF_EVERY_MAP if row.metric == FAILED else (row.metric,):
            if metric in METRICS:
                value = np.nan if row.value is None else row.value
                table[row.method, metric][f"{row.image} {row.group}"] = value
    for (method, prototype), kinds in hits.items():
        for metric, (kind, ask) in _OF_PROTOTYPES.items():
            table[method, metric][prototype] = ask(list(kinds[kind].values()))
        if "consistency_noisy" in kinds:
            noisy = [kinds["consistency_noisy"][image] for image in kinds["consistency"]]
            table[method, "stability"][prototype] = part_stability(list(kinds["consistency"].values()), noisy)
    return table
