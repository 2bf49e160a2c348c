"""Columns: declared once, they make the Arrow schema, the UI's column schema and the schema check."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from numbers import Integral
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

from enrich_assets.core.errors import DeclarationError

_SIMPLE: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class Column:
    """One column: its type, and what it holds, with unit and range.

    `type` is str, int, float, bool, datetime (UTC), a Literal of one of these, a pydantic model (a struct), or a list
    of one of these; each may be optional.
    `volatile` marks what differs between two honest runs over the same input (times, fetch methods, costs):
    such columns do not count for `data_sha256`.
    """

    type: Any
    description: str
    volatile: bool = False

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return arrow_type(self.type)


ROW_ID = Column(str, "stable name of the row, made of what identifies it")


def arrow_type(annotation: Any) -> pa.DataType:
    """The Arrow type of a Python annotation; raises DeclarationError for one that has none."""
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return arrow_type(arguments[0])
    if origin is list or (origin is tuple and arguments[1:] == (...,)):
        # Parquet calls the inner field "element"; so does the schema, and what is read equals what was written.
        return pa.list_(pa.field("element", arrow_type(arguments[0])))
    if origin in (Union, types.UnionType):
        inner = [a for a in arguments if a is not type(None)]
        if len(inner) == 1:
            return arrow_type(inner[0])
    if origin is Literal and len({type(value) for value in arguments}) == 1:
        return arrow_type(type(arguments[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation.model_fields:
        return pa.struct([pa.field(n, arrow_type(f.annotation)) for n, f in annotation.model_fields.items()])
    raise DeclarationError(f"a column cannot have the type {annotation!r}")


def arrow_schema(columns: Mapping[str, Column]) -> pa.Schema:
    """The Arrow schema of declared columns, `row_id` first."""
    named = {"row_id": ROW_ID, **{n: c for n, c in columns.items() if n != "row_id"}}
    return pa.schema([pa.field(name, column.arrow) for name, column in named.items()])


def table_of(rows: list[dict[str, Any]], columns: Mapping[str, Column]) -> pa.Table:
    """Rows as a table with exactly the declared columns; raises DeclarationError naming row, column and value."""
    schema = arrow_schema(columns)
    row_ids = [row.get("row_id") for row in rows]
    arrays = [array_of([plain_value(row.get(field.name)) for row in rows], field, row_ids) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def array_of(values: Sequence[Any], field: pa.Field, row_ids: Sequence[Any]) -> pa.Array | pa.ChunkedArray:
    """Plain values as a column; raises DeclarationError naming row, column and value of one that does not fit."""
    for row_id, value in zip(row_ids, values, strict=True):
        if not _fits(value, field.type):
            raise _wrong(field, row_id, value)
    try:
        return pa.array(values, type=field.type)
    except _NOT_ARROW:
        for row_id, value in zip(row_ids, values, strict=True):
            try:
                pa.array([value], type=field.type)
            except _NOT_ARROW as error:
                raise _wrong(field, row_id, value) from error
        raise


_NOT_ARROW = (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError, OverflowError)


def _wrong(field: pa.Field, row_id: Any, value: Any) -> DeclarationError:
    return DeclarationError(
        f"column {field.name!r} is {field.type}, but row {row_id!r} has {value!r:.80}",
        fix="Return a value of the declared type.",
    )


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Whether Arrow would take the value as it is. It cuts 1.5 to 1, splits "abc" into a list of letters, and leaves
    out what a struct does not have, all without a word."""
    if value is None:
        return True
    if pa.types.is_integer(kind):
        return isinstance(value, Integral) and not isinstance(value, bool)
    if pa.types.is_list(kind):
        return isinstance(value, list) and all(_fits(item, kind.value_type) for item in value)
    if pa.types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        return isinstance(value, dict) and all(k in fields and _fits(item, fields[k]) for k, item in value.items())
    return True


def plain_value(value: Any) -> Any:
    """A value as a table can hold it: models as dicts, no text that UTF-8 or a spreadsheet cannot, no not-a-number."""
    if isinstance(value, str):
        if value.isascii() and "\x00" not in value:
            return value
        # Lone surrogates cannot be stored as UTF-8; NUL bytes break spreadsheets and Postgres.
        return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
    if isinstance(value, BaseModel):
        return {name: plain_value(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    if isinstance(value, dict):
        return {key: plain_value(item) for key, item in value.items()}
    if isinstance(value, float) and value != value:
        return None
    return value
