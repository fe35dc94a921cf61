"""The results of a run as Parquet shards, each there whole or not at all.

A finished pair (one method on one image of one network) is a shard of its own, so that whatever kills the process loses
no finished pair. Many small files are slow to read, so full sets of them are merged into one; a merged shard names what
it holds, and what a kill between its writing and the removal of the small ones leaves twice is removed when the run is
opened again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from maskstack.errors import require
from maskstack.files import write_whole

MERGE_AT = 500
"""Small shards after which they are merged into one."""


FAILED = "failed"
"""Stands for the metric in the one row of a group that could not be measured at all."""


@dataclass(frozen=True)
class Row:
    """One value of one map.

    Attributes:
        model: Name of the network.
        method: Method with its options, as on the command line.
        image: Name of the image within its data set.
        group: Group of metrics the value belongs to.
        metric: Name of the metric.
        value: The value; None where there is none, with the reason in ``failure``.
        protocol: How it was measured, as JSON.
        target: Class index that was explained.
        curve: The values behind it, where it is made of a curve.
        forward: Images sent forward to make the map.
        backward: Images sent backward.
        seconds: Wall time of making the map.
        failure: Why there is no value.
    """

    model: str
    method: str
    image: str
    group: str
    metric: str
    value: float | None
    protocol: str = "{}"
    target: int | None = None
    curve: tuple[float, ...] | None = None
    forward: int = 0
    backward: int = 0
    seconds: float = 0.0
    failure: str | None = None


Key = tuple[str, str, str, str]
"""Model, method, image and group: what is finished as a whole."""


@dataclass
class Store:
    """The shards of one run.

    Attributes:
        folder: Where the shards lie.
        damaged: Shards that could not be read; set aside, so that their pairs are done again.
    """

    folder: Path
    damaged: list[Path] = field(default_factory=list)
    _written: int = 0

    @classmethod
    def open(cls, run: Path) -> Store:
        """Open the shards of a run; what a killed process left half done is cleared away.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        store = cls(run / "rows")
        store.folder.mkdir(parents=True, exist_ok=True)
        for leftover in store.folder.glob(".*.parquet"):
            leftover.unlink(missing_ok=True)
        for shard in store.shards():
            if shard.exists():  # a merged shard before it may have held it
                store._check(shard)
        return store

    def shards(self) -> list[Path]:
        """All shards, sorted by name."""
        return sorted(path for path in self.folder.glob("*.parquet") if not path.name.startswith("."))

    def write(self, rows: Sequence[Row]) -> Path:
        """Write rows as a shard named by what they are, so that the same pair is never there twice.

        Raises:
            OutputError: The file cannot be written.
        """
        keys = sorted({key(row) for row in rows})
        path = self.folder / f"pair-{_digest(keys)}.parquet"
        return self._write(path, _table(rows), holds=())

    def finished(self) -> set[Key]:
        """What needs not be done again."""
        parquet = require("pyarrow.parquet", extra="bench")
        done: set[Key] = set()
        for shard in self.shards():
            columns = parquet.read_table(shard, columns=["model", "method", "image", "group"]).to_pydict()
            done.update(zip(*(columns[name] for name in ("model", "method", "image", "group")), strict=True))
        return done

    def forget_failures(self) -> int:
        """Drop what failed as a whole, so that it is tried again.

        Returns:
            Number of rows dropped.
        """
        arrow, parquet = require("pyarrow.compute", extra="bench"), require("pyarrow.parquet", extra="bench")
        dropped = 0
        for shard in self.shards():
            table = parquet.read_table(shard)
            kept = table.filter(arrow.not_equal(table["metric"], FAILED))
            dropped += len(table) - len(kept)
            if len(kept) == 0:
                shard.unlink()
            elif len(kept) < len(table):
                self._write(shard, kept, holds=())
        return dropped

    def merge_when_many(self) -> None:
        """Merge the small shards once there are :data:`MERGE_AT` of them written since the last look."""
        self._written += 1
        if self._written >= MERGE_AT:
            self._written = 0
            self.merge()

    def merge(self) -> Path | None:
        """Merge all small shards into one; None if there are none."""
        small = [path for path in self.shards() if path.name.startswith("pair-")]
        if not small:
            return None
        arrow, parquet = require("pyarrow", extra="bench"), require("pyarrow.parquet", extra="bench")
        table = arrow.concat_tables([parquet.read_table(path, schema=schema()) for path in small])
        names = [path.name for path in small]
        path = self._write(self.folder / f"merged-{_digest(names)}.parquet", table, holds=names)
        for shard in small:
            shard.unlink()
        return path

    def rows(self) -> Iterator[Row]:
        """All rows, shard by shard."""
        parquet = require("pyarrow.parquet", extra="bench")
        for shard in self.shards():
            for found in parquet.read_table(shard).to_pylist():
                found["curve"] = None if found["curve"] is None else tuple(found["curve"])
                yield Row(**found)

    def _write(self, path: Path, table: Any, *, holds: Iterable[str]) -> Path:
        parquet = require("pyarrow.parquet", extra="bench")
        table = table.replace_schema_metadata({"holds": json.dumps(list(holds))})
        return write_whole(path, lambda beside: parquet.write_table(table, beside, compression="zstd"))

    def _check(self, shard: Path) -> None:
        """Set a damaged shard aside; remove what a merged one holds already."""
        parquet = require("pyarrow.parquet", extra="bench")
        try:
            table = parquet.read_table(shard)
            if table.schema.names != schema().names:
                raise ValueError("its columns are not those of a run")
        # pyarrow meets damage with ArrowInvalid, OSError, or whatever its decompressor says.
        except Exception:
            self.damaged.append(shard)
            aside = self.folder / "damaged"
            aside.mkdir(exist_ok=True)
            shard.rename(aside / shard.name)
            return
        held = json.loads((table.schema.metadata or {}).get(b"holds", b"[]"))
        for name in held:
            (self.folder / name).unlink(missing_ok=True)


def key(row: Row) -> Key:
    """What a row belongs to."""
    return row.model, row.method, row.image, row.group


def schema() -> Any:
    """The columns of a shard."""
    arrow = require("pyarrow", extra="bench")
    text, whole, real = arrow.string(), arrow.int64(), arrow.float64()
    kinds: Mapping[str, Any] = {
        "model": text, "method": text, "image": text, "group": text, "metric": text, "value": real, "protocol": text,
        "target": whole, "curve": arrow.list_(arrow.float32()), "forward": whole, "backward": whole, "seconds": real,
        "failure": text,
    }  # fmt: skip
    return arrow.schema(list(kinds.items()))


def _table(rows: Sequence[Row]) -> Any:
    return require("pyarrow", extra="bench").Table.from_pylist([asdict(row) for row in rows], schema=schema())


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
