"""The digest of a shard's rows, computed from its columns as bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from maskstack.errors import require


def column_digest(table: Any, held: str) -> str:
    """Digest of a table's rows. It does not depend on how the columns are divided into chunks.

    Every column adds the places of its nulls, and then its values with nulls filled: numbers as they are, texts as
    their lengths and their joined bytes, lists as their lengths and their joined values.

    Args:
        table: A table of pyarrow.
        held: Names of the shards that the table's shard replaces, as JSON.
    """
    digest = hashlib.sha256(json.dumps([held, list(table.schema.names)]).encode())
    for column in table.columns:
        _add(digest, column.chunks, column.type)
    return digest.hexdigest()


def json_digest(table: Any, held: str) -> str:
    """Digest of a table's rows as older versions computed it, from all values as JSON. It is slow for many rows."""
    content = json.dumps([held, list(table.schema.names), list(table.to_pydict().values())])
    return hashlib.sha256(content.encode()).hexdigest()


def _add(digest: Any, chunks: Sequence[Any], kind: Any) -> None:
    compute, types = require("pyarrow.compute", extra="bench"), require("pyarrow.types", extra="bench")
    nulls = sum(chunk.null_count for chunk in chunks)
    # Parquet does not keep the name that a list's type gives to its items.
    name = "list" if types.is_list(kind) else kind
    digest.update(f"{name} {sum(map(len, chunks))} {nulls};".encode())
    for chunk in chunks if nulls else ():
        digest.update(_bytes(chunk.is_null().to_numpy(zero_copy_only=False), np.uint8))
    if types.is_list(kind):
        for chunk in chunks:
            digest.update(_bytes(_filled(compute.list_value_length(chunk), 0), np.int32))
        _add(digest, [chunk.flatten() for chunk in chunks], kind.value_type)
    elif types.is_string(kind):
        texts = [_filled(chunk, "") for chunk in chunks]
        for chunk in texts:
            digest.update(_bytes(compute.binary_length(chunk), np.int32))
        for chunk in texts:
            digest.update(_joined(chunk))
    else:
        for chunk in chunks:
            digest.update(_bytes(_filled(chunk, 0), kind.to_pandas_dtype()))


def _filled(values: Any, null: Any) -> Any:
    """Values with others in place of nulls; a small shard's column costs more to copy than to look at."""
    return require("pyarrow.compute", extra="bench").fill_null(values, null) if values.null_count else values


def _bytes(values: Any, kind: Any) -> bytes:
    return np.ascontiguousarray(values, dtype=kind).tobytes()


def _joined(texts: Any) -> memoryview:
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(data)[ends[0] : ends[-1]]
