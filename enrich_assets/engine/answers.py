"""The answers of the ledger: looked up by request, committed in groups by one writer thread.

Belongs here: the hot path, which runs once for every row. Runs and phases belong to `engine.ledger`.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.errors import EnrichError, StorageError
from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.engine import tables
from enrich_assets.engine.leases import Lease, LeaseLost
from enrich_assets.engine.requests import NOTHING_ANSWERED, Reply, Request, Stored

_table = tables.answers
_NOTHING_LAST = sa.case((_table.c.final_kind.like(f"{NOTHING_ANSWERED}%"), 1), else_=0)
FIND_ANSWER = (
    sa.select(
        _table.c.content,
        _table.c.made_at,
        _table.c.final,
        _table.c.final_kind,
        _table.c.tokens_in,
        _table.c.tokens_out,
        _table.c.cost,
        _table.c.seconds,
        _table.c.run_id,
    )
    .where(
        _table.c.request_hash == sa.bindparam("request_hash"),
        _table.c.made_at >= sa.bindparam("not_before"),
    )
    .order_by(_NOTHING_LAST, _table.c.made_at, _table.c.id)
    .limit(1)
)
"""The earliest answer at or after a moment; that nothing answered counts only where nothing did."""


def stored_answer(row: Any, *, request_hash: str, where: str) -> Stored:
    """The answer in a row of FIND_ANSWER; raises StorageError when it cannot be read back."""
    content, made_at, final, final_kind, tokens_in, tokens_out, cost, seconds, run_id = row
    try:
        found = json.loads(content if content[:1] == b"{" else zlib.decompress(content))
    except (zlib.error, ValueError) as error:
        raise StorageError(
            f"the stored answer to request {request_hash[:12]} is damaged.",
            where=where,
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


def answer_row(
    request: Request, stored: Stored, *, run_id: str, phase: str, row_id: str, now: datetime
) -> dict[str, Any]:
    """An answer as a row of the table."""
    reply = stored.reply
    return {
        "request_hash": request.hash,
        "made_at": utc_text(reply.made_at or now),
        "kind": request.kind,
        "content": _compressed(canonical_json(reply.content)),
        "final": None if stored.final is None else storable(stored.final),
        "final_kind": storable(stored.final_kind)[:60] or None,
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
        "cost": reply.cost,
        "seconds": reply.seconds,
        "run_id": run_id,
        "phase": phase,
        "row_id": storable(row_id)[:200],
    }


_WORTH_COMPRESSING = 512


def _compressed(data: bytes) -> bytes:
    if len(data) < _WORTH_COMPRESSING:
        return data  # an object begins with a brace, which nothing that zlib makes does
    # A small window: zlib.compress sets up 256 KB for every call, which takes ten times as long as a short answer.
    packer = zlib.compressobj(1, zlib.DEFLATED, 12, 4)
    return packer.compress(data) + packer.flush()


class AnswerWriter:
    """Commits whatever waits as soon as it is free: one transaction for all answers that came meanwhile.

    With a `lease`, each transaction confirms it first, so that a process that lost it writes nothing.
    """

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self._engine = engine
        self._where = where
        self.lease: Lease | None = None
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()

    def put(self, values: dict[str, Any]) -> asyncio.Future[None]:
        """A future of the running loop that is done when the values are committed.

        Whoever stops waiting for it stops nothing: what came was paid for.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._closed:
                raise is_closed(self._where)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
                self._thread.start()
            self._waiting.put((values, loop, future))
        return future

    def close(self) -> None:
        """Commits what waits and ends the thread."""
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
                if self.lease is not None:
                    self.lease.confirm(connection)
                connection.execute(sa.insert(_table), [values for values, _, _ in kept])
        except LeaseLost as error:
            _tell(kept, error)
        except sa.exc.OperationalError as error:  # the database as a whole: full, locked, gone
            _tell(kept, not_committed(error, self._where))
        except Exception as error:  # the boundary of the thread, which must live on: of an answer that cannot be stored
            if len(kept) > 1:
                for entry in kept:
                    self._commit([entry])
            else:
                _tell(kept, not_committed(error, self._where))
        else:
            _tell(kept, None)


_Entry = tuple[dict[str, Any], asyncio.AbstractEventLoop, "asyncio.Future[None]"]


def _tell(kept: list[_Entry], error: EnrichError | None) -> None:
    # One call into each loop for the whole group: waking it once for every row would cost more than the commit.
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, loop, future in kept:
        by_loop.setdefault(loop, []).append(future)
    for loop, futures in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, futures, error)


def _settle(futures: list[asyncio.Future[None]], error: EnrichError | None) -> None:
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def first_row(connection: sa.Connection) -> Callable[[Mapping[str, Any]], Any]:
    """A function that gives the first row of FIND_ANSWER on a connection.

    On SQLite it goes to the driver itself, because SQLAlchemy takes longer over a look-up than SQLite does.
    """
    if connection.dialect.name != "sqlite":
        return lambda values: connection.execute(FIND_ANSWER, dict(values)).first()
    compiled: Any = FIND_ANSWER.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    text, order, fixed = str(compiled), compiled.positiontup, compiled.params
    driver: Any = connection.connection.driver_connection

    def look_up(values: Mapping[str, Any]) -> Any:
        try:
            return driver.execute(text, [values[n] if n in values else fixed[n] for n in order]).fetchone()
        except driver.Error as error:
            raise sa.exc.OperationalError(text, None, error) from error

    return look_up


def not_committed(error: BaseException, where: str) -> StorageError:
    """The error of a commit that failed."""
    return StorageError(
        f"the ledger could not commit: {tables.first_line(error)}.",
        where=where,
        fix="Free some space or bring the database back, then enrich resume.",
    )


def is_closed(where: str) -> StorageError:
    """The error of using a closed ledger."""
    return StorageError("the ledger is closed already.", where=where, fix="Open it again.")


def storable(text: str) -> str:
    """Text that every database stores: without lone surrogates (no UTF-8) and NUL (which Postgres refuses)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def utc_text(moment: datetime) -> str:
    """A moment as the ledger writes it: ISO 8601 in UTC with microseconds, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
