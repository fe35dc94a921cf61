"""The rows of a run as Parquet files (shards), each written whole or not at all.

The rows of one map (one method on one image of one network) are a shard, so no finished map is lost when the process is
killed. Many small files are slow to read, so they are merged from time to time. A merged shard lists the shards it
replaces; those that a kill left behind are removed when the run is opened again. Each shard has a digest of its rows,
so that a damaged one is noticed.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from maskstack.errors import InputError, UncheckedWarning, reason, require
from maskstack.files import parse_json, write_whole
from maskstack.runs.rows import FAILED, Key, ResultRow

DIGEST = b"digest"
"""Key of the digest in a shard's metadata."""

_MOST_ROWS, _MOST_BYTES = 20_000_000, 4_000_000_000
_SHARD = re.compile(r"(pair|merged)-[0-9a-f]{20}\.parquet")

MERGE_AT = 500
"""Number of small shards that are merged into one."""


@dataclass
class Store:
    """The shards of one run.

    Attributes:
        folder: Folder of the shards.
        damaged: Shards that could not be read. They were set aside, so that their maps are made again.
    """

    folder: Path
    damaged: list[Path] = field(default_factory=list)
    _written: int = 0

    @classmethod
    def open(cls, run: Path) -> Store:
        """Open the shards of a run, and remove the unfinished files of a killed process.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        store = cls(run / "rows")
        store.folder.mkdir(parents=True, exist_ok=True)
        for leftover in store.folder.glob(".*.parquet"):
            leftover.unlink(missing_ok=True)
        old = 0
        for shard in store.shards():
            if shard.exists():  # a merged shard checked before it may have replaced it
                old += not store._check(shard)
        _warn_of_old(run, old)
        return store

    def check(self) -> None:
        """Check that no shard is damaged, without a change to any file.

        Warns:
            UncheckedWarning: Shards were written by an older version, without a digest.

        Raises:
            InputError: A shard is damaged.
        """
        old = 0
        for shard in self.shards():
            try:
                old += DIGEST not in _read(shard).schema.metadata
            except FileNotFoundError:  # a running bench has meanwhile replaced it by a merged one
                continue
            except Exception as error:
                raise InputError(
                    f"the results {shard} cannot be read, because they are damaged ({reason(error)}); run "
                    "'maskstack bench' again, which replaces damaged files"
                ) from error
        _warn_of_old(self.folder.parent, old)

    def shards(self) -> list[Path]:
        """All shards, sorted by name."""
        return sorted(path for path in self.folder.glob("*.parquet") if not path.name.startswith("."))

    def write(self, rows: Sequence[ResultRow]) -> Path:
        """Write rows as a shard whose name depends on their keys, so that a map is never stored twice.

        Raises:
            OutputError: The file cannot be written.
        """
        keys = sorted({row.key for row in rows})
        path = self.folder / f"pair-{_digest(keys)}.parquet"
        return self._write(path, _table(rows), holds=())

    def finished(self) -> set[Key]:
        """The keys that need not be measured again."""
        parquet = require("pyarrow.parquet", extra="bench")
        done: set[Key] = set()
        for shard in self.shards():
            columns = parquet.read_table(shard, columns=["model", "method", "image", "group"]).to_pydict()
            done.update(zip(*(columns[name] for name in ("model", "method", "image", "group")), strict=True))
        return done

    def forget_failures(self) -> int:
        """Remove the rows of failed groups, so that these are measured again.

        Returns:
            Number of rows removed.
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
        """Count a written shard; after every :data:`MERGE_AT` of them, merge the small ones."""
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

    def rows(self) -> Iterator[ResultRow]:
        """All rows, shard by shard."""
        parquet = require("pyarrow.parquet", extra="bench")
        for shard in self.shards():
            for found in parquet.read_table(shard).to_pylist():
                found["curve"] = None if found["curve"] is None else tuple(found["curve"])
                yield ResultRow(**found)

    def _write(self, path: Path, table: Any, *, holds: Iterable[str]) -> Path:
        parquet = require("pyarrow.parquet", extra="bench")
        held = json.dumps(list(holds))
        about = {"holds": held, "digest": _content_digest(table, held)}
        table = table.replace_schema_metadata(about)
        write: Any = partial(parquet.write_table, table, compression="zstd", write_page_checksum=True)
        return write_whole(path, write)

    def _check(self, shard: Path) -> bool:
        """Set a damaged shard aside, remove shards that a merged one replaces, and return whether it has a digest."""
        try:
            table = _read(shard)
            held = _held(table)
        # pyarrow raises ArrowInvalid, OSError or an error of its decompressor for a damaged file.
        except Exception:
            self.damaged.append(shard)
            aside = self.folder / "damaged"
            aside.mkdir(exist_ok=True)
            shard.rename(aside / shard.name)
            return True
        for name in held:
            (self.folder / name).unlink(missing_ok=True)
        return DIGEST in table.schema.metadata


def _read(shard: Path) -> Any:
    """The table of a shard, after its size, its columns and its digest have been checked.

    Raises:
        ValueError: It is not a shard of a run, or its rows do not fit its digest.
    """
    parquet = require("pyarrow.parquet", extra="bench")
    about = parquet.read_metadata(shard)
    unpacked = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
    if about.num_rows > _MOST_ROWS or unpacked > _MOST_BYTES:
        raise ValueError(f"it has {about.num_rows} rows of {unpacked} bytes, more than any run writes")
    table = parquet.read_table(shard, page_checksum_verification=True)
    table.validate(full=True)
    if table.schema.names != schema().names or not table.schema.equals(schema(), check_metadata=False):
        raise ValueError("its columns are not those of a run")
    table = table.replace_schema_metadata(table.schema.metadata or {})
    found = (table.schema.metadata or {}).get(DIGEST)
    held = (table.schema.metadata or {}).get(b"holds", b"[]").decode()
    if found is not None and found.decode() != _content_digest(table, held):
        raise ValueError("its rows do not fit its digest")
    return table if table.schema.metadata is not None else table.replace_schema_metadata({"holds": "[]"})


def _held(table: Any) -> list[str]:
    """The names of the shards that a merged one replaces.

    Raises:
        ValueError: They are not names of shards.
    """
    held = parse_json(table.schema.metadata.get(b"holds", b"[]"))
    if not isinstance(held, list) or not all(isinstance(name, str) and _SHARD.fullmatch(name) for name in held):
        raise ValueError("it names files that are not shards")
    return held


def _content_digest(table: Any, held: str) -> str:
    content = json.dumps([held, list(table.schema.names), list(table.to_pydict().values())])
    return hashlib.sha256(content.encode()).hexdigest()


def _warn_of_old(run: Path, count: int) -> None:
    if count:
        warnings.warn(
            f"{run} has {count} result files of an older version without a digest, so damage in them cannot be noticed",
            UncheckedWarning,
            stacklevel=3,
        )


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


def _table(rows: Sequence[ResultRow]) -> Any:
    return require("pyarrow", extra="bench").Table.from_pylist([asdict(row) for row in rows], schema=schema())


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
