"""What is shown of a table: the rows that a filter leaves, in an order, one page of them. Arrow's kernels do the work.

Nothing but the rows of one page ever becomes Python values. How a page of a table looks belongs to its template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from enrich_assets.core.errors import UserError

ROWS_A_PAGE = 50
COLUMNS_SHOWN = 8
"""More do not fit a screen; any others can be chosen."""
_LONGEST_SHOWN = 240
"""Characters of a text that are read for a cell."""
OPERATORS = {
    "has": "contains",
    "is": "is",
    "not": "is not",
    "least": "is at least",
    "most": "is at most",
    "empty": "is empty",
    "filled": "is not empty",
}
_TELLING = (
    "title", "name", "rank", "final_score", "tier3_score", "tier2_score", "tier1_score", "drop_reason", "drop_value",
    "drop_detail", "failure_kind", "failure_message", "category", "source_name", "status", "published_at",
)  # fmt: skip
_NUMBERLIKE = frozenset("0123456789.-:+ ")


@dataclass(frozen=True)
class Query:
    """Which rows of a table, in which order: `text` stands in any column, `column` `operator` `value` holds."""

    text: str = ""
    column: str = ""
    operator: str = "has"
    value: str = ""
    sort: str = ""
    descending: bool = False


def rows_chosen(table: pa.Table, query: Query) -> pa.Array:
    """Positions of the rows that a query leaves, in its order, nulls last; UserError for what cannot be asked."""
    mask: Any = None
    if query.text:
        mask = _mask_of_text(table, query.text)
    if query.column:
        own = _mask_of_column(_column(table, query.column), query)
        mask = own if mask is None else mask & own
    rows = np.arange(table.num_rows, dtype=np.int64) if mask is None else np.flatnonzero(mask).astype(np.int64)
    if not query.sort:
        return pa.array(rows)
    by = _column(table, query.sort)
    if types.is_nested(by.type):
        raise UserError(f"{query.sort} holds lists and cannot be sorted by.", fix="Sort by another column.")
    positions = pa.array(rows)
    order = pc.array_sort_indices(
        _combined(by.take(positions)), order="descending" if query.descending else "ascending", null_placement="at_end"
    )
    return positions.take(order)


def page_of(table: pa.Table, rows: pa.Array, columns: Sequence[str], page: int) -> list[dict[str, Any]]:
    """The rows of a page, counted from 1, as Python values; long texts are cut."""
    chosen = rows.slice((page - 1) * ROWS_A_PAGE, ROWS_A_PAGE)
    wanted = [*columns, *(name for name in ("row_id",) if name in table.column_names and name not in columns)]
    part = table.select(wanted).take(chosen)
    for place, field in enumerate(part.schema):
        if types.is_string(field.type) or types.is_large_string(field.type):
            # One character more than is shown tells that there is more.
            cut = pc.utf8_slice_codeunits(part.column(place), 0, _LONGEST_SHOWN + 1)
            part = part.set_column(place, field.name, cut)
    found: list[dict[str, Any]] = part.to_pylist()
    return found


def shown_columns(table: pa.Table, asked: Sequence[str]) -> list[str]:
    """The columns that were asked for and exist, in the table's order; without any, those that tell most."""
    chosen = [name for name in table.column_names if name in set(asked)]
    if chosen:
        return chosen
    telling = [name for name in _TELLING if name in table.column_names]
    if len(telling) >= 2:
        return telling[:COLUMNS_SHOWN]
    plain = [f.name for f in table.schema if not types.is_nested(f.type) and f.name != "row_id"]
    return (plain or list(table.column_names))[:COLUMNS_SHOWN]


def is_number(table: pa.Table, name: str) -> bool:
    """Whether a column holds numbers, which stand to the right."""
    kind = table.schema.field(name).type
    return bool(types.is_integer(kind) or types.is_floating(kind))


def row_with(table: pa.Table, row_id: str) -> int | None:
    """Position of the row with that `row_id`; None where there is none."""
    if "row_id" not in table.column_names:
        return None
    found = pc.index(table.column("row_id"), pa.scalar(row_id, table.schema.field("row_id").type)).as_py()
    return None if found < 0 else int(found)


def values_of(table: pa.Table, name: str) -> list[tuple[str, int]]:
    """The values of a text column and how often each stands there, the most frequent first."""
    counted = pc.value_counts(_combined(table.column(name)))
    found = [(str(entry["values"]), int(entry["counts"])) for entry in counted.to_pylist() if entry["values"]]
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))[:40]


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise UserError(f"the table has no column {name!r:.100}.", fix=f"Columns: {', '.join(table.column_names)}.")
    return table.column(name)


