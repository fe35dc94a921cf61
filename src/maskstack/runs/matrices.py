"""The results of one network as matrices of methods and images, filled from tables of rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstack.errors import InputError, require
from maskstack.runs.places import Places
from maskstack.runs.rows import FAILED
from maskstack.runs.shards import numbered

COSTS = ("forward", "backward", "seconds")
_Numbers = NDArray[np.int64]


class Matrices:
    """The results of a network. A later row replaces an earlier one of the same map and metric, unless it has no value.

    Args:
        methods: Names of M methods; rows of others are ignored.
        images: Names of N images; rows of others are ignored.
        curves: Metrics whose curves are wanted.

    Attributes:
        methods: The methods.
        images: The images.
        values: The values of each metric, M x N, NaN where there is none.
        curves: The wanted curves, M x N x points as float32, NaN where there is none.
        targets: The class explained on each image, -1 where unknown.
        protocols: Pairs of a metric and how it was measured, as JSON.
    """

    def __init__(self, methods: Sequence[str], images: Sequence[str], *, curves: Sequence[str] = ()) -> None:
        self.methods, self.images, self._wanted = tuple(methods), images, curves
        self.shape = len(methods), len(images)
        self.values: dict[str, NDArray[np.float64]] = _of_names(lambda: np.full(self.shape, np.nan))
        self.curves: dict[str, NDArray[np.float32]] = {}
        self.targets = np.full(len(images), -1, np.int64)
        self.protocols: set[tuple[str, str]] = set()
        self._lines, self._places = Places(methods), Places(images)
        self._costs = {name: np.zeros(self.shape) for name in COSTS}
        self._rows = np.zeros(self.shape, np.int32)
        self._done: dict[str, NDArray[np.bool_]] = _of_names(lambda: np.zeros(self.shape, bool))
        # For each metric, and for each group, M x N numbers of reasons; 0 where there is none.
        self._reasons: dict[str, int] = {}
        self._gaps: dict[str, NDArray[np.int32]] = _of_names(lambda: np.zeros(self.shape, np.int32))
        self._failed: dict[str, NDArray[np.int32]] = _of_names(lambda: np.zeros(self.shape, np.int32))

    def add(self, table: Any) -> None:
        """Add rows.

        Args:
            table: A table of pyarrow with the columns of a shard, of this network.

        Raises:
            InputError: A wanted curve has another length than before.
        """
        compute = require("pyarrow.compute", extra="bench")
        method, names = numbered(table["method"])
        image, image_names = numbered(table["image"])
        line, place = self._lines(names)[method], self._places(image_names)[image]
        known = np.flatnonzero((line >= 0) & (place >= 0))
        if len(known) < len(table):
            table, line, place = table.take(known), line[known], place[known]
        measured = compute.not_equal(table["metric"], FAILED).to_numpy()
        for group, rows in _split(table["group"]):
            rows = rows[measured[rows]]
            self._done[group][line[rows], place[rows]] = True
        for metric, rows in _split(table["metric"]):
            part, at = table.take(rows), (line[rows], place[rows])
            if metric == FAILED:
                for group, own in _split(part["group"]):
                    self._failed[group][at[0][own], at[1][own]] = self._numbers(part["failure"].take(own))
            else:
                self._add_metric(metric, part, at)

    def costs(self) -> dict[str, NDArray[np.float64]]:
        """Forward passes, backward passes and seconds of each map, M x N: the mean over its rows."""
        with np.errstate(invalid="ignore"):
            return {name: total / self._rows for name, total in self._costs.items()}

    def failures(self) -> Iterator[tuple[str, str, int, str]]:
        """Method, group, number of images on which the group failed and was not measured later, the first's reason."""
        reasons = list(self._reasons)
        for line, method in enumerate(self.methods):
            for group in sorted(self._failed):
                failed = self._failed[group][line]
                places = np.flatnonzero((failed > 0) & ~self._done[group][line])
                if len(places):
                    yield method, group, len(places), reasons[failed[places[0]] - 1]

    def gaps(self) -> Iterator[tuple[str, int, str]]:
        """Metric, number of images on which it does not apply, and why."""
        reasons = list(self._reasons)
        for metric in sorted(self._gaps):
            numbers = self._gaps[metric]
            lines, places = np.nonzero((numbers > 0) & ~np.isfinite(self.values[metric]))
            pairs = np.unique(numbers[lines, places] * np.int64(len(self.images)) + places)
            found = np.unique(pairs // max(1, len(self.images)), return_counts=True)
            named = sorted((reasons[number - 1], int(count)) for number, count in zip(*found, strict=True))
            yield from ((metric, count, why) for why, count in named)

    def _add_metric(self, metric: str, table: Any, at: tuple[_Numbers, _Numbers]) -> None:
        compute = require("pyarrow.compute", extra="bench")
        for name, total in self._costs.items():
            np.add.at(total, at, _filled(table[name], 0.0))
        np.add.at(self._rows, at, 1)
        target = _filled(table["target"], -1.0)
        self.targets[at[1][target >= 0]] = target[target >= 0]
        there = table["value"].is_valid().to_numpy()
        why = np.flatnonzero(~there & table["failure"].is_valid().to_numpy())
        if len(why):
            self._gaps[metric][at[0][why], at[1][why]] = self._numbers(table["failure"].take(why))
        rows = np.flatnonzero(there)
        table, at = (table, at) if len(rows) == len(table) else (table.take(rows), (at[0][rows], at[1][rows]))
        value = _filled(table["value"], np.nan)
        self.values[metric][at] = np.where(np.isfinite(value), value, np.nan)
        self.protocols.update(
            (metric, protocol) for protocol in compute.drop_null(table["protocol"].unique()).to_pylist()
        )
        if metric in self._wanted:
            self._add_curves(metric, table["curve"], at)

    def _add_curves(self, metric: str, curves: Any, at: tuple[_Numbers, _Numbers]) -> None:
        compute = require("pyarrow.compute", extra="bench")
        length = _filled(compute.list_value_length(curves), 0.0).astype(np.int64)
        before = {self.curves[metric].shape[2]} if metric in self.curves else set()
        lengths = sorted(before | set(np.unique(length[length > 0]).tolist()))
        if len(lengths) > 1:
            points = " and ".join(map(str, lengths))
            raise InputError(f"the curves of {metric} have {points} points; report runs with the same --curve-steps")
        if not lengths:
            return
        if metric not in self.curves:
            self.curves[metric] = np.full((*self.shape, lengths[0]), np.nan, np.float32)
        filled = np.full((len(length), lengths[0]), np.nan, np.float32)
        values = curves.combine_chunks().flatten()
        filled[length > 0] = _filled(values, np.nan).astype(np.float32).reshape(-1, lengths[0])
        self.curves[metric][at] = filled

    def _numbers(self, reasons: Any) -> NDArray[np.int32]:
        """A number from 1 for each reason; one reason has one number."""
        number, texts = numbered(reasons.fill_null(""))
        known = [self._reasons.setdefault(text, len(self._reasons) + 1) for text in texts]
        return np.asarray(known, np.int32)[number]


def _split(column: Any) -> Iterator[tuple[str, _Numbers]]:
    """Each text of a column with its rows."""
    number, texts = numbered(column)
    order = np.argsort(number, kind="stable")
    ends = np.searchsorted(number[order], np.arange(len(texts) + 1))
    for place, text in enumerate(texts):
        yield text, order[ends[place] : ends[place + 1]]


def _filled(column: Any, null: float) -> NDArray[np.float64]:
    compute = require("pyarrow.compute", extra="bench")
    found: NDArray[np.float64] = compute.fill_null(column.cast("float64", safe=False), null).to_numpy(
        zero_copy_only=False
    )
    return found


def _of_names(make: Callable[[], Any]) -> Any:
    """A dictionary that makes the matrix of a name when it is first asked for."""
    return defaultdict(make)
