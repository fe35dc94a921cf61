"""The results of runs, network by network: a matrix of methods and images for every metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstack.errors import WRONG_VALUE, InputError, reason
from maskstack.files import parse_json
from maskstack.leaderboard.columns import COLUMNS
from maskstack.leaderboard.derived import derive
from maskstack.leaderboard.record import RunRecord, open_runs
from maskstack.runs.rows import FAILED
from maskstack.runs.table import ResultTable

Values = NDArray[np.float64]

SHOWN_CURVES = ("insertion_wide", "deletion_zero")
_SWEEPS = ("box_ious", "mask_ious")


@dataclass(frozen=True)
class Failure:
    """Images on which a group of metrics of a method could not be measured, with the first image's reason."""

    method: str
    group: str
    images: int
    reason: str


@dataclass(frozen=True)
class Gap:
    """Images on which a metric does not apply."""

    metric: str
    images: int
    reason: str


@dataclass(frozen=True)
class NetworkResults:
    """The results on one network.

    Attributes:
        model: Its name.
        runs: The runs it was measured in.
        methods: Sorted; the rows of all matrices.
        images: Sorted; the columns of all matrices.
        values: For each metric of a report methods x images, NaN where there is no value.
        curves: Insertion and deletion curves: methods x images x points.
        costs: ``forward``, ``backward`` and ``seconds`` of each map: methods x images.
        targets: The class explained on each image, -1 where unknown.
        protocols: For each metric how it was measured: the values of each setting, several if images differ.
        failures: What could not be measured.
        gaps: Metrics that do not apply to some images.
    """

    model: str
    runs: tuple[RunRecord, ...]
    methods: tuple[str, ...]
    images: tuple[str, ...]
    values: Mapping[str, Values]
    curves: Mapping[str, Values]
    costs: Mapping[str, Values]
    targets: NDArray[np.int64]
    protocols: Mapping[str, Mapping[str, tuple[Any, ...]]]
    failures: tuple[Failure, ...]
    gaps: tuple[Gap, ...]

    def protocol(self, metric: str) -> Mapping[str, tuple[Any, ...]]:
        """How a metric of a report was measured; for a derived metric, how its source was measured."""
        source = "box_ious" if metric.startswith("max_box_acc") else "mask_ious" if metric == "mask_iou" else metric
        return self.protocols.get(source, {})

    @property
    def quality(self) -> Values | None:
        """Insertion minus deletion: methods x images; None if either was not measured."""
        if "insertion_wide" not in self.values or "deletion_zero" not in self.values:
            return None
        return self.values["insertion_wide"] - self.values["deletion_zero"]


def read_results(
    folders: Sequence[Path], *, methods: Sequence[str] = (), only_common: bool = False
) -> tuple[NetworkResults, ...]:
    """Read the results of runs.

    Args:
        folders: Folders of runs; a result in several of them counts once.
        methods: Only these methods; all if empty.
        only_common: Whether a metric uses only the images on which all of its methods have a value.

    Returns:
        The networks, in the order of the runs.

    Raises:
        InputError: A run is missing, empty or damaged, or two runs cannot be compared.
        MissingExtraError: duckdb is not installed.
    """
    runs = open_runs(folders)
    rows = ResultTable(folders)
    if methods:
        rows.keep(methods)
    there = {model for (model,) in rows.ask("select distinct model from rows")}
    wanted = dict.fromkeys([model for run in runs for model in run.specs if model in there] + sorted(there))
    return tuple(_network(rows, model, runs, only_common=only_common) for model in wanted)


def _network(rows: ResultTable, model: str, runs: Sequence[RunRecord], *, only_common: bool) -> NetworkResults:
    methods, images = rows.number(model)
    shape = len(methods), len(images)
    kept = _keep_common if only_common else lambda matrix: matrix
    curves = {metric: kept(rows.curves(metric, shape)) for metric in (*SHOWN_CURVES, *_SWEEPS)}
    values = {metric: kept(rows.matrix(metric, shape)) for metric in COLUMNS}
    values |= derive({sweep: curves.pop(sweep) for sweep in _SWEEPS})
    return NetworkResults(
        model=model,
        runs=tuple(run for run in runs if model in run.specs),
        methods=methods,
        images=images,
        values={metric: values[metric] for metric in COLUMNS if np.isfinite(values[metric]).any()},
        curves={metric: curve for metric, curve in curves.items() if curve.shape[2]},
        costs={what: rows.cost(what, shape) for what in ("forward", "backward", "seconds")},
        targets=_targets(rows, len(images)),
        protocols=_protocols(rows),
        failures=_failures(rows),
        gaps=_gaps(rows),
    )


def _keep_common(matrix: Values) -> Values:
    if 0 in matrix.shape:
        return matrix
    first: Values = matrix.reshape(*matrix.shape[:2], -1)[:, :, 0]  # a curve is stored whole or not at all
    there = np.isfinite(first)
    lacking = ~there[there.any(axis=1)].all(axis=0)
    kept = matrix.copy()
    kept[:, lacking] = np.nan
    return kept


def _targets(rows: ResultTable, images: int) -> NDArray[np.int64]:
    targets = np.full(images, -1, np.int64)
    for place, target in rows.ask(
        "select place, any_value(target) from chosen where target is not null group by place"
    ):
        targets[place] = target
    return targets


def _protocols(rows: ResultTable) -> dict[str, dict[str, tuple[Any, ...]]]:
    found: dict[str, dict[str, tuple[Any, ...]]] = {}
    query = "select distinct metric, protocol from chosen where value is not null order by metric, protocol"
    for metric, protocol in rows.ask(query):
        settings = found.setdefault(metric, {})
        try:
            own = dict(parse_json(protocol))
        except WRONG_VALUE as error:
            raise InputError(
                f"a result of {metric} has a protocol that cannot be read ({reason(error)}); measure it again"
            ) from error
        for name, value in own.items():
            if value not in settings.get(name, ()):
                settings[name] = (*settings.get(name, ()), value)
    return found


def _failures(rows: ResultTable) -> tuple[Failure, ...]:
    query = (
        'select method, "group", count(distinct image), arg_min(failure, image) from chosen where metric = ? '
        'group by method, "group" order by method, "group"'
    )
    return tuple(Failure(*found) for found in rows.ask(query, FAILED))


def _gaps(rows: ResultTable) -> tuple[Gap, ...]:
    query = (
        "select metric, count(distinct image), failure from chosen where metric <> ? and value is null "
        "and failure is not null group by metric, failure order by metric, failure"
    )
    return tuple(Gap(*found) for found in rows.ask(query, FAILED))
