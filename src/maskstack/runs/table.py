"""The rows of one or more runs as matrices of methods and images, read shard by shard.

Each result counts once, although several runs, or a merged shard and one that it replaces, may hold it. Memory is that
of the matrices and of one shard.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from maskstack.errors import InputError, require
from maskstack.runs.matrices import Matrices
from maskstack.runs.shards import read_columns
from maskstack.runs.store import Store

_COLUMNS = (
    "model", "method", "image", "group", "metric", "value", "protocol", "target", "curve", "forward", "backward",
    "seconds", "failure",
)  # fmt: skip


def read_matrices(
    runs: Sequence[Path], *, methods: Sequence[str] = (), curves: Sequence[str] = ()
) -> dict[str, Matrices]:
    """The results of each network.

    Args:
        runs: Folders of runs. They are only read, so another process may be writing to them.
        methods: Only these methods; all if empty.
        curves: Metrics whose curves are wanted.

    Returns:
        For each network its matrices; the names of networks are sorted.

    Raises:
        InputError: The runs hold no rows or damaged ones, or a method was not measured.
        MissingExtraError: pyarrow is not installed.
    """
    # A value of the shard with the first path is kept, so this is read last.
    stores = [Store(run / "rows") for run in sorted(runs, key=str, reverse=True)]
    names = _names(stores, methods)
    if not names:
        raise InputError(f"{', '.join(map(str, runs))} holds no results yet; run 'maskstack bench' first")
    found = {model: Matrices(*names[model], curves=curves) for model in sorted(names)}
    del names
    for store in stores:
        for shard in store.lasting():
            try:
                table = read_columns(shard, _COLUMNS)
            except FileNotFoundError:  # a running bench has meanwhile replaced it by a merged one
                continue
            for model, part in _by_model(table):
                if model in found:
                    found[model].add(part)
    return found


def _names(stores: Sequence[Store], wanted: Sequence[str]) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """The methods and images of each network, sorted, after a check that no shard is damaged."""
    arrow, compute = require("pyarrow", extra="bench"), require("pyarrow.compute", extra="bench")
    there: set[str] = set()
    methods: dict[str, set[str]] = defaultdict(set)
    images: dict[str, list[Any]] = defaultdict(list)
    for store in stores:
        for _, table in store.checked():
            for model, part in _by_model(table.select(["model", "method", "image"])):
                there.update(part["method"].unique().to_pylist())
                if wanted:
                    part = part.filter(compute.is_in(part["method"], arrow.array(list(wanted))))
                if len(part):
                    methods[model].update(part["method"].unique().to_pylist())
                    images[model].append(part["image"].unique())
    for method in wanted if there else ():
        if method not in there:
            raise InputError(f"the method {method!r} was not measured; there are {', '.join(sorted(there))}")
    found = {}
    for model, own in methods.items():
        names = arrow.chunked_array(images.pop(model)).unique()
        found[model] = (tuple(sorted(own)), tuple(names.take(compute.sort_indices(names)).to_pylist()))
    return found


def _by_model(table: Any) -> Iterator[tuple[str, Any]]:
    """The rows of each network in a shard."""
    compute = require("pyarrow.compute", extra="bench")
    models = table["model"].unique().to_pylist()
    for model in models:
        yield model, table if len(models) == 1 else table.filter(compute.equal(table["model"], model))
