"""Tables of many rows in little memory: rows become Arrow as they come.

Belongs here: how rows are held and put in order. What a row is and where it ended belongs to `engine.outcomes`.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from enrich_assets.core.picking import Positions, rows_at
from enrich_assets.engine.columns import Column, array_of, arrow_schema, plain_value

_ROWS_HELD = 1024
"""Rows that wait as Python objects, which take several times the memory of Arrow's."""


class TableBuilder:
    """A table with exactly the declared columns, made of rows in any order."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._schema = arrow_schema(columns)
        self._batches: list[pa.RecordBatch] = []
        self._waiting: list[list[Any]] = [[] for _ in self._schema]
        self._places = array("q")

    def __len__(self) -> int:
        return len(self._places)

    def add(self, row: Mapping[str, Any], place: int) -> None:
        """Adds a row that stands at `place`; of several with one place, the first added comes first.

        Raises DeclarationError, now or with a later row, naming row, column and value of one that does not fit.
        """
        for name, values in zip(self._schema.names, self._waiting, strict=True):
            values.append(plain_value(row.get(name)))
        self._places.append(place)
        if len(self._waiting[0]) == _ROWS_HELD:
            self._flush()

    def table(self) -> tuple[pa.Table, Positions]:
        """The rows by place, and the places."""
        self._flush()
        places = np.array(self._places, dtype=np.int64)
        order = np.argsort(places, kind="stable")
        return rows_at(pa.Table.from_batches(self._batches, self._schema), order), places[order]

    def _flush(self) -> None:
        if not self._waiting[0]:
            return
        row_ids = self._waiting[self._schema.get_field_index("row_id")]
        columns = [array_of(values, field, row_ids) for field, values in zip(self._schema, self._waiting, strict=True)]
        self._batches += pa.Table.from_arrays(columns, schema=self._schema).to_batches()
        self._waiting = [[] for _ in self._schema]


def with_columns(table: pa.Table, columns: Mapping[str, Column]) -> pa.Table:
    """A table with exactly the declared columns: as they stand where they have the declared type, made anew where
    they have another one, null where there are none. Raises DeclarationError for a value that does not fit."""
    schema = arrow_schema(columns)
    arrays = []
    for field in schema:
        if field.name not in table.column_names:
            arrays.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        # As text, because Arrow calls two types equal whose inner fields have other names.
        if str(column.type) != str(field.type):
            values = [plain_value(value) for value in column.to_pylist()]
            column = array_of(values, field, table.column("row_id").to_pylist())
        arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=schema)
