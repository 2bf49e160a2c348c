"""Phases in the ledger: a view for people of what works and how it ended. Artifacts decide what is done, not this.

Whoever holds the lease of a phase writes its view under it: every write raises LeaseLost when another took over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.envelope import Envelope
from enrich_assets.engine import tables
from enrich_assets.engine.failed_rows import FailedRows
from enrich_assets.engine.leases import Lease
from enrich_assets.engine.row_states import RowRequest
from enrich_assets.engine.texts import utc_text


class PhaseRecords(FailedRows):
    """The part of the ledger that shows the phases of runs."""

    def phase_started(self, run_id: str, phase: str, number: int, rows_in: int | None) -> None:
        """Records that a phase of a run works now."""
        now = utc_text(self._now())
        table = tables.phases
        earlier = sa.select(sa.func.coalesce(sa.func.max(table.c.begun), 0)).where(table.c.run_id == run_id)
        nothing = dict.fromkeys(("rows_done", "calls", "reused", "tokens_in", "tokens_out"), 0)
        self.replace_phase(
            run_id,
            phase,
            number=number,
            status="running",
            started_at=now,
            heartbeat_at=now,
            rows_in=rows_in,
            cost=0.0,
            seconds=0.0,
            begun=earlier.scalar_subquery() + 1,
            **nothing,
        )

    def phase_progress(self, run_id: str, phase: str, **values: Any) -> None:
        """Updates columns of a phase: of a running one rows_in, rows_done, dropped, failed, calls, reused, tokens_in,
        tokens_out, cost and seconds; of one that does not stand any more its status."""
        self._update_phase(run_id, phase, None, values)

    def phase_ended(self, run_id: str, phase: str, status: str, *, lease: Lease | None = None, **values: Any) -> None:
        """Records how a phase ended: `complete`, `blocked`, `failed`, `paused`, `stopped`.

        `lease`: the one under which this is written, where this ledger did not take it itself.
        """
        ended = {"status": status, "ended_at": utc_text(self._now())}
        self._update_phase(run_id, phase, lease, {**ended, **values})
        if status in ("complete", "blocked"):
            self.keep_failures(run_id, phase, [])  # its artifact has them

    def replace_phase(self, run_id: str, phase: str, **values: Any) -> None:
        """Sets the view of a phase to given values, as when it begins or is rebuilt from an envelope; columns that are
        not given become empty."""
        # One statement, so that two who begin at once both succeed.
        table = tables.phases
        row = {**dict.fromkeys(column.name for column in table.c), **values, "run_id": run_id, "phase": phase}
        with self._writing() as connection:
            self._confirm(connection, run_id, phase, None)
            insert = tables.upsert(connection)(table).values(row)
            connection.execute(insert.on_conflict_do_update(index_elements=["run_id", "phase"], set_=row))

    def phases(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """The phases of one run, or of all, by run and number."""
        table = tables.phases
        query = sa.select(table)
        if run_id is not None:
            query = query.where(table.c.run_id == run_id)
        query = query.order_by(table.c.run_id, table.c.number)
        return [dict(found._mapping) for found in self._read(query)]

    def last_begun(self, run_id: str) -> int:
        """Number of the last beginning of a phase of the run; 0 where none is known. Later ones have larger numbers."""
        return max((row["begun"] or 0 for row in self.phases(run_id)), default=0)

    def silent_seconds(self, run_id: str, holder: str) -> float | None:
        """Seconds by the database's clock since the lease of a process on a phase of the run ran out; below 0 while it
        holds. None where no lease of the run is this process's: then nothing is known of it."""
        table = tables.leases
        named = table.c.name.startswith(f"{run_id}/", autoescape=True) & (table.c.holder == holder)
        since = self._read_by(
            lambda connection: connection.execute(
                sa.select(tables.clock(connection) - sa.func.max(table.c.expires_at)).where(named)
            ).scalar()
        )
        return None if since is None else float(since)

    def row_requests(self, run_id: str, phase: str) -> list[RowRequest]:
        """Every paid request that a phase of a run sent, or was about to, in all its attempts; oldest first."""
        table = tables.spending
        query = sa.select(table.c.row_id, table.c.settled_at, table.c.error)
        query = query.where(table.c.run_id == run_id, table.c.phase == phase)
        found = self._read(query.order_by(table.c.reserved_at, table.c.number))
        return [RowRequest(row.row_id, row.settled_at is not None, row.error or "") for row in found]

    def row_answers(self, run_id: str, phase: str) -> dict[str, str]:
        """The rows that got their answer in a phase of a run, with '' or the reason why it is none."""
        table = tables.answers
        here = (table.c.run_id == run_id) & (table.c.phase == phase) & table.c.superseded.is_(None)
        found = self._read(sa.select(table.c.row_id, table.c.final).where(here).order_by(table.c.id))
        return {row.row_id: row.final or "" for row in found}

    def _update_phase(self, run_id: str, phase: str, lease: Lease | None, values: Mapping[str, Any]) -> None:
        table = tables.phases
        with self._writing() as connection:
            self._confirm(connection, run_id, phase, lease)
            connection.execute(
                sa.update(table)
                .where(table.c.run_id == run_id, table.c.phase == phase)
                .values(heartbeat_at=utc_text(self._now()), **values)
            )

    def _confirm(self, connection: sa.Connection, run_id: str, phase: str, lease: Lease | None) -> None:
        # Whoever slept past its lease must not show as failed what another process completed.
        lease = lease or self._writer.lease
        if lease is not None and lease.name == f"{run_id}/{phase}":
            lease.confirm(connection)


def phase_view(envelope: Envelope) -> dict[str, Any]:
    """The numbers of a published phase as the ledger's view shows them."""
    counts, usage = envelope.counts, envelope.asked
    return {
        "rows_in": counts.rows_in,
        "rows_done": counts.rows_in,
        "rows_out": counts.rows_out,
        "dropped": counts.rows_dropped,
        "failed": counts.rows_failed,
        "calls": usage.requests,
        "reused": usage.answers_reused,
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "cost": usage.paid,
        "seconds": envelope.duration_seconds,
        "message": "; ".join(check.message for check in envelope.blocking_failures()) or None,
    }
