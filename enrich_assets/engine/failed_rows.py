"""The rows that failed in a phase that published nothing, and which rows a person wants asked again.

Belongs here: what the ledger keeps of them. The failed rows of a published phase are in its artifact's `failed` table.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.engine import tables
from enrich_assets.engine.connection import Connected
from enrich_assets.engine.texts import storable, utc_text

_LONGEST = 500
"""Characters that are kept of each text of a row."""


@dataclass(frozen=True)
class Renewal:
    """From when on answers count for a phase that a person wants asked again: all of them, or those of rows that failed
    (`retry_rows`; None: of all rows)."""

    again_from: datetime | None = None
    retry_from: datetime | None = None
    retry_rows: frozenset[str] | None = None


class FailedRows(Connected):
    """The part of the ledger that knows which rows failed."""

    def keep_failures(self, run_id: str, phase: str, failed: Sequence[Mapping[str, Any]]) -> None:
        """Keeps the failed rows of an attempt that published nothing, in place of those of the attempt before: row_id,
        title, url, failure_kind, failure_message."""
        table = tables.failures
        here = (table.c.run_id == run_id) & (table.c.phase == phase)
        rows = [{name: storable(str(value or ""))[:_LONGEST] for name, value in row.items()} for row in failed]
        with self._writing() as connection:
            tables.forget_what_is_replaced(connection)
            connection.execute(sa.delete(table).where(here))
            if rows:
                kept = zlib.compress(canonical_json(rows), 6)
                connection.execute(sa.insert(table).values(run_id=run_id, phase=phase, failed=kept))

    def failures(self, run_id: str) -> dict[str, list[dict[str, str]]]:
        """The failed rows of each phase of a run whose last attempt published nothing and had some."""
        table = tables.failures
        query = sa.select(table.c.phase, table.c.failed).where(table.c.run_id == run_id)
        return {row.phase: json.loads(zlib.decompress(row.failed)) for row in self._read(query)}

    def renew(self, run_id: str, phase: str, *, only_failed: bool, rows: Collection[str] | None = None) -> None:
        """Invalidates a phase's stored answers (or only its failures, of all or of some `rows`), so that they are
        requested again."""
        row: dict[str, Any] = {"run_id": run_id, "phase": phase}
        if only_failed:
            named = None if rows is None else zlib.compress(canonical_json(sorted(rows)), 6)
            row |= {"retry_from": utc_text(self._now()), "retry_rows": named}
        else:
            row |= {"again_from": utc_text(self._now())}
        with self._writing() as connection:
            insert = tables.upsert(connection)(tables.renewals).values(row)
            connection.execute(insert.on_conflict_do_update(index_elements=["run_id", "phase"], set_=row))

    def renewal(self, run_id: str, phase: str) -> Renewal:
        """What a person wanted asked again of a phase of a run."""
        table = tables.renewals
        here = (table.c.run_id == run_id) & (table.c.phase == phase)
        found = self._read(sa.select(table.c.again_from, table.c.retry_from, table.c.retry_rows).where(here))
        if not found:
            return Renewal()
        one = found[0]
        return Renewal(
            datetime.fromisoformat(one.again_from) if one.again_from else None,
            datetime.fromisoformat(one.retry_from) if one.retry_from else None,
            None if one.retry_rows is None else frozenset(json.loads(zlib.decompress(one.retry_rows))),
        )

    def renewals(self, run_id: str) -> dict[str, datetime]:
        """When a person last wanted something of a phase of the run asked again, by phase."""
        table = tables.renewals
        query = sa.select(table.c.phase, table.c.again_from, table.c.retry_from).where(table.c.run_id == run_id)
        return {row[0]: datetime.fromisoformat(max(filter(None, row[1:]))) for row in self._read(query)}
