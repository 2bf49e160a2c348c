"""Rows of a table by their positions, in little memory.

Arrow's own `take` joins the chunks of every column first: that holds a large table twice more, and fails above 2 GB of
text in one column.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_ROWS_AT_ONCE = 4096
"""Rows that are picked at once: what is copied on the way stays small beside the table."""

Positions = npt.NDArray[np.int64]


def rows_at(table: pa.Table, positions: Positions) -> pa.Table:
    """The rows at these positions, in that order; the table itself where they are all of its rows as they stand."""
    if are_all_in_order(positions, table.num_rows):
        return table
    return pa.concat_tables([table.slice(0, 0), *pieces_at(table, positions)])


def pieces_at(table: pa.Table, positions: Positions) -> Iterator[pa.Table]:
    """The rows at these positions, in that order, a few thousand at a time."""
    batches = table.to_batches()
    starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
    for begin in range(0, len(positions), _ROWS_AT_ONCE):
        yield _picked(batches, starts, positions[begin : begin + _ROWS_AT_ONCE])


def pieces_of(table: pa.Table) -> Iterator[pa.Table]:
    """All rows as they stand, a few thousand at a time, nothing copied."""
    for begin in range(0, table.num_rows, _ROWS_AT_ONCE):
        yield table.slice(begin, _ROWS_AT_ONCE)


def are_all_in_order(positions: Positions, rows: int) -> bool:
    """Whether these are the positions 0, 1, 2 … of all rows."""
    return len(positions) == rows and bool(np.array_equal(positions, np.arange(rows)))


def _picked(batches: list[pa.RecordBatch], starts: Positions, positions: Positions) -> pa.Table:
    holders = np.searchsorted(starts, positions, side="right") - 1
    parts = [batches[n].take(_indices(positions[holders == n] - starts[n])) for n in np.unique(holders)]
    found = pa.Table.from_batches(parts)
    if len(parts) == 1:
        return found
    # The parts stand one after the other; each row goes back to where it was asked for.
    return found.combine_chunks().take(_indices(np.argsort(np.argsort(holders, kind="stable"), kind="stable")))


def _indices(positions: Positions) -> pa.Array:
    # Not by pa.array, which imports pandas.
    return pa.Array.from_buffers(
        pa.int64(), len(positions), [None, pa.py_buffer(np.ascontiguousarray(positions, np.int64))]
    )
