"""The ledger: every answer that was paid for, and the list of runs with their phases as a view for people.

Answers decide whether a call is made. The runs and phases tables are a view: artifacts decide what is done.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import RunIdError, StorageError, UnknownRun
from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.core.run_id import run_id_at, valid_run_id
from enrich_assets.engine import tables
from enrich_assets.engine.calls import NOTHING_ANSWERED, Reply, Request, Stored


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
        self._writer = _Writer(self._engine, self._where)
        # One connection for all reads, because taking one from the pool costs more than the look-up itself; one
        # thread at a time, because a connection is no place for two.
        self._reading = threading.RLock()
        self._reader: sa.Connection | None = None
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
        values = {"request_hash": request_hash, "not_before": "" if not_before is None else _text(not_before)}
        rows = self._read(_FIND_ANSWER, values)
        if not rows:
            return None
        row: Any = rows[0]
        content, made_at, final, final_kind, tokens_in, tokens_out, cost, seconds, run_id = row
        try:
            found = json.loads(zlib.decompress(content))
        except (zlib.error, ValueError) as error:
            raise StorageError(
                f"the stored answer to request {request_hash[:12]} is damaged.",
                where=self._where,
                fix="Bring the ledger back from a copy, or name another one with ENRICH_LEDGER_URL.",
            ) from error
        reply = Reply(
            content=found,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cost=cost,
            seconds=seconds,
            made_at=datetime.fromisoformat(made_at),
            reused=True,
        )
        return Stored(reply, final=final, final_kind=final_kind or "", run_id=run_id)

    async def keep_answer(self, request: Request, stored: Stored, *, run_id: str, phase: str, row_id: str) -> None:
        """Commits an answer; returns when it is durable."""
        reply = stored.reply
        values = {
            "request_hash": request.hash,
            "made_at": _text(reply.made_at or self._now()),
            "kind": request.kind,
            "content": zlib.compress(canonical_json(reply.content), 1),
            "final": None if stored.final is None else _clean(stored.final),
            "final_kind": _clean(stored.final_kind)[:60] or None,
            "tokens_in": reply.tokens_in,
            "tokens_out": reply.tokens_out,
            "cost": reply.cost,
            "seconds": reply.seconds,
            "run_id": run_id,
            "phase": phase,
            "row_id": _clean(row_id)[:200],
        }
        await asyncio.wrap_future(self._writer.put(values))

    def count_answers(self, **where: str) -> int:
        """Number of stored answers whose columns equal `where`."""
        table = tables.answers
        conditions = [table.c[name] == value for name, value in where.items()]
        return int(self._read(sa.select(sa.func.count()).select_from(table).where(*conditions))[0][0])

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
                "title": _clean(str(registration.get("title", "")))[:300],
                "preset": _clean(str(registration.get("preset", "")))[:100],
                "created_at": _text(moment),
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
        sought = _clean(reference)
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
        now = _text(self._now())
        self._replace_phase(
            run_id, phase, number=number, status="running", started_at=now, heartbeat_at=now, rows_in=rows_in,
            rows_done=0, ended_at=None, rows_out=None, dropped=None, failed=None, calls=0, reused=0, tokens_in=0,
            tokens_out=0, cost=0.0, message=None,
        )

    def phase_progress(self, run_id: str, phase: str, **values: Any) -> None:
        """Updates a running phase: rows_in, rows_done, calls, reused, tokens_in, tokens_out, cost."""
        table = tables.phases
        with self._writing() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.run_id == run_id, table.c.phase == phase)
                .values(heartbeat_at=_text(self._now()), **values)
            )

    def phase_ended(self, run_id: str, phase: str, status: str, **values: Any) -> None:
        """Records how a phase ended: `complete`, `blocked`, `failed`, `stopped`."""
        self.phase_progress(run_id, phase, status=status, ended_at=_text(self._now()), **values)

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
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        upsert = insert(table).values(row).on_conflict_do_update(index_elements=["run_id", "phase"], set_=row)
        with self._writing() as connection:
            connection.execute(upsert)

    def _read(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[sa.Row[Any]]:
        with self._reading:
            if self._closed:
                raise _is_closed(self._where)
            try:
                if self._reader is None:
                    self._reader = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                return self._reader.execute(query, values or {}).fetchall()
            except sa.exc.SQLAlchemyError as error:
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
            raise _is_closed(self._where)
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            raise _not_committed(error, self._where) from error


_NOTHING_ANSWERED = sa.case((tables.answers.c.final_kind.like(f"{NOTHING_ANSWERED}%"), 1), else_=0)
_FIND_ANSWER = (
    sa.select(
        tables.answers.c.content,
        tables.answers.c.made_at,
        tables.answers.c.final,
        tables.answers.c.final_kind,
        tables.answers.c.tokens_in,
        tables.answers.c.tokens_out,
        tables.answers.c.cost,
        tables.answers.c.seconds,
        tables.answers.c.run_id,
    )
    .where(
        tables.answers.c.request_hash == sa.bindparam("request_hash"),
        tables.answers.c.made_at >= sa.bindparam("not_before"),
    )
    .order_by(_NOTHING_ANSWERED, tables.answers.c.made_at, tables.answers.c.id)
    .limit(1)
)


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


class _Writer:
    """Commits whatever waits as soon as it is free: one transaction for all answers that came meanwhile."""

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self._engine = engine
        self._where = where
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()

    def put(self, values: dict[str, Any]) -> Future[None]:
        """A future that is done when the values are committed. It cannot be cancelled: what came was paid for."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                raise _is_closed(self._where)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
                self._thread.start()
            self._waiting.put((values, future))
        return future

    def close(self) -> None:
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._waiting.put(None)
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            group = [self._waiting.get()]
            while not self._waiting.empty() and len(group) < 1000:
                group.append(self._waiting.get())
            kept = [item for item in group if item is not None]
            if kept:
                self._commit(kept)
            if None in group:
                return

    def _commit(self, kept: list[_Entry]) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(tables.answers), [values for values, _ in kept])
        except sa.exc.OperationalError as error:  # the database as a whole: full, locked, gone
            for _, future in kept:
                future.set_exception(_not_committed(error, self._where))
        except Exception as error:  # the boundary of the thread, which must live on: of an answer that cannot be stored
            if len(kept) > 1:
                for entry in kept:
                    self._commit([entry])
            else:
                kept[0][1].set_exception(_not_committed(error, self._where))
        else:
            for _, future in kept:
                future.set_result(None)


_Entry = tuple[dict[str, Any], Future[None]]


def _not_committed(error: BaseException, where: str) -> StorageError:
    return StorageError(
        f"the ledger could not commit: {tables.first_line(error)}.",
        where=where,
        fix="Free some space or bring the database back, then enrich resume.",
    )


def _is_closed(where: str) -> StorageError:
    return StorageError("the ledger is closed already.", where=where, fix="Open it again.")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _clean(text: str) -> str:
    """Text that every database stores: without lone surrogates (no UTF-8) and NUL (which Postgres refuses)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
