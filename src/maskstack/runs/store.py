"""The rows of a run as Parquet files (shards), each written whole or not at all.

The rows of a map (one method on one image of one network) are written as a shard, those of quick maps together, so
little is lost when the process is killed. Many small files are slow to read, so they are merged from time to time, and
so are merged ones of about one size. A merged shard lists the shards it replaces; those that a kill left behind are
removed when the run is opened again. Each shard has a digest of its rows, so that a damaged one is noticed.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstack.errors import InputError, UncheckedWarning, reason, require
from maskstack.runs.merging import short_digest, to_merge, write_merged
from maskstack.runs.places import Places
from maskstack.runs.rows import FAILED, Key, ResultRow
from maskstack.runs.shards import (
    KEY,
    has_digest,
    held_by,
    numbered,
    read_columns,
    read_shard,
    to_table,
    write_shard,
)

MERGE_AT = 100
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
    _rows: dict[str, int] = field(default_factory=dict)

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

    def checked(self) -> Iterator[tuple[Path, Any]]:
        """Each shard with its table, after a check that it is not damaged. No file is changed.

        Shards that a running bench adds meanwhile are left out, except those that replace others.

        Warns:
            UncheckedWarning: Shards were written by an older version, without a digest.

        Raises:
            InputError: A shard is damaged.
        """
        old = 0
        for shard in self.lasting():
            try:
                table = read_shard(shard)
            except FileNotFoundError:  # a running bench has meanwhile replaced it by a merged one
                continue
            except Exception as error:
                raise InputError(
                    f"the results {shard} cannot be read, because they are damaged ({reason(error)}); run "
                    "'maskstack bench' again, which replaces damaged files"
                ) from error
            old += not has_digest(table)
            yield shard, table
        _warn_of_old(self.folder.parent, old)

    def check(self) -> None:
        """Check that no shard is damaged; see :meth:`checked`."""
        for _ in self.checked():
            pass

    def shards(self) -> list[Path]:
        """All shards, sorted by name."""
        return sorted(path for path in self.folder.glob("*.parquet") if not path.name.startswith("."))

    def lasting(self) -> Iterator[Path]:
        """All shards, the last name first; if some are replaced by merged ones meanwhile, then these too."""
        seen: set[Path] = set()
        vanished = True
        while vanished:
            vanished = False
            for shard in reversed([path for path in self.shards() if path not in seen]):
                seen.add(shard)
                yield shard
                vanished |= not shard.exists()

    def write(self, rows: Sequence[ResultRow]) -> Path:
        """Write rows as a shard whose name depends on their keys, so that the same rows are never stored twice.

        Raises:
            OutputError: The file cannot be written.
        """
        keys = sorted({row.key for row in rows})
        return write_shard(self.folder / f"pair-{short_digest(keys)}.parquet", to_table(rows), holds=())

    def finished(self) -> set[Key]:
        """The keys that need not be measured again; for many images see :meth:`measured`."""
        done: set[Key] = set()
        for shard in self.shards():
            columns = read_columns(shard, KEY).to_pydict()
            done.update(zip(*(columns[name] for name in KEY), strict=True))
        return done

    def measured(self, model: str, images: Sequence[str]) -> dict[tuple[str, str], NDArray[np.bool_]]:
        """Which images of a network need not be measured again.

        Args:
            model: The network's name.
            images: Names of N images; rows of other images are ignored.

        Returns:
            For each method and group that the network has, N truth values. It takes a byte for each of them.
        """
        compute = require("pyarrow.compute", extra="bench")
        places, done = Places(images), defaultdict[tuple[str, str], Any](lambda: np.zeros(len(images), bool))
        for shard in self.shards():
            table = read_columns(shard, KEY)
            table = table.filter(compute.equal(table["model"], model))
            method, methods = numbered(table["method"])
            group, groups = numbered(table["group"])
            image, names = numbered(table["image"])
            at = places(names)[image]
            kind = method * len(groups) + group
            for each in np.unique(kind):
                found = at[kind == each]
                done[methods[each // len(groups)], groups[each % len(groups)]][found[found >= 0]] = True
        return dict(done)

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
                write_shard(shard, kept, holds=())
        self._rows.clear()
        return dropped

    def merge_when_many(self) -> None:
        """Count a written shard; after every :data:`MERGE_AT` of them, merge the small ones."""
        self._written += 1
        if self._written >= MERGE_AT:
            self._written = 0
            self.merge()

    def merge(self) -> Path | None:
        """Merge all small shards into one, and merged shards of one level where there are many.

        Returns:
            The shard of the small ones, which may itself be merged already; None if there were none.
        """
        shards = self.shards()
        small = [path for path in shards if path.name.startswith("pair-")]
        if not small:
            return None
        merged, rows = write_merged(small)
        self._rows[merged.name] = rows
        left = [path for path in shards if path not in small]
        for group in to_merge({path: self._count(path) for path in [*left, merged]}):
            larger, rows = write_merged(group)
            self._rows[larger.name] = rows
        return merged

    def rows(self) -> Iterator[ResultRow]:
        """All rows, shard by shard."""
        parquet = require("pyarrow.parquet", extra="bench")
        for shard in self.shards():
            for found in parquet.read_table(shard).to_pylist():
                found["curve"] = None if found["curve"] is None else tuple(found["curve"])
                yield ResultRow(**found)

    def _count(self, shard: Path) -> int:
        """Number of rows of a merged shard; its file is opened once."""
        if shard.name not in self._rows:
            self._rows[shard.name] = require("pyarrow.parquet", extra="bench").read_metadata(shard).num_rows
        return self._rows[shard.name]

    def _check(self, shard: Path) -> bool:
        """Set a damaged shard aside, remove shards that a merged one replaces, and return whether it has a digest."""
        try:
            table = read_shard(shard)
            held = held_by(table)
        # pyarrow raises ArrowInvalid, OSError or an error of its decompressor for a damaged file.
        except Exception:
            self.damaged.append(shard)
            aside = self.folder / "damaged"
            aside.mkdir(exist_ok=True)
            shard.rename(aside / shard.name)
            return True
        for name in held:
            (self.folder / name).unlink(missing_ok=True)
        return has_digest(table)


def _warn_of_old(run: Path, count: int) -> None:
    if count:
        warnings.warn(
            f"{run} has {count} result files of an older version without a digest, so damage in them cannot be noticed",
            UncheckedWarning,
            stacklevel=3,
        )
