"""The kept rows of a phase: where each stands in the input, and what the phase added to it.

Nothing of the input is copied before `table`: of many rows with long texts there is room for the input and the output,
and for nothing between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from enrich_assets.core.picking import Positions, rows_at
from enrich_assets.engine.columns import Column, arrow_schema


@dataclass(frozen=True)
class Kept:
    """Rows in their final order: `added` has row_id and the phase's own columns, `given` the other columns of the
    input, in which they stand at `positions`."""

    added: pa.Table
    given: pa.Table | None
    positions: Positions

    def __len__(self) -> int:
        return int(self.added.num_rows)

    def rows(self) -> list[RowView]:
        """The rows as mappings that read a value when they are asked for it."""
        return [RowView(self, place) for place in range(len(self))]

    def at(self, places: Positions) -> Kept:
        """The rows at these places, in that order."""
        return Kept(rows_at(self.added, places), self.given, self.positions[places])

    def without(self, places: list[int]) -> Kept:
        """The rows that stand at other places than these."""
        return self.at(np.setdiff1d(np.arange(len(self)), np.array(places, dtype=np.int64)))

    def table(self, columns: Mapping[str, Column]) -> pa.Table:
        """The rows as one table with these columns."""
        given = None if self.given is None else rows_at(self.given, self.positions)
        schema = arrow_schema(columns)
        tables = [self.added if given is None or name in self.added.column_names else given for name in schema.names]
        return pa.Table.from_arrays(
            [table.column(name) for table, name in zip(tables, schema.names, strict=True)], schema=schema
        )


class RowView(Mapping[str, Any]):
    """One kept row with all its columns."""

    __slots__ = ("_kept", "_place")

    def __init__(self, kept: Kept, place: int) -> None:
        self._kept = kept
        self._place = place

    def __getitem__(self, name: str) -> Any:
        kept = self._kept
        if kept.given is None or name in kept.added.column_names:
            return kept.added.column(name)[self._place].as_py()
        return kept.given.column(name)[int(kept.positions[self._place])].as_py()

    def __iter__(self) -> Iterator[str]:
        yield from self._kept.added.column_names
        if self._kept.given is not None:
            yield from self._kept.given.column_names

    def __len__(self) -> int:
        return sum(1 for _ in self)
