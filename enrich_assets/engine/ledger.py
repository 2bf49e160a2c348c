"""The ledger: every answer that was paid for, and the list of runs with their phases as a view for people.

Answers decide whether a call is made. The runs and phases tables are a view: artifacts decide what is done.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import RunIdError, StorageError, UnknownRun
from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.core.run_id import run_id_at, valid_run_id
from enrich_assets.engine import tables
from enrich_assets.engine.answers import (
    AnswerWriter,
    answer_row,
    first_row,
    is_closed,
    not_committed,
    storable,
    stored_answer,
    utc_text,
)
from enrich_assets.engine.leases import LEASE_SECONDS, Lease, acquire, refuse_if_taken
from enrich_assets.engine.requests import Request, Stored


def utc_now() -> datetime:
    """The wall clock in UTC."""
    return datetime.now(UTC)


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
    return f"sqlite:///{Path(storage.removeprefix('file://')).absolute() / 'ledger.db'}"


class Ledger:
    """One ledger. Reads happen where they are asked for; answers are committed by one writer thread in groups.

    It may be used from several threads. Every method raises StorageError when the database fails, or is closed.
    """

    def __init__(self, url: str, *, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = tables.open_database(url)
        self._where = self._engine.url.render_as_string(hide_password=True)
        self._now = now
        self._writer = AnswerWriter(self._engine, self._where)
        # One connection for all reads, because taking one from the pool costs more than the look-up itself; one
        # thread at a time, because a connection is no place for two.
        self._reading = threading.RLock()
        self._reader: sa.Connection | None = None
        self._look_up: Callable[[Mapping[str, Any]], Any] | None = None
        self._closed = False

    @classmethod
    def for_storage(cls, storage: str, *, now: Callable[[], datetime] = utc_now) -> Ledger:
        """The ledger that belongs to a storage (see `ledger_url`)."""
        return cls(ledger_url(storage), now=now)

    def close(self) -> None:
        """Commits what waits and closes the connections."""
        self._writer.close()
        with self._reading:
            self._closed = True
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        self._engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Answers

    def find_answer(self, request_hash: str, *, not_before: datetime | None) -> Stored | None:
        """The earliest answer at or after `not_before`; that nothing answered counts only where nothing did."""
        values = {"request_hash": request_hash, "not_before": "" if not_before is None else utc_text(not_before)}
        row = self._first_answer(values)
        return None if row is None else stored_answer(row, request_hash=request_hash, where=self._where)

    async def keep_answer(self, request: Request, stored: Stored, *, run_id: str, phase: str, row_id: str) -> None:
        """Commits an answer; returns when it is durable."""
        await self._writer.put(answer_row(request, stored, run_id=run_id, phase=phase, row_id=row_id, now=self._now()))

    def count_answers(self, **where: str) -> int:
        """Number of stored answers whose columns equal `where`."""
        table = tables.answers
        conditions = [table.c[name] == value for name, value in where.items()]
        return int(self._read(sa.select(sa.func.count()).select_from(table).where(*conditions))[0][0])

    # Leases

    def lease_phase(self, run_id: str, phase: str, *, seconds: float = LEASE_SECONDS) -> Lease:
        """The lease of a phase of a run, under which answers are committed from now on; raises LeaseTaken."""
        try:
            lease = acquire(self._engine, f"{run_id}/{phase}", seconds=seconds)
        except sa.exc.SQLAlchemyError as error:
            raise not_committed(error, self._where) from error
        self._writer.lease = lease
        return lease

    def refuse_if_worked_on(self, run_id: str) -> None:
        """Raises LeaseTaken when another process works on a phase of the run."""
        try:
            refuse_if_taken(self._engine, f"{run_id}/")
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

    # Runs

    def claim_run(self, graph: str, registration: Mapping[str, Any], *, run_id: str | None = None) -> str:
        """Claims a run ID with its frozen registration by a unique insert.

        With `run_id`, exactly that one (RunIdError when it is taken); else the first free one of this second.
        """
        moment = self._now()
        for taken in range(1000):
            candidate = run_id_at(moment, taken=taken) if run_id is None else valid_run_id(run_id)
            values = {
                "run_id": candidate,
                "graph": graph,
                "title": storable(str(registration.get("title", "")))[:300],
                "preset": storable(str(registration.get("preset", "")))[:100],
                "created_at": utc_text(moment),
                "registration": zlib.compress(canonical_json(registration), 6),
            }
            try:
                with self._writing() as connection:
                    connection.execute(sa.insert(tables.runs).values(values))
            except sa.exc.IntegrityError:
                if run_id is not None:
                    raise RunIdError(f"the run ID {run_id} is taken.", fix="Run IDs are never used twice.") from None
                continue
            return candidate
        raise RunIdError(f"no free run ID for {run_id_at(moment)}.", fix="Start again in a second.")

    def registration(self, run_id: str) -> dict[str, Any] | None:
        """What was registered for a run; None for a run that the ledger does not know."""
        query = sa.select(tables.runs.c.registration).where(tables.runs.c.run_id == run_id)
        found = self._read(query)
        return dict(json.loads(zlib.decompress(found[0][0]))) if found else None

    def runs(self, graph: str | None = None, *, limit: int = 1000) -> list[dict[str, Any]]:
        """The runs, newest first: run_id, graph, title, preset, created_at."""
        return self._runs_where(graph, limit=limit)

    def find_run(self, reference: str, graph: str | None = None) -> str:
        """The run that an ID, a title or `latest` (the newest) means; raises UnknownRun, also for a title of two."""
        table = tables.runs
        known = self._runs_where(graph, limit=3)
        if not known:
            raise UnknownRun("there is no run yet.", fix="Start one: enrich demo, or enrich run --preset NAME.")
        if reference == "latest":
            return str(known[0]["run_id"])
        sought = storable(reference)
        if self._runs_where(graph, table.c.run_id == sought):
            return sought
        titled = [str(found["run_id"]) for found in self._runs_where(graph, table.c.title == sought, limit=20)]
        if len(titled) == 1:
            return titled[0]
        if titled:
            raise UnknownRun(
                f"{len(titled)} runs have the title {_short(reference)}.", fix=f"Name one: {', '.join(titled)}."
            )
        newest = ", ".join(str(found["run_id"]) for found in known)
        raise UnknownRun(
            f"no run has the ID or title {_short(reference)}.", fix=f"The newest are {newest}; enrich runs lists all."
        )

    def _runs_where(self, graph: str | None, *conditions: Any, limit: int = 1000) -> list[dict[str, Any]]:
        table = tables.runs
        named = (table.c.run_id, table.c.graph, table.c.title, table.c.preset, table.c.created_at)
        query = sa.select(*named).where(*conditions)
        if graph is not None:
            query = query.where(table.c.graph == graph)
        # Of one moment the longer ID is the later claim: …-2 before …, …-10 before …-2.
        query = query.order_by(table.c.created_at.desc(), sa.func.length(table.c.run_id).desc(), table.c.run_id.desc())
        return [dict(found._mapping) for found in self._read(query.limit(limit))]

    # Phases, as a view

    def phase_started(self, run_id: str, phase: str, number: int, rows_in: int | None) -> None:
        """Records that a phase of a run works now."""
        now = utc_text(self._now())
        self._replace_phase(
            run_id,
            phase,
            number=number,
            status="running",
            started_at=now,
            heartbeat_at=now,
            rows_in=rows_in,
            rows_done=0,
            ended_at=None,
            rows_out=None,
            dropped=None,
            failed=None,
            calls=0,
            reused=0,
            tokens_in=0,
            tokens_out=0,
            cost=0.0,
            message=None,
        )

    def phase_progress(self, run_id: str, phase: str, **values: Any) -> None:
        """Updates a running phase: rows_in, rows_done, calls, reused, tokens_in, tokens_out, cost."""
        table = tables.phases
        with self._writing() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.run_id == run_id, table.c.phase == phase)
                .values(heartbeat_at=utc_text(self._now()), **values)
            )

    def phase_ended(self, run_id: str, phase: str, status: str, **values: Any) -> None:
        """Records how a phase ended: `complete`, `blocked`, `failed`, `stopped`."""
        self.phase_progress(run_id, phase, status=status, ended_at=utc_text(self._now()), **values)

    def replace_phase(self, run_id: str, phase: str, **values: Any) -> None:
        """Sets the view of a phase to given values: rebuilding it from an envelope."""
        self._replace_phase(run_id, phase, **values)

    def phases(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """The phases of one run, or of all, by run and number."""
        table = tables.phases
        query = sa.select(table)
        if run_id is not None:
            query = query.where(table.c.run_id == run_id)
        query = query.order_by(table.c.run_id, table.c.number)
        return [dict(found._mapping) for found in self._read(query)]

    def _replace_phase(self, run_id: str, phase: str, **values: Any) -> None:
        # One statement, so that two who begin at once both succeed; columns that are not given become empty.
        table = tables.phases
        row = {**dict.fromkeys(column.name for column in table.c), **values, "run_id": run_id, "phase": phase}
        with self._writing() as connection:
            insert = tables.upsert(connection)(table).values(row)
            connection.execute(insert.on_conflict_do_update(index_elements=["run_id", "phase"], set_=row))

    def _read(self, query: Any) -> Sequence[sa.Row[Any]]:
        with self._connected() as connection:
            return connection.execute(query).fetchall()

    def _first_answer(self, values: Mapping[str, Any]) -> Any:
        with self._connected() as connection:
            if self._look_up is None:
                self._look_up = first_row(connection)
            return self._look_up(values)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        with self._reading:
            if self._closed:
                raise is_closed(self._where)
            try:
                if self._reader is None:
                    self._reader = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                yield self._reader
            except sa.exc.SQLAlchemyError as error:
                self._look_up = None
                if self._reader is not None:
                    self._reader.invalidate()
                    self._reader.close()
                    self._reader = None
                raise StorageError(
                    f"the ledger cannot be read: {tables.first_line(error)}.",
                    where=self._where,
                    fix="Bring the database back, then enrich resume.",
                ) from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        if self._closed:
            raise is_closed(self._where)
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            raise not_committed(error, self._where) from error


def phase_view(envelope: Envelope) -> dict[str, Any]:
    """The numbers of a published phase as the ledger's view shows them."""
    counts, usage = envelope.counts, envelope.usage
    return {
        "rows_in": counts.rows_in,
        "rows_done": counts.rows_in,
        "rows_out": counts.rows_out,
        "dropped": sum(counts.dropped_by_reason.values()),
        "failed": sum(counts.failed_by_kind.values()),
        "calls": usage.model_calls + usage.page_requests + usage.search_requests,
        "reused": usage.answers_reused,
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "cost": usage.cost,
        "message": "; ".join(check.message for check in envelope.blocking_failures()) or None,
    }


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
