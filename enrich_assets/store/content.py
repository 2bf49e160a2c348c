"""Hashes of values: what a table or document holds, whatever way its bytes are laid out.

Two equal tables hash alike however they are chunked, sliced, dictionary-encoded or padded: per column, the streams
validity (a byte a row), lengths (int64 a row) and values (little-endian, nulls as zero) are hashed, lists and
structs recursively, and the column's type is part of the hash. No byte of Arrow's or Parquet's own layout counts,
so the hash outlives a change of library.

Buffers are read and constants made without `to_numpy`, `pa.array` and `pa.scalar`: each of them imports pandas, half a
second of every command that verifies a table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from enrich_assets.core.errors import DeclarationError
from enrich_assets.core.fingerprint import fingerprint
from enrich_assets.core.picking import are_all_in_order, pieces_at, pieces_of


def content_sha256(table: pa.Table) -> str:
    """Hash over every column and row in stored order."""
    return content_sha256_of(table.schema, pieces_of(table))


def content_sha256_of(schema: pa.Schema, pieces: Iterable[pa.Table]) -> str:
    """The same hash of a table that is not there as a whole, of its rows piece by piece."""
    return _hash(pa.Table.from_batches([], schema), pieces)


def data_sha256(table: pa.Table, volatile: Collection[str] = ()) -> str:
    """Hash over the rows sorted by `row_id` and the columns sorted by name, `volatile` columns left out.

    Raises DeclarationError if `row_id` is missing, null or not unique: then no order is defined.
    """
    order = _values(pc.sort_indices(_row_ids(table))).astype(np.int64)
    named = table.select(sorted(name for name in table.column_names if name not in volatile))
    in_order = pieces_of(named) if are_all_in_order(order, table.num_rows) else pieces_at(named, order)
    return _hash(named.slice(0, 0), in_order)


def document_sha256(document: Mapping[str, Any], volatile: Collection[str] = ()) -> str:
    """Hash over a document without its `volatile` top-level keys."""
    return fingerprint({key: value for key, value in document.items() if key not in volatile})


def column_types(table: pa.Table) -> dict[str, str]:
    """Column name → Arrow type as text."""
    return {field.name: str(field.type) for field in table.schema}


def _row_ids(table: pa.Table) -> pa.ChunkedArray:
    if table.column_names.count("row_id") != 1:
        raise DeclarationError("a published table needs one column row_id.", fix="Name each row by what it is.")
    ids = table.column("row_id")
    if ids.null_count:
        raise DeclarationError(f"row_id is null in {ids.null_count} rows.", fix="Give every row its row_id.")
    if pc.count_distinct(ids).as_py() != len(ids):
        counts = pc.value_counts(ids)
        twice = next(item["values"].as_py() for item in counts if item["counts"].as_py() > 1)
        raise DeclarationError(f"row_id {twice!r} occurs more than once.", fix="Make row_id of what identifies a row.")
    return ids


def _hash(empty: pa.Table, pieces: Iterable[pa.Table]) -> str:
    """Hash over the rows of `pieces`, which have the columns of `empty`."""
    columns: list[dict[str, Any]] = [{} for _ in empty.column_names]
    rows = 0
    # Piece by piece: what is made of a piece on the way to its bytes is gone before the next one.
    for piece in chain((empty,), pieces):
        rows += piece.num_rows
        for column, streams in zip(piece.columns, columns, strict=True):
            for chunk in column.chunks or [pa.nulls(0, column.type)]:
                _feed(chunk, "", streams)
    hashed = [{path: stream.hexdigest() for path, stream in streams.items()} for streams in columns]
    return fingerprint([[name, rows, found] for name, found in zip(empty.column_names, hashed, strict=True)])


def _feed(array: pa.Array, path: str, streams: dict[str, Any]) -> None:
    """Adds an array's values to the streams; a stream's name holds the path and the type."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        _feed(array.dictionary_decode(), path, streams)
        return
    _add(streams, f"{path}?", pc.cast(pc.is_valid(array), pa.uint8()))
    if pa.types.is_null(kind):
        return
    if pa.types.is_struct(kind):
        for field, child in zip(kind, array.flatten(), strict=True):
            _feed(child, f"{path}.{field.name}", streams)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        _add(streams, f"{path}#", _without_nulls(pc.list_value_length(array)).cast(pa.int64()))
        _feed(array.flatten(), f"{path}[]", streams)
    elif _is_text(kind) or _is_bytes(kind):
        name = f"{path}:{'string' if _is_text(kind) else 'binary'}"
        whole = _without_nulls(array.cast(pa.large_binary()))
        _add(streams, f"{name}#", pc.binary_length(whole).cast(pa.int64()))
        _stream(streams, name).update(_joined(whole))
    else:
        _add(streams, f"{path}:{kind}", _numbers(array, path))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _numbers(array: pa.Array, path: str) -> pa.Array:
    kind = array.type
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif pa.types.is_date32(kind) or pa.types.is_time32(kind):
        array = array.cast(pa.int32())
    elif pa.types.is_temporal(kind):
        array = array.cast(pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DeclarationError(f"a column of type {kind} cannot be published.", where=path)
    return _without_nulls(array)


def _without_nulls(array: pa.Array) -> pa.Array:
    """The array with zeros, or empty values of `large_binary`, where it has none."""
    if not array.null_count:
        return array
    zeros, nothing = pa.py_buffer(bytes(16)), pa.py_buffer(b"")
    buffers = [None, zeros, nothing] if pa.types.is_large_binary(array.type) else [None, zeros]
    return pc.fill_null(array, pa.Array.from_buffers(array.type, 1, buffers)[0])


def _joined(whole: pa.Array) -> memoryview | bytes:
    """The bytes of all values, one after the other, without what lies before or behind a slice."""
    _, offsets, values = whole.buffers()
    if len(whole) == 0 or values is None:
        return b""
    ends = np.frombuffer(offsets, dtype="<i8")[whole.offset : whole.offset + len(whole) + 1]
    return memoryview(values)[int(ends[0]) : int(ends[-1])]


def _add(streams: dict[str, Any], name: str, numbers: pa.Array) -> None:
    values = _values(numbers)
    if values.dtype.kind == "f":
        # Equal numbers, equal bytes: one zero, one not-a-number.
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values + np.array(0, values.dtype))
    _stream(streams, name).update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())


def _values(numbers: pa.Array) -> np.ndarray[Any, Any]:
    """The numbers of an array without nulls, as they lie in its buffer."""
    kind = np.dtype(numbers.type.to_pandas_dtype())
    buffer = numbers.buffers()[1]
    if buffer is None:
        return np.empty(0, kind)
    return np.frombuffer(buffer, kind, count=len(numbers), offset=numbers.offset * kind.itemsize)


def _stream(streams: dict[str, Any], name: str) -> Any:
    return streams.setdefault(name, hashlib.sha256())
