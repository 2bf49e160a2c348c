"""Columns as numbers and counts: what figures and profiles draw from. Arrow and numpy only, no row by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NO_VALUE = "(no value)"


def column_of(table: pa.Table, column: str) -> pa.ChunkedArray:
    """The column; an empty one where the table has none of that name."""
    return table.column(column) if column in table.column_names else pa.chunked_array([pa.array([], pa.null())])


def finite_numbers(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, Any], int]:
    """The numbers of a column that are finite, in order, and how many values are missing or not finite."""
    if pa.types.is_null(column.type):
        return np.empty(0), len(column)
    whole = column.drop_null().cast(pa.float64()).to_numpy()
    numbers = whole[np.isfinite(whole)]
    return numbers, len(column) - len(numbers)


def is_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether a value is missing: null, not a number, or an empty text."""
    if pa.types.is_floating(column.type):
        return pc.is_null(column, nan_is_null=True)
    if is_text(column.type):
        return pc.fill_null(pc.equal(pc.binary_length(column), 0), True)
    return pc.is_null(column)


def missing_in(column: pa.ChunkedArray) -> int:
    """How many values of a column are missing."""
    return int(pc.sum(is_missing(column)).as_py() or 0)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is a list."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def items_of(column: pa.ChunkedArray, item: str = "") -> pa.ChunkedArray:
    """The values of a column, of a list column its items; of structs the field `item`. Nulls and lists that are null
    stay as nulls, empty lists leave nothing."""
    found = column
    if is_list(column.type):
        absent = column.null_count
        found = pc.list_flatten(column)
        if absent:
            found = pa.chunked_array([*_chunks(found), pa.nulls(absent, found.type)])
    return pc.struct_field(found, item) if item else found


def counted(column: pa.ChunkedArray, top: int) -> tuple[list[tuple[str, int]], int, int]:
    """The `top` most frequent values as text with their counts (ties by name); the number of other values, and of
    the items that have them. What is missing or empty counts as `(no value)`."""
    if not len(column):
        return [], 0, 0
    texts = column if is_text(column.type) else column.cast(pa.string())
    named = pc.if_else(is_missing(texts), pa.scalar(NO_VALUE, texts.type), texts)
    found = pc.value_counts(named)
    table = pa.table({"name": found.field("values").cast(pa.string()), "count": found.field("counts")})
    best = pc.select_k_unstable(
        table, k=min(top, table.num_rows), sort_keys=[("count", "descending"), ("name", "ascending")]
    )
    pairs = [(row["name"], row["count"]) for row in table.take(best).to_pylist()]
    return pairs, table.num_rows - len(pairs), len(column) - sum(count for _, count in pairs)


def utc_days(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, Any], int]:
    """Days since 1970 (UTC) of a column of dates or times, and how many are missing."""
    present = column.drop_null()
    missing = len(column) - len(present)
    if not len(present):
        return np.empty(0, np.int64), missing
    if pa.types.is_date32(present.type):
        return present.cast(pa.int32()).to_numpy().astype(np.int64), missing
    moments = present.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    return moments // 86_400_000_000, missing


def _chunks(column: Any) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]
