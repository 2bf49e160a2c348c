"""The profile of what a phase publishes: a row a column, computed by Arrow and numpy, never row by row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.stats.figures.values import is_list, is_missing, is_text, items_of

TOP = 5
"""Most frequent values that are listed."""
LONGEST_TOP = 80
"""Characters of a value that is listed: a longer one is no category."""
_NUMBERS = ("minimum", "p05", "lower_quartile", "median", "upper_quartile", "p95", "maximum", "mean", "deviation")
_LENGTHS = ("length_minimum", "length_median", "length_maximum")
SCHEMA = pa.schema(
    [
        ("column", pa.string()),
        ("type", pa.string()),
        ("description", pa.string()),
        ("rows", pa.int64()),
        ("missing", pa.int64()),
        ("distinct", pa.int64()),
        *[(name, pa.float64()) for name in _NUMBERS],
        ("earliest", pa.timestamp("us", tz="UTC")),
        ("latest", pa.timestamp("us", tz="UTC")),
        *[(name, pa.int64()) for name in _LENGTHS],
        ("top", pa.list_(pa.field("element", pa.struct([("value", pa.string()), ("count", pa.int64())])))),
    ]
)


def table_profile(table: pa.Table, descriptions: Mapping[str, str] | None = None) -> pa.Table:
    """One row a column of `table`:

    column, type, description, rows, missing (null, not a number, empty text), distinct (values that are not missing;
    items of lists; null for structs); of numbers minimum, p05, quartiles, median, p95, maximum, mean, deviation (of
    the population); of dates earliest and latest (UTC); length_minimum, length_median, length_maximum (characters of
    texts, items of lists); top: up to five values that occur at least twice, of at most 80 characters, with counts.
    """
    said = descriptions or {}
    rows = [
        {
            "column": field.name,
            "type": str(field.type),
            "description": said.get(field.name, ""),
            "rows": table.num_rows,
            **_of_column(table.column(field.name)),
        }
        for field in table.schema
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def document_profile(document: Mapping[str, Any]) -> pa.Table:
    """The same columns with a row for each key of a document: type (text, number, list …), items or characters as
    lengths, and how many values are missing (null or empty)."""
    rows = []
    for key, value in document.items():
        size = len(value) if isinstance(value, str | list | tuple | Mapping) else None
        rows.append(
            {
                "column": str(key),
                "type": _type_of(value),
                "description": f"{len(canonical_json(value)):,} bytes as JSON",
                "rows": 1,
                "missing": int(value is None or value == ""),
                **({} if size is None else dict.fromkeys(_LENGTHS, size)),
            }
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def profile_json(profile: pa.Table) -> bytes:
    """A profile to be read: `{"columns": [{…}, …]}`, without what does not apply to a column."""
    columns = [{k: v for k, v in row.items() if v not in (None, "", [])} for row in profile.to_pylist()]
    plain = json.loads(canonical_json({"columns": columns}))
    return (json.dumps(plain, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def _of_column(column: pa.ChunkedArray) -> dict[str, Any]:
    kind = column.type
    gaps = is_missing(column)
    found: dict[str, Any] = {"missing": int(pc.sum(gaps).as_py() or 0)}
    present = column.filter(pc.invert(gaps)) if found["missing"] else column
    if pa.types.is_boolean(kind):
        return found | _values(present.cast(pa.string()))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return found | _numbers(present) | _values(present)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        bounds = pc.min_max(present.cast(pa.timestamp("us", tz="UTC")))
        return found | {"earliest": bounds["min"].as_py(), "latest": bounds["max"].as_py()} | _values(present)
    if is_text(kind):
        return found | _lengths(pc.utf8_length(present)) | _values(present)
    if is_list(kind):
        return found | _lengths(pc.list_value_length(present)) | _values(items_of(present).drop_null())
    return found


def _numbers(present: pa.ChunkedArray) -> dict[str, float]:
    numbers = present.cast(pa.float64()).to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return {}
    five = np.quantile(numbers, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1))
    values = (*five, numbers.mean(), numbers.std())
    return {name: _short(float(value)) for name, value in zip(_NUMBERS, values, strict=True)}


def _lengths(lengths: pa.ChunkedArray) -> dict[str, int]:
    if not len(lengths):
        return {}
    numbers = lengths.to_numpy()
    middle = (len(numbers) - 1) // 2
    found = (numbers.min(), np.partition(numbers, middle)[middle], numbers.max())
    return {name: int(value) for name, value in zip(_LENGTHS, found, strict=True)}


def _values(present: pa.ChunkedArray) -> dict[str, Any]:
    """`distinct`, and `top` where values repeat and are short."""
    if pa.types.is_nested(present.type):
        return {}
    counts = pc.value_counts(present)
    found: dict[str, Any] = {"distinct": len(counts)}
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if not len(repeated):
        return found
    named = pa.table({"value": repeated.field("values").cast(pa.string()), "count": repeated.field("counts")})
    named = named.filter(pc.less_equal(pc.utf8_length(named.column("value")), LONGEST_TOP))
    if named.num_rows:
        best = pc.select_k_unstable(named, k=TOP, sort_keys=[("count", "descending"), ("value", "ascending")])
        found["top"] = named.take(best[: min(TOP, named.num_rows)]).to_pylist()
    return found


def _short(value: float) -> float:
    """Twelve digits: what differs behind them is the order in which numbers were added up."""
    return float(f"{value:.12g}")


def _type_of(value: Any) -> str:
    names = {str: "text", bool: "yes or no", int: "number", float: "number", type(None): "nothing"}
    if isinstance(value, Mapping):
        return "object"
    return "list" if isinstance(value, list | tuple) else names.get(type(value), type(value).__name__)
