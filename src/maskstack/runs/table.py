"""The rows of one or more runs as a single table, read by DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstack.errors import InputError, reason, require
from maskstack.runs.rows import FAILED
from maskstack.runs.store import Store

_READ = """
create temp table rows as
select * exclude (filename, place) from (
    select *, row_number() over (
        partition by model, method, image, "group", metric order by value is null, filename
    ) as place
    from read_parquet(?, filename = true, union_by_name = true)
) where place = 1
"""

_DROP_RETRIED = f"""
delete from rows as lost where metric = '{FAILED}' and exists (
    select 1 from rows as found where found.metric <> '{FAILED}' and found.model = lost.model
    and found.method = lost.method and found.image = lost.image and found."group" = lost."group"
)
"""


class ResultTable:
    """Each row of the runs once, without failures that were measured again later.

    Args:
        runs: Folders of runs. They are only read, so another process may be writing to them.

    Raises:
        InputError: There are no rows, or they cannot be read.
        MissingExtraError: duckdb is not installed.
    """

    def __init__(self, runs: Sequence[Path]) -> None:
        duckdb = require("duckdb", extra="bench")
        self._database = duckdb.connect()
        # Otherwise DuckDB prints a progress bar to stderr during a long query.
        self._database.execute("set enable_progress_bar = false")
        for run in runs:
            Store(run / "rows").check()
        for is_last in (False, True):
            shards = [str(shard) for run in runs for shard in Store(run / "rows").shards()]
            if not shards:
                raise InputError(f"{_list(runs)} holds no results yet; run 'maskstack bench' first")
            try:
                self._database.execute(_READ, [shards])
                break
            except duckdb.Error as error:
                # A running bench may meanwhile replace shards by a merged one, which the second attempt finds.
                if is_last:
                    raise InputError(
                        f"the results of {_list(runs)} cannot be read ({reason(error)}); run 'maskstack bench' again, "
                        "which replaces damaged files"
                    ) from error
        self._database.execute(_DROP_RETRIED)
        if not self.ask("select 1 from rows limit 1"):
            raise InputError(f"{_list(runs)} holds no results yet; run 'maskstack bench' first")

    def keep(self, methods: Sequence[str]) -> None:
        """Remove the rows of all other methods.

        Raises:
            InputError: One of them was not measured.
        """
        there = [method for (method,) in self.ask("select distinct method from rows order by method")]
        for method in methods:
            if method not in there:
                raise InputError(f"the method {method!r} was not measured; there are {', '.join(there)}")
        self._database.execute("delete from rows where not list_contains(?, method)", [list(methods)])

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The result of a query on the table ``rows``."""
        answer: list[tuple[Any, ...]] = self._database.execute(query, list(values)).fetchall()
        return answer

    def number(self, model: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Choose a network and return its methods and images, sorted: the rows and columns of the matrices below."""
        found = []
        for what in ("method", "image"):
            self._database.execute(
                f"create or replace temp table {what}s as select {what}, row_number() over (order by {what}) - 1 as "
                f"place from (select distinct {what} from rows where model = ?)",
                [model],
            )
            found.append(tuple(name for (name,) in self.ask(f"select {what} from {what}s order by place")))
        self._database.execute(
            "create or replace temp table chosen as select rows.*, methods.place as line, images.place as place "
            "from rows join methods using (method) join images using (image) where model = ?",
            [model],
        )
        return found[0], found[1]

    def matrix(self, metric: str, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Values of a metric on the chosen network: methods x images, NaN where there is none."""
        return self._fill(
            "select line, place, value as found from chosen where metric = ? and isfinite(value)", [metric], shape
        )

    def cost(self, what: str, shape: tuple[int, int]) -> NDArray[np.float64]:
        """``forward``, ``backward`` or ``seconds`` of a map on the chosen network: methods x images."""
        query = f"select line, place, avg({what})::double as found from chosen where metric <> ? group by line, place"
        return self._fill(query, [FAILED], shape)

    def curves(self, metric: str, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Curves of a metric on the chosen network: methods x images x points.

        Raises:
            InputError: The curves are not all of the same length.
        """
        found = self._database.execute(
            "select line, place, curve from chosen where metric = ? and curve is not null", [metric]
        ).fetchnumpy()
        lengths = {len(curve) for curve in found["curve"]}
        if len(lengths) > 1:
            points = " and ".join(map(str, sorted(lengths)))
            raise InputError(f"the curves of {metric} have {points} points; report runs with the same --curve-steps")
        filled = np.full((*shape, next(iter(lengths), 0)), np.nan)
        if lengths:
            filled[found["line"], found["place"]] = np.stack([np.asarray(curve, float) for curve in found["curve"]])
        return filled

    def _fill(self, query: str, values: list[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
        found = self._database.execute(query, values).fetchnumpy()
        filled = np.full(shape, np.nan)
        filled[found["line"], found["place"]] = found["found"]
        return filled


def _list(runs: Sequence[Path]) -> str:
    return ", ".join(map(str, runs))
