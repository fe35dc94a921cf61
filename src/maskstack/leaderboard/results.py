"""The results of runs, network by network: a matrix of methods and images for every metric."""

from __future__ import annotations

import json
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
from maskstack.runs.matrices import Matrices
from maskstack.runs.table import read_matrices

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
        curves: Insertion and deletion curves: methods x images x points, as float32.
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
    curves: Mapping[str, NDArray[np.float32]]
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
        MissingExtraError: pyarrow is not installed.
    """
    runs = open_runs(folders)
    found = read_matrices(folders, methods=methods, curves=(*SHOWN_CURVES, *_SWEEPS))
    wanted = dict.fromkeys([model for run in runs for model in run.specs if model in found] + list(found))
    return tuple(_network(found.pop(model), model, runs, only_common=only_common) for model in wanted)


def _network(found: Matrices, model: str, runs: Sequence[RunRecord], *, only_common: bool) -> NetworkResults:
    def kept(matrix: Any) -> Any:
        return _keep_common(matrix) if only_common else matrix

    curves = {metric: kept(curve) for metric, curve in found.curves.items()}
    values = {metric: kept(found.values[metric]) for metric in COLUMNS if metric in found.values}
    values |= derive({sweep: curves.pop(sweep) for sweep in _SWEEPS if sweep in curves})
    return NetworkResults(
        model=model,
        runs=tuple(run for run in runs if model in run.specs),
        methods=found.methods,
        images=tuple(found.images),
        values={metric: values[metric] for metric in COLUMNS if metric in values and np.isfinite(values[metric]).any()},
        curves={metric: curves[metric] for metric in SHOWN_CURVES if metric in curves},
        costs=found.costs(),
        targets=found.targets,
        protocols=_protocols(found),
        failures=tuple(Failure(*failure) for failure in found.failures()),
        gaps=tuple(Gap(*gap) for gap in found.gaps()),
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


def _protocols(found: Matrices) -> dict[str, dict[str, tuple[Any, ...]]]:
    settings: dict[str, dict[str, dict[str, Any]]] = {}
    for metric, protocol in sorted(found.protocols):
        try:
            own = dict(parse_json(protocol))
        except WRONG_VALUE as error:
            raise InputError(
                f"a result of {metric} has a protocol that cannot be read ({reason(error)}); measure it again"
            ) from error
        for name, value in own.items():
            settings.setdefault(metric, {}).setdefault(name, {}).setdefault(json.dumps(value, sort_keys=True), value)
    return {
        metric: {name: tuple(values.values()) for name, values in of_metric.items()}
        for metric, of_metric in settings.items()
    }
