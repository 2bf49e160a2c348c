"""Where each row of a phase ended: kept, dropped or failed, once each; and the tables made of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from enrich_assets.core.envelope import Counts
from enrich_assets.core.errors import DeclarationError
from enrich_assets.engine.columns import Column
from enrich_assets.engine.kept import Kept
from enrich_assets.engine.phase import Created, Drop, Failed, Phase, Row, Selection
from enrich_assets.engine.progress import RowsSoFar
from enrich_assets.engine.table_builder import TableBuilder, with_columns

DROPPED_COLUMNS = {
    "title": Column(str, "title of the row where it has one"),
    "url": Column(str, "address of the row where it has one"),
    "drop_reason": Column(str, "why it was dropped; a constant that can be counted"),
    "drop_value": Column(str, "the value that decided it"),
    "drop_detail": Column(str, "further words"),
}
FAILED_COLUMNS = {
    "title": Column(str, "title of the row where it has one"),
    "url": Column(str, "address of the row where it has one"),
    "failure_kind": Column(str, "kind of the failure; a constant that can be counted"),
    "failure_message": Column(str, "what happened, for people"),
}


class Outcomes:
    """Collects the outcome of every row, in the order of the input whatever the order of completion.

    `given` is the table of the input where it has one; a row's index is its position there. Of a kept row only what
    the phase adds is held, of a dropped or failed one its name and the reason.
    """

    def __init__(self, phase: Phase, columns: Mapping[str, Column], given: pa.Table | None = None) -> None:
        self.rows_in = 0
        self.waiting = 0
        self._phase = phase
        self._columns = columns
        self._given = given
        self._kept = 0
        self._made = TableBuilder(phase.adds)  # the kept rows; in a fan-out phase those that it created
        self._order: Sequence[int] | None = None
        self._closed: Kept | None = None
        self._dropped, self._reasons = TableBuilder(DROPPED_COLUMNS), Counter[str]()
        self._failed, self._kinds = TableBuilder(FAILED_COLUMNS), Counter[str]()
        # Rows that a fan-out phase lost on their way: they never came in, and no count but that of reasons has them.
        self._dropped_on_the_way, self._failed_on_the_way = TableBuilder(DROPPED_COLUMNS), TableBuilder(FAILED_COLUMNS)
        self._sides = {name: TableBuilder(side) for name, side in phase.sides.items()}

    @property
    def done(self) -> int:
        """Rows that have an outcome."""
        return self._kept + len(self._dropped) + len(self._failed)

    def so_far(self) -> RowsSoFar:
        """How many rows have which outcome at present."""
        return RowsSoFar(self.rows_in, self.done, len(self._dropped), len(self._failed))

    def take(self, row: Row, found: Any, index: int) -> None:
        """Records what a phase's function returned for a row."""
        if isinstance(found, Drop):
            self._drop(row, found, index)
        elif self._phase.creates:
            if not isinstance(found, Created):
                kind = type(found).__name__
                raise DeclarationError(f"must return Created or Drop, not {kind}", where=self._phase.name)
            self._take_created(row, found, index)
        elif isinstance(found, Mapping):
            unknown = set(found) - set(self._phase.adds)
            if unknown:
                raise DeclarationError(f"returned undeclared columns {sorted(unknown)}", where=self._phase.name)
            self.keep(row, found, index)
        else:
            raise DeclarationError(f"must return a dict or Drop, not {type(found).__name__}", where=self._phase.name)

    def keep(self, row: Row, added: Mapping[str, Any], index: int) -> None:
        """Records a kept row with its added columns."""
        self._kept += 1
        if self._phase.makes == "table":
            self._made.add({**row, **added}, index)

    def fail(self, row: Row, kind: str, message: str, index: int) -> None:
        """Records a failed row."""
        self._failed.add(_failed(row, Failed(kind, message)), index)
        self._kinds[kind] += 1

    def take_selection(self, rows: Sequence[Row], selection: Selection) -> None:
        """Records what a table phase decided; raises DeclarationError unless every row has exactly one outcome."""
        positions = {row["row_id"]: position for position, row in enumerate(rows)}
        if len(positions) != len(rows):
            named = [str(row_id) for row_id, count in Counter(row["row_id"] for row in rows).items() if count > 1]
            raise DeclarationError(f"gets two rows with one row_id: {sorted(named)[:3]}", where=self._phase.name)
        if any("row_id" not in row for row in selection.kept):
            raise DeclarationError("keeps a row without row_id", where=self._phase.name)
        self._check_sides(selection.side)
        kept = [row["row_id"] for row in selection.kept]
        twice = [row_id for row_id, count in Counter(kept).items() if count > 1 or row_id in selection.dropped]
        lost = set(positions) - set(kept) - set(selection.dropped)
        foreign = (set(kept) | set(selection.dropped)) - set(positions)
        for problem, ids in (("has two outcomes for", twice), ("lost", lost), ("made up", foreign)):
            if ids:
                raise DeclarationError(f"{problem} the rows {sorted(map(str, ids))[:3]}", where=self._phase.name)
        for place, row in enumerate(selection.kept):
            self.keep({"row_id": row["row_id"]}, {name: row.get(name) for name in self._phase.adds}, place)
        self._order = [positions[row_id] for row_id in kept]
        for place, (row_id, drop) in enumerate(selection.dropped.items()):
            self._drop(rows[positions[row_id]], drop, place)
        self._fill_sides(selection.side, 0)

    def kept_rows(self) -> Sequence[Row]:
        """The kept rows with all their columns, in input order (a table phase: in the order that it decided), when
        every row has its outcome. A value is read from the tables each time that it is asked for."""
        return self._close().rows()

    def drop_later(self, drops: Mapping[str, Drop]) -> None:
        """Drops kept rows by what a look at all of them decided; each must be one that is kept."""
        kept = self._close()
        places = {row_id: place for place, row_id in enumerate(kept.added.column("row_id").to_pylist())}
        unknown = set(drops) - set(places)
        if unknown:
            named = sorted(unknown)[:3]
            raise DeclarationError(f"select drops rows that it was not given: {named}", where=self._phase.name)
        rows = kept.rows()
        for row_id, drop in drops.items():
            self._drop(rows[places[row_id]], drop, int(kept.positions[places[row_id]]))
        self._closed = kept.without([places[row_id] for row_id in drops])
        self._kept = len(self._closed)

    def table(self) -> pa.Table:
        """The phase's table: the kept rows with all their columns, or those that a fan-out phase created, of which
        the first of two with one row_id counts."""
        return self._close().table(self._columns)

    def first_failure(self) -> str:
        """Message of the first failed row."""
        failed = self.failed_table()
        return str(failed.column("failure_message")[0].as_py()) if failed.num_rows else ""

    def counts(self) -> Counts:
        """The counts of the phase. Reasons and kinds of a fan-out phase include those of rows on their way."""
        created = len(self._close()) if self._phase.creates else 0
        return Counts(
            rows_in=self.rows_in,
            kept=self._kept,
            dropped=len(self._dropped),
            failed=len(self._failed),
            created=created,
            waiting=self.waiting,
            rows_out=created if self._phase.creates else self._kept,
            dropped_by_reason=dict(sorted(self._reasons.items())),
            failed_by_kind=dict(sorted(self._kinds.items())),
        )

    def dropped_table(self) -> pa.Table:
        """The dropped rows with their reasons."""
        self._close()
        return pa.concat_tables([self._dropped.table()[0], self._dropped_on_the_way.table()[0]])

    def failed_table(self) -> pa.Table:
        """The failed rows with kind and message."""
        return pa.concat_tables([self._failed.table()[0], self._failed_on_the_way.table()[0]])

    def side_tables(self) -> dict[str, pa.Table]:
        """The declared side tables."""
        return {name: side.table()[0] for name, side in self._sides.items()}

    def _drop(self, row: Row, drop: Drop, index: int) -> None:
        self._dropped.add(_dropped(row, drop), index)
        self._reasons[drop.reason] += 1

    def _take_created(self, row: Row, found: Created, index: int) -> None:
        for created in found.rows:
            self._check_created(created)
        self._check_sides(found.side)
        for created in found.rows:
            self._made.add(created, index)
        for lost, drop in found.dropped:
            self._drop_on_the_way(lost, drop, index)
        for lost, failed in found.failed:
            self._failed_on_the_way.add(_failed(lost, failed), index)
            self._kinds[failed.kind] += 1
            self.waiting += failed.waits
        self._fill_sides(found.side, index)
        if found.failure is not None:
            self.fail(row, found.failure.kind, found.failure.message, index)
        else:
            self._kept += 1

    def _drop_on_the_way(self, row: Row, drop: Drop, index: int) -> None:
        self._dropped_on_the_way.add(_dropped(row, drop), index)
        self._reasons[drop.reason] += 1

    def _fill_sides(self, sides: Mapping[str, Sequence[Row]], index: int) -> None:
        for name, side in sides.items():
            for row in side:
                self._sides[name].add(row, index)

    def _close(self) -> Kept:
        """The kept or created rows in order, once every row has its outcome."""
        if self._closed is None:
            added, places = self._made.table()
            self._made = TableBuilder(self._phase.adds)
            given = None
            if self._given is not None and not self._phase.creates:
                others = {n: c for n, c in self._columns.items() if n not in self._phase.adds}
                given = with_columns(self._given, others)
            positions = places if self._order is None else np.array(self._order, dtype=np.int64)
            self._closed = Kept(added, given, positions)
            if self._phase.creates:
                self._closed = self._once_each(self._closed)
        return self._closed

    def _once_each(self, created: Kept) -> Kept:
        first: dict[str, int] = {}
        again: list[int] = []
        for place, row_id in enumerate(created.added.column("row_id").to_pylist()):
            if first.setdefault(row_id, place) != place:
                again.append(place)
        rows = created.rows()
        for place in again:
            self._drop_on_the_way(rows[place], Drop("listed_twice", detail="another source lists it too"), self.rows_in)
        return created.without(again)

    def _check_created(self, created: Row) -> None:
        row_id = created.get("row_id")
        if not isinstance(row_id, str) or not row_id:
            raise DeclarationError(f"created a row without row_id: {dict(created)!r:.120}", where=self._phase.name)
        unknown = set(created) - set(self._phase.adds) - {"row_id"}
        if unknown:
            raise DeclarationError(f"created undeclared columns {sorted(unknown)}", where=self._phase.name)

    def _check_sides(self, sides: Mapping[str, Sequence[Row]]) -> None:
        unknown = set(sides) - set(self._phase.sides)
        if unknown:
            raise DeclarationError(f"fills undeclared side tables {sorted(unknown)}", where=self._phase.name)


def _dropped(row: Row, drop: Drop) -> dict[str, Any]:
    return {
        **_named(row),
        "drop_reason": drop.reason,
        "drop_value": "" if drop.value is None else str(drop.value),
        "drop_detail": drop.detail,
    }


def _failed(row: Row, failed: Failed) -> dict[str, Any]:
    return {**_named(row), "failure_kind": failed.kind, "failure_message": failed.message[:2000]}


def _named(row: Row) -> dict[str, Any]:
    return {
        "row_id": str(row.get("row_id", "")),
        "title": str(row.get("title") or row.get("name") or ""),
        "url": str(row.get("url") or ""),
    }
