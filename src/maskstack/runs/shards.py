"""One shard: a Parquet file of rows with a digest and the names of the shards that it replaces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstack.errors import require
from maskstack.files import parse_json, write_whole
from maskstack.runs.digest import column_digest, json_digest
from maskstack.runs.rows import ResultRow

DIGESTS = {b"columns": column_digest, b"digest": json_digest}
"""The digests that a shard's metadata may have. New shards have the first one, shards of older versions the second."""

KEY = ("model", "method", "image", "group")
"""Columns that say what a row is a part of; no row lacks them."""

_MOST_ROWS, _MOST_BYTES = 20_000_000, 4_000_000_000
_SHARD = re.compile(r"(pair|merged)-[0-9a-f]{20}\.parquet")


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


def to_table(rows: Sequence[ResultRow]) -> Any:
    """Rows as a table of pyarrow."""
    columns = schema()
    values = {name: [getattr(row, name) for row in rows] for name in columns.names}
    return require("pyarrow", extra="bench").table(values, schema=columns)


def write_shard(path: Path, table: Any, *, holds: Iterable[str]) -> Path:
    """Write a shard whole or not at all.

    Args:
        path: Path of the shard.
        table: Its rows.
        holds: Names of the shards that it replaces.

    Raises:
        OutputError: The file cannot be written.
    """
    parquet = require("pyarrow.parquet", extra="bench")
    held = json.dumps(list(holds))
    table = table.replace_schema_metadata({b"holds": held, b"columns": column_digest(table, held)})
    write: Any = partial(parquet.write_table, table, compression="zstd", write_page_checksum=True)
    return write_whole(path, write)


def read_shard(path: Path) -> Any:
    """The table of a shard, after its size, its columns and its digest have been checked.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is not a shard of a run, or its rows do not fit its digest. pyarrow raises other errors too.
    """
    parquet = require("pyarrow.parquet", extra="bench")
    about = parquet.read_metadata(path)
    unpacked = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
    if about.num_rows > _MOST_ROWS or unpacked > _MOST_BYTES:
        raise ValueError(f"it has {about.num_rows} rows of {unpacked} bytes, more than any run writes")
    table = parquet.read_table(path, page_checksum_verification=True)
    table.validate(full=True)
    if table.schema.names != schema().names or not table.schema.equals(schema(), check_metadata=False):
        raise ValueError("its columns are not those of a run")
    if any(table[name].null_count for name in KEY):
        raise ValueError("a row has no model, method, image or group")
    metadata = table.schema.metadata or {}
    held = metadata.get(b"holds", b"[]").decode()
    for name, digest in DIGESTS.items():
        if name in metadata and metadata[name].decode() != digest(table, held):
            raise ValueError("its rows do not fit its digest")
    return table.replace_schema_metadata({b"holds": b"[]", **metadata})


def has_digest(table: Any) -> bool:
    """Whether a shard has a digest; those of the first versions have none."""
    return any(name in table.schema.metadata for name in DIGESTS)


def held_by(table: Any) -> list[str]:
    """The names of the shards that a merged one replaces.

    Raises:
        ValueError: They are not names of shards.
    """
    held = parse_json(table.schema.metadata[b"holds"])
    if not isinstance(held, list) or not all(isinstance(name, str) and _SHARD.fullmatch(name) for name in held):
        raise ValueError("it names files that are not shards")
    return held


def read_columns(path: Path, columns: Sequence[str]) -> Any:
    """Some columns of a shard, not checked.

    Raises:
        FileNotFoundError: It does not exist.
    """
    return require("pyarrow.parquet", extra="bench").read_table(path, columns=list(columns))


def numbered(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """A column of texts as numbers: for each row the place of its text in the list of different texts.

    Args:
        column: A column of a table of pyarrow, without nulls.
    """
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices, dtype=np.int64), encoded.dictionary.to_pylist()
