"""Where each row of a phase ended: kept, dropped or failed, once each; and the tables made of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import Counts
from enrich_assets.core.errors import DeclarationError
from enrich_assets.engine.columns import Column, table_of
from enrich_assets.engine.phase import Created, Drop, Failed, Phase, Row, Selection

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
    """Collects the outcome of every row, in the order of the input whatever the order of completion."""

    def __init__(self, phase: Phase) -> None:
        self.rows_in = 0
        self.waiting = 0
        self.log: list[Mapping[str, Any]] = []
        self._phase = phase
        self._kept: dict[int, dict[str, Any]] = {}
        self._created: dict[int, Created] = {}
        self._dropped: dict[int, dict[str, Any]] = {}
        self._failed: dict[int, dict[str, Any]] = {}
        self._sides: dict[str, list[Row]] = {name: [] for name in phase.sides}

    @property
    def done(self) -> int:
        """Rows that have an outcome."""
        return len(self._kept) + len(self._dropped) + len(self._failed)

    def take(self, row: Row, found: Any, index: int) -> None:
        """Records what a phase's function returned for a row."""
        if isinstance(found, Drop):
            self._dropped[index] = _dropped(row, found)
        elif self._phase.creates:
            if not isinstance(found, Created):
                kind = type(found).__name__
                raise DeclarationError(f"must return Created or Drop, not {kind}", where=self._phase.name)
            for created in found.rows:
                self._check_created(created)
            self._check_sides(found.side)
            self._created[index] = found
            if found.failure is not None:
                self._failed[index] = _failed(row, found.failure)
            else:
                self._kept[index] = dict(row)
        elif isinstance(found, Mapping):
            unknown = set(found) - set(self._phase.adds)
            if unknown:
                raise DeclarationError(f"returned undeclared columns {sorted(unknown)}", where=self._phase.name)
            self.keep(row, found, index)
        else:
            raise DeclarationError(f"must return a dict or Drop, not {type(found).__name__}", where=self._phase.name)

    def keep(self, row: Row, added: Mapping[str, Any], index: int | None = None) -> None:
        """Records a kept row with its added columns."""
        self._kept[len(self._kept) if index is None else index] = {**row, **added}

    def fail(self, row: Row, kind: str, message: str, index: int) -> None:
        """Records a failed row."""
        self._failed[index] = _failed(row, Failed(kind, message))

    def take_selection(self, rows: Sequence[Row], selection: Selection) -> None:
        """Records what a table phase decided; raises DeclarationError unless every row has exactly one outcome."""
        by_id = {row["row_id"]: row for row in rows}
        if len(by_id) != len(rows):
            named = [str(row_id) for row_id, count in Counter(row["row_id"] for row in rows).items() if count > 1]
            raise DeclarationError(f"gets two rows with one row_id: {sorted(named)[:3]}", where=self._phase.name)
        if any("row_id" not in row for row in selection.kept):
            raise DeclarationError("keeps a row without row_id", where=self._phase.name)
        self._check_sides(selection.side)
        kept = [row["row_id"] for row in selection.kept]
        twice = [row_id for row_id, count in Counter(kept).items() if count > 1 or row_id in selection.dropped]
        lost = set(by_id) - set(kept) - set(selection.dropped)
        foreign = (set(kept) | set(selection.dropped)) - set(by_id)
        for problem, ids in (("has two outcomes for", twice), ("lost", lost), ("made up", foreign)):
            if ids:
                raise DeclarationError(f"{problem} the rows {sorted(map(str, ids))[:3]}", where=self._phase.name)
        for row in selection.kept:
            added = {name: row.get(name) for name in self._phase.adds}
            self.keep(by_id[row["row_id"]], added)
        for index, (row_id, drop) in enumerate(selection.dropped.items()):
            self._dropped[index] = _dropped(by_id[row_id], drop)
        for name, side in selection.side.items():
            self._sides[name].extend(side)

    def drop_later(self, drops: Mapping[str, Drop]) -> None:
        """Drops kept rows by what a look at all of them decided; each must be one that is kept."""
        unknown = set(drops) - {row["row_id"] for row in self._kept.values()}
        if unknown:
            named = sorted(unknown)[:3]
            raise DeclarationError(f"select drops rows that it was not given: {named}", where=self._phase.name)
        for index, row in list(self._kept.items()):
            if row["row_id"] in drops:
                self._dropped[index] = _dropped(row, drops[row["row_id"]])
                del self._kept[index]

    def kept_rows(self) -> list[dict[str, Any]]:
        """The kept rows in input order (a table phase: in the order that it decided)."""
        return [self._kept[index] for index in sorted(self._kept)]

    def created_rows(self) -> list[dict[str, Any]]:
        """The rows of a fan-out phase, in input order; of two with one row_id the first counts."""
        rows: dict[str, dict[str, Any]] = {}
        for row in self._each_created():
            rows.setdefault(row["row_id"], dict(row))
        return list(rows.values())

    def first_failure(self) -> str:
        """Message of the first failed row."""
        return str(self._failed[min(self._failed)]["failure_message"]) if self._failed else ""

    def counts(self) -> Counts:
        """The counts of the phase. Reasons and kinds of a fan-out phase include those of rows on their way."""
        dropped, failed = self._all_dropped(), self._all_failed()
        created = len(self.created_rows()) if self._phase.creates else 0
        return Counts(
            rows_in=self.rows_in,
            kept=len(self._kept),
            dropped=len(self._dropped),
            failed=len(self._failed),
            created=created,
            waiting=self.waiting,
            rows_out=created if self._phase.creates else len(self._kept),
            dropped_by_reason=dict(sorted(Counter(str(r["drop_reason"]) for r in dropped).items())),
            failed_by_kind=dict(sorted(Counter(str(r["failure_kind"]) for r in failed).items())),
        )

    def dropped_table(self) -> pa.Table:
        """The dropped rows with their reasons."""
        return table_of(self._all_dropped(), DROPPED_COLUMNS)

    def failed_table(self) -> pa.Table:
        """The failed rows with kind and message."""
        return table_of(self._all_failed(), FAILED_COLUMNS)

    def side_tables(self) -> dict[str, pa.Table]:
        """The declared side tables."""
        rows: dict[str, list[Row]] = {name: list(side) for name, side in self._sides.items()}
        for index in sorted(self._created):
            for name, side in self._created[index].side.items():
                rows[name].extend(side)
        return {name: table_of([dict(r) for r in side], self._phase.sides[name]) for name, side in rows.items()}

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

    def _each_created(self) -> list[Row]:
        return [row for index in sorted(self._created) for row in self._created[index].rows]

    def _all_dropped(self) -> list[dict[str, Any]]:
        on_their_way = [_dropped(row, drop) for i in sorted(self._created) for row, drop in self._created[i].dropped]
        twice = self._created_twice()
        return [self._dropped[index] for index in sorted(self._dropped)] + on_their_way + twice

    def _created_twice(self) -> list[dict[str, Any]]:
        seen: set[str] = set()
        twice = []
        for row in self._each_created():
            if row["row_id"] in seen:
                twice.append(_dropped(row, Drop("listed_twice", detail="another source lists it too")))
            seen.add(row["row_id"])
        return twice

    def _all_failed(self) -> list[dict[str, Any]]:
        on_their_way = [_failed(row, fail) for i in sorted(self._created) for row, fail in self._created[i].failed]
        return [self._failed[index] for index in sorted(self._failed)] + on_their_way


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
