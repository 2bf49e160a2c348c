"""The ledger: every answer that was paid for, what was spent, and the list of runs with their phases as a view.

Answers decide whether a call is made. The runs and phases tables are a view: artifacts decide what is done.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from enrich_assets.core.errors import StorageError
from enrich_assets.engine import tables
from enrich_assets.engine.answers import FIND_ANSWER, NEWEST_ANSWER, answer_row, stored_answer
from enrich_assets.engine.claim_waits import Claims
from enrich_assets.engine.clients import EndpointLimits
from enrich_assets.engine.connection import utc_now as utc_now
from enrich_assets.engine.leases import LEASE_SECONDS, Lease, acquire, refuse_if_taken
from enrich_assets.engine.limits import SharedLimits
from enrich_assets.engine.phase_records import PhaseRecords
from enrich_assets.engine.phase_records import phase_view as phase_view
from enrich_assets.engine.requests import Request, Stored
from enrich_assets.engine.rest_records import RestRecords
from enrich_assets.engine.run_records import RunRecords
from enrich_assets.engine.spending import Reservation, Settlement
from enrich_assets.engine.spending_records import SpendingRecords
from enrich_assets.engine.stored_answers import StoredAnswers
from enrich_assets.engine.texts import utc_text
from enrich_assets.engine.writer import Entry, not_committed


def ledger_url(storage: str) -> str:
    """The ledger's database: ENRICH_LEDGER_URL, or `ledger.db` in a local storage folder.

    Raises StorageError for remote storage without a URL, because SQLite needs a local disk.
    """
    named = os.environ.get("ENRICH_LEDGER_URL", "")
    if named:
        return named
    if "://" in storage and not storage.startswith("file://"):
        raise StorageError(
            f"ENRICH_STORAGE is remote ({storage}), and ENRICH_LEDGER_URL is not set.",
            fix="Set ENRICH_LEDGER_URL to a Postgres database, postgresql+psycopg2://…, that holds the ledger.",
        )
    # Made by its parts: a question mark or percent sign in a folder's name is no part of a URL's grammar.
    path = Path(storage.removeprefix("file://")).absolute() / "ledger.db"
    return sa.URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


class Ledger(RunRecords, PhaseRecords, SpendingRecords, StoredAnswers, RestRecords, Claims):
    """One ledger. Reads happen where they are asked for; one writer thread commits answers and spending in groups.

    It may be used from several threads. Every method raises StorageError when the database fails, or is closed.
    """

    @classmethod
    def for_storage(cls, storage: str, *, now: Callable[[], datetime] = utc_now) -> Ledger:
        """The ledger that belongs to a storage (see `ledger_url`)."""
        return cls(ledger_url(storage), now=now)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Answers

    def find_answer(self, request_hash: str, *, not_before: datetime | None) -> Stored | None:
        """The earliest answer at or after `not_before`, among those that none was asked for anew in place of.

        That nothing answered counts only where nothing did.
        """
        values = {"request_hash": request_hash, "not_before": "" if not_before is None else utc_text(not_before)}
        found = self._read_by(lambda connection: FIND_ANSWER.rows(connection, values))
        return stored_answer(found[0], request_hash=request_hash, where=self._where) if found else None

    def newest_answer(self, request_hash: str) -> Stored | None:
        """The answer that came last, however old it is; errors in place of one do not count."""
        values = {"request_hash": request_hash}
        found = self._read_by(lambda connection: NEWEST_ANSWER.rows(connection, values))
        return stored_answer(found[0], request_hash=request_hash, where=self._where) if found else None

    async def keep_answer(
        self,
        request: Request,
        stored: Stored,
        *,
        run_id: str,
        phase: str,
        row_id: str,
        reservation: Reservation | None = None,
        supersedes: bool = False,
        not_before: datetime | None = None,
    ) -> None:
        """Commits an answer, and with it the settlement of its reservation; returns when both are durable.

        `supersedes`: older answers to the request no longer count. The answer counts as made at `not_before` at the
        earliest, also where the clock was set back.
        """
        now = self._now() if not_before is None else max(self._now(), not_before)
        answer = answer_row(request, stored, run_id=run_id, phase=phase, row_id=row_id, now=now)
        settlement = None if reservation is None else settlement_of(reservation, stored, now)
        claim = None if reservation is None else reservation.claim
        await self._writer.put(Entry(answer=answer, supersedes=supersedes, settlement=settlement, ends_claim=claim))

    def count_answers(self, **where: str) -> int:
        """Number of stored answers whose columns equal `where`."""
        table = tables.answers
        conditions = [table.c[name] == value for name, value in where.items()]
        return int(self._read(sa.select(sa.func.count()).select_from(table).where(*conditions))[0][0])

    # Leases and limits

    def limits(self, limits: EndpointLimits, *, wanted: int) -> SharedLimits:
        """What this process may send to an endpoint, agreed with all others; `wanted` requests at once at most."""
        return SharedLimits(self._engine, limits, wanted=wanted)

    def lease_phase(self, run_id: str, phase: str, *, seconds: float = LEASE_SECONDS) -> Lease:
        """The lease of a phase of a run, under which the writer commits from now on; raises LeaseTaken."""
        self._writer.lease = self.lease(f"{run_id}/{phase}", seconds=seconds)
        return self._writer.lease

    @property
    def phase_lease(self) -> Lease | None:
        """The lease under which the writer commits."""
        return self._writer.lease

    def lease(self, name: str, *, seconds: float = LEASE_SECONDS) -> Lease:
        """The lease of that name, under which nothing is committed by itself; raises LeaseTaken."""
        try:
            return acquire(self._engine, name, seconds=seconds)
        except sa.exc.SQLAlchemyError as error:
            raise not_committed(error, self._where) from error

    def refuse_if_worked_on(self, run_id: str = "") -> None:
        """Raises LeaseTaken when another process works on a phase of the run, or, without one, of any run."""
        try:
            refuse_if_taken(self._engine, run_id)
        except sa.exc.SQLAlchemyError as error:
            raise not_committed(error, self._where) from error

    # Damage

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the ledger's file, at most five sentences; databases of servers see to theirs.

        Reads the whole file.
        """
        if self._engine.dialect.name != "sqlite":
            return []
        try:
            found = [str(row[0]) for row in self._read(sa.text("PRAGMA integrity_check(5)"))]
        except StorageError as error:
            return [error.what]
        return [] if found == ["ok"] else found


def settlement_of(reservation: Reservation, stored: Stored, moment: datetime) -> Settlement:
    """The settlement that an answer, or the error that came in its place, means."""
    reply = stored.reply
    return Settlement(
        reservation,
        moment,
        reply.cost,
        reply.tokens_in,
        reply.tokens_out,
        "" if stored.final is None else stored.final,
        # Without a usage it stays in the books as what it is: an upper bound.
        is_known=not reply.costs_at_most,
    )
