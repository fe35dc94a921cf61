"""The rows of quick maps, written together: a file for each map can cost more than the map itself."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from maskstack.runs.folder import RunListener
from maskstack.runs.rows import ResultRow
from maskstack.runs.store import Store

AT_RISK_SECONDS = 0.25
"""How much work a killed process may lose: rows are written as soon as this much time was spent on them."""


class RowsTogether:
    """Collects the rows of maps, and writes them as one shard as soon as the maps took a certain time together.

    So the rows of a slow map are written at once. On exit, also after an error or Ctrl-C, all rows are written.

    Args:
        store: Where they are written.
        listener: Learns of the maps whose rows are written.
        at_risk: The time in seconds; this much work is lost at most when the process is killed.
    """

    def __init__(self, store: Store, listener: RunListener, *, at_risk: float = AT_RISK_SECONDS) -> None:
        self._store, self._listener, self._at_risk = store, listener, at_risk
        self._rows: list[ResultRow] = []
        self._maps, self._seconds = 0, 0.0

    def __enter__(self) -> RowsTogether:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def add(self, rows: Sequence[ResultRow], seconds: float) -> None:
        """Add the rows of a map, and the seconds that it took.

        Raises:
            OutputError: The rows cannot be written.
        """
        self._rows += rows
        self._maps, self._seconds = self._maps + 1, self._seconds + seconds
        if self._seconds >= self._at_risk:
            self._write()

    def _write(self) -> None:
        if not self._rows:
            return
        # If Ctrl-C comes after the writing, the same rows are written again, under the same name.
        self._store.write(self._rows)
        rows, maps = self._rows, self._maps
        self._rows, self._maps, self._seconds = [], 0, 0.0
        self._store.merge_when_many()
        self._listener.finished(maps, rows)
