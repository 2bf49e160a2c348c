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
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import RunIdError, StorageError, UnknownRun
from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.core.run_id import run_id_at, valid_run_id
from enrich_assets.engine import tables
from enrich_assets.engine.calls import Reply, Request, Stored


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
    """One ledger. Reads happen where they are asked for; answers are committed by one writer thread in groups."""

    def __init__(self, url: str, *, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = tables.open_database(url)
        self._now = now
        self._writer = _Writer(self._engine)
        self._reader = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    @classmethod
    def for_storage(cls, storage: str, *, now: Callable[[], datetime] = utc_now) -> Ledger:
        """The ledger that belongs to a storage (see `ledger_url`)."""
        return cls(ledger_url(storage), now=now)

    def close(self) -> None:
        """Commits what waits and closes the connections."""
        self._writer.close()
        self._reader.close()
        self._engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Answers

    def find_answer(self, request_hash: str, *, not_before: datetime | None) -> Stored | None:
        """The earliest answer to a request that was made at or after `not_before`."""
        table = tables.answers
        query = sa.select(table).where(table.c.request_hash == request_hash)
        if not_before is not None:
            query = query.where(table.c.made_at >= _text(not_before))
        found = self._reader.execute(query.order_by(table.c.made_at).limit(1)).mappings().first()
        if found is None:
            return None
        reply = Reply(
            content=json.loads(zlib.decompress(found["content"])),
            tokens_in=found["tokens_in"],
            tokens_out=found["tokens_out"],
            cost=found["cost"],
            seconds=found["seconds"],
            made_at=datetime.fromisoformat(found["made_at"]),
            reused=True,
        )
        return Stored(reply, final=found["final"], final_kind=found["final_kind"] or "")

    async def keep_answer(self, request: Request, stored: Stored, *, run_id: str, phase: str, row_id: str) -> None:
        """Commits an answer; returns when it is durable."""
        reply = stored.reply
        values = {
            "request_hash": request.hash,
            "made_at": _text(reply.made_at or self._now()),
            "kind": request.kind,
            "content": zlib.compress(canonical_json(reply.content), 1),
            "final": stored.final,
            "final_kind": stored.final_kind or None,
            "tokens_in": reply.tokens_in,
            "tokens_out": reply.tokens_out,
            "cost": reply.cost,
            "seconds": reply.seconds,
            "run_id": run_id,
            "phase": phase,
            "row_id": row_id,
        }
        await asyncio.wrap_future(self._writer.put(values))

    def count_answers(self, **where: str) -> int:
        """Number of stored answers whose columns equal `where`."""
        table = tables.answers
        conditions = [table.c[name] == value for name, value in where.items()]
        return int(self._reader.execute(sa.select(sa.func.count()).select_from(table).where(*conditions)).scalar() or 0)

    # Runs

    def claim_run(self, graph: str, registration: Mapping[str, Any], *, run_id: str | None = None) -> str:
        """Claims a run ID with its frozen registration by a unique insert.

        With `run_id`, exactly that one (RunIdError when it is taken); else the first free one of this second.
        """
        moment = self._now()
        for taken in range(1000):
            candidate = valid_run_id(run_id) if run_id else run_id_at(moment, taken=taken)
            values = {
                "run_id": candidate,
                "graph": graph,
                "title": str(registration.get("title", ""))[:300],
                "preset": str(registration.get("preset", ""))[:100],
                "created_at": _text(moment),
                "registration": zlib.compress(canonical_json(registration), 6),
            }
            try:
                with self._engine.begin() as connection:
                    connection.execute(sa.insert(tables.runs).values(values))
            except sa.exc.IntegrityError:
                if run_id:
                    raise RunIdError(f"the run ID {run_id} is taken.", fix="Run IDs are never used twice.") from None
                continue
            return candidate
        raise RunIdError(f"no free run ID for {run_id_at(moment)}.")

    def registration(self, run_id: str) -> dict[str, Any] | None:
        """What was registered for a run; None for a run that the ledger does not know."""
        query = sa.select(tables.runs.c.registration).where(tables.runs.c.run_id == run_id)
        found = self._reader.execute(query).scalar()
        return None if found is None else dict(json.loads(zlib.decompress(found)))

    def runs(self, graph: str | None = None, *, limit: int = 1000) -> list[dict[str, Any]]:
        """The runs, newest first: run_id, graph, title, preset, created_at."""
        table = tables.runs
        query = sa.select(table.c.run_id, table.c.graph, table.c.title, table.c.preset, table.c.created_at)
        if graph is not None:
            query = query.where(table.c.graph == graph)
        query = query.order_by(table.c.created_at.desc(), table.c.run_id.desc()).limit(limit)
        return [dict(found) for found in self._reader.execute(query).mappings()]

    def find_run(self, reference: str, graph: str | None = None) -> str:
        """The run that an ID, a title or `latest` (the newest) means; raises UnknownRun, also for a title of two."""
        known = self.runs(graph)
        if not known:
            raise UnknownRun("there is no run yet.", fix="Start one: enrich demo, or enrich run --preset NAME.")
        if reference == "latest":
            return str(known[0]["run_id"])
        if any(found["run_id"] == reference for found in known):
            return reference
        titled = [str(found["run_id"]) for found in known if found["title"] == reference]
        if len(titled) == 1:
            return titled[0]
        if titled:
            raise UnknownRun(f"{len(titled)} runs have the title {reference!r}.", fix=f"Name one: {', '.join(titled)}.")
        shown = reference if len(reference) <= 60 else f"{reference[:57]}..."
        newest = ", ".join(str(found["run_id"]) for found in known[:3])
        raise UnknownRun(f"no run has the ID or title {shown!r}.", fix=f"The newest are {newest}; enrich runs lists all.")

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
        with self._engine.begin() as connection:
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
        return [dict(found) for found in self._reader.execute(query).mappings()]

    def _replace_phase(self, run_id: str, phase: str, **values: Any) -> None:
        table = tables.phases
        with self._engine.begin() as connection:
            connection.execute(sa.delete(table).where(table.c.run_id == run_id, table.c.phase == phase))
            connection.execute(sa.insert(table).values(run_id=run_id, phase=phase, **values))


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

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[tuple[dict[str, Any], Future[None]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def put(self, values: dict[str, Any]) -> Future[None]:
        """A future that is done when the values are committed."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
                self._thread.start()
        future: Future[None] = Future()
        self._waiting.put((values, future))
        return future

    def close(self) -> None:
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while True:
            group = [self._waiting.get()]
            while not self._waiting.empty() and len(group) < 1000:
                group.append(self._waiting.get())
            ending = None in group
            kept = [item for item in group if item is not None]
            if kept:
                self._commit(kept)
            if ending:
                return

    def _commit(self, kept: list[tuple[dict[str, Any], Future[None]]]) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(tables.answers), [values for values, _ in kept])
        except sa.exc.SQLAlchemyError as error:
            failure = StorageError(
                f"the ledger could not commit: {str(getattr(error, 'orig', error)).splitlines()[0]}",
                fix="Free some space or bring the database back, then enrich resume.",
            )
            for _, future in kept:
                future.set_exception(failure)
        else:
            for _, future in kept:
                future.set_result(None)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