def _mask_of_text(table: pa.Table, text: str) -> Any:
    mask = np.zeros(table.num_rows, dtype=bool)
    also_numbers = set(text) <= _NUMBERLIKE
    for name in table.column_names:
        column = table.column(name)
        if types.is_nested(column.type) or types.is_string(column.type) or types.is_large_string(column.type):
            mask |= _mask_of_leaves(column, lambda leaf: _contains(leaf, text))
        elif also_numbers:
            mask |= _plain_mask(_contains(column.cast(pa.string()), text))
    return mask


def _mask_of_column(column: pa.ChunkedArray, query: Query) -> Any:
    kind, operator, value = column.type, query.operator, query.value
    if operator not in OPERATORS:
        raise UserError(f"{operator!r:.40} is no comparison.", fix=f"Comparisons: {', '.join(OPERATORS)}.")
    if operator in ("empty", "filled"):
        empty = _mask_of_empty(column)
        return empty if operator == "empty" else ~empty
    if types.is_nested(kind):
        if operator not in ("has", "is"):
            raise UserError(f"{query.column} holds lists.", fix="Ask for what they contain.")
        match = _contains if operator == "has" else pc.equal
        return _mask_of_leaves(column, lambda leaf: match(leaf, value))
    if operator == "has":
        return _plain_mask(_contains(column if _is_text(kind) else column.cast(pa.string()), value))
    compare: Callable[..., Any] = {
        "is": pc.equal, "not": pc.not_equal, "least": pc.greater_equal, "most": pc.less_equal,
    }[operator]  # fmt: skip
    return _plain_mask(compare(column, _scalar(value, kind, query.column)))


def _scalar(value: str, kind: pa.DataType, name: str) -> pa.Scalar:
    try:
        if types.is_integer(kind) or types.is_floating(kind):
            return pa.scalar(float(value.replace(",", "")), pa.float64())
        if types.is_boolean(kind):
            return pa.scalar({"yes": True, "true": True, "no": False, "false": False}[value.strip().lower()])
        if types.is_timestamp(kind):
            moment = datetime.fromisoformat(value.strip())
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return pa.scalar(aware if kind.tz else aware.replace(tzinfo=None), kind)
        return pa.scalar(value, pa.string()).cast(kind)
    except (ValueError, KeyError, OverflowError, pa.ArrowException) as error:
        wanted = (
            "yes or no" if types.is_boolean(kind) else "a date like 2026-01-31" if types.is_timestamp(kind) else kind
        )
        raise UserError(f"{value!r:.60} cannot be compared with {name}.", fix=f"Give {wanted}.") from error


def _mask_of_empty(column: pa.ChunkedArray) -> Any:
    empty = _plain_mask(pc.is_null(column))
    if _is_text(column.type):
        empty = empty | _plain_mask(pc.equal(pc.binary_length(column), 0))
    elif types.is_list(column.type) or types.is_large_list(column.type):
        empty = empty | _plain_mask(pc.equal(pc.list_value_length(column), 0))
    return empty


def _mask_of_leaves(column: pa.ChunkedArray, match: Callable[[pa.Array], pa.Array]) -> Any:
    """Rows of which any text, however deep it stands, matches."""
    mask = np.zeros(len(column), dtype=bool)
    start = 0
    for chunk in column.chunks:
        for leaf, rows in _text_leaves(chunk, None):
            hit = _plain_mask(match(leaf))
            places = np.flatnonzero(hit) if rows is None else rows[hit]
            mask[start + places] = True
        start += len(chunk)
    return mask


def _text_leaves(array: pa.Array, rows: Any) -> Iterator[tuple[pa.Array, Any]]:
    """The texts in an array with the row that each belongs to; None where that is its own position."""
    if _is_text(array.type):
        yield array, rows
    elif types.is_list(array.type) or types.is_large_list(array.type):
        parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        yield from _text_leaves(pc.list_flatten(array), parents if rows is None else rows[parents])
    elif types.is_struct(array.type):
        for place in range(array.type.num_fields):
            yield from _text_leaves(pc.struct_field(array, [place]), rows)


def _contains(texts: Any, part: str) -> Any:
    return pc.match_substring(texts, part, ignore_case=True)


def _plain_mask(found: Any) -> Any:
    filled = pc.fill_null(found, False)
    return np.asarray(filled.to_numpy() if isinstance(filled, pa.ChunkedArray) else filled.to_numpy(False), dtype=bool)


def _combined(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))
