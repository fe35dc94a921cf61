"""Which shards are merged, and how: in levels, so that few shards are left and a row is seldom written again."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskstack.errors import require
from maskstack.runs.shards import schema, write_shard

MERGE_LEVEL_AT = 16
"""Number of merged shards of one level that are merged into one."""

MOST_MERGED_ROWS = 2**19
"""Maximum number of rows that merged shards are merged into; a shard with more than half of it is not merged again."""


def write_merged(shards: Sequence[Path]) -> tuple[Path, int]:
    """Write one shard in place of several, which are removed when it is whole.

    Args:
        shards: The shards, in one folder.

    Returns:
        The shard and its number of rows.

    Raises:
        OutputError: The file cannot be written; the shards are still there.
    """
    arrow, parquet = require("pyarrow", extra="bench"), require("pyarrow.parquet", extra="bench")
    table = arrow.concat_tables([parquet.read_table(path, schema=schema()) for path in shards])
    names = [path.name for path in shards]
    path = write_shard(shards[0].parent / f"merged-{short_digest(names)}.parquet", table, holds=names)
    for shard in shards:
        shard.unlink()
    return path, len(table)


def to_merge(rows: Mapping[Path, int]) -> Iterator[list[Path]]:
    """The groups of merged shards that should be merged into one each.

    A level holds the shards whose number of rows can be divided by :data:`MERGE_LEVEL_AT` equally often. A level with
    so many shards gives one group, of at most :data:`MOST_MERGED_ROWS` rows.

    Args:
        rows: Number of rows of each merged shard.

    >>> shards = {Path(str(number)): 20 for number in range(17)}
    >>> [len(group) for group in to_merge(shards)]
    [17]
    >>> list(to_merge({**shards, Path("0"): 2000, Path("1"): 2}))
    []
    """
    levels: dict[int, list[Path]] = defaultdict(list)
    for path, count in rows.items():
        if count <= MOST_MERGED_ROWS // 2:
            levels[_level(count)].append(path)
    for level in sorted(levels):
        if len(levels[level]) >= MERGE_LEVEL_AT:
            total = np.cumsum([rows[path] for path in levels[level]])
            # Two shards always fit, because each has at most half of the rows.
            yield levels[level][: int((total <= MOST_MERGED_ROWS).sum())]


def short_digest(parts: Any) -> str:
    """A digest for the name of a shard."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def _level(rows: int) -> int:
    level = 0
    while rows >= MERGE_LEVEL_AT:
        rows, level = rows // MERGE_LEVEL_AT, level + 1
    return level
