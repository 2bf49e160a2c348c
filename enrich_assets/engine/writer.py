"""The writer of the ledger: one thread that commits whatever waits as soon as it is free, in one transaction.

Belongs here: the hot path, which runs twice for every paid request. What the entries mean is decided in
`engine.answers` and `engine.spending`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.errors import EnrichError, StorageError
from enrich_assets.engine import tables
from enrich_assets.engine.answers import INSERT_ANSWER
from enrich_assets.engine.booking import Booking
from enrich_assets.engine.claims import Claim, Elsewhere, end_claims
from enrich_assets.engine.leases import Lease, LeaseLost
from enrich_assets.engine.spending import Refusal, Reservation, Settlement

_MOST_IN_A_GROUP = 1000


@dataclass(eq=False, slots=True)
class Entry:
    """What is to be committed together: an answer, a reservation, a settlement, or nothing but the wish to wait.

    `supersedes`: older answers to the same request no longer count. `ends_claim`: others may ask for its requests.
    """

    answer: dict[str, Any] | None = None
    supersedes: bool = False
    reservation: Reservation | None = None
    settlement: Settlement | None = None
    ends_claim: Claim | None = None
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[Refusal | Elsewhere | None] | None = None


class GroupWriter:
    """Commits entries in the order in which they came, as many at once as wait.

    With a `lease`, each transaction confirms it first, so that a process that lost it writes nothing.
    """

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self._engine = engine
        self._where = where
        self.lease: Lease | None = None
        self._waiting: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()

    def put(self, entry: Entry) -> asyncio.Future[Refusal | Elsewhere | None]:
        """A future of the running loop that is done when the entry is committed, with the refusal of a reservation.

        Whoever stops waiting for it stops nothing: what came was paid for. Raises StorageError when it is closed; the
        future does where the database cannot commit, and raises LeaseLost.
        """
        entry.loop = asyncio.get_running_loop()
        entry.future = entry.loop.create_future()
        self.post(entry)
        return entry.future

    def post(self, entry: Entry) -> None:
        """Commits an entry that nobody waits for."""
        with self._lock:
            if self._closed:
                raise is_closed(self._where)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
                self._thread.start()
            self._waiting.put(entry)

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
            while not self._waiting.empty() and len(group) < _MOST_IN_A_GROUP:
                group.append(self._waiting.get())
            entries = [entry for entry in group if entry is not None]
            if entries:
                self._commit(entries)
            if None in group:
                return

    def _commit(self, entries: list[Entry]) -> None:
        lease = self.lease
        moment = 0.0
        try:
            with self._engine.begin() as connection:
                if lease is not None:
                    moment = lease.confirm(connection)
                booking = _write(connection, entries, lease)
        except LeaseLost as error:
            _tell(entries, error)
        except sa.exc.OperationalError as error:  # the database as a whole: full, locked, gone
            _tell(entries, not_committed(error, self._where))
        except Exception as error:  # the boundary of the thread, which must live on: of an entry that cannot be stored
            if len(entries) > 1:
                for entry in entries:
                    self._commit([entry])
            else:
                _tell(entries, not_committed(error, self._where))
        else:
            if lease is not None:
                lease.renewed(moment)
            booking.take_effect()
            _tell(entries, None)


def _write(connection: sa.Connection, entries: list[Entry], lease: Lease | None) -> Booking:
    booking = Booking(
        [entry.reservation for entry in entries if entry.reservation is not None],
        [entry.settlement for entry in entries if entry.settlement is not None],
        lease,
    )
    booking.write(connection)
    answers = [entry.answer for entry in entries if entry.answer is not None]
    if answers:
        INSERT_ANSWER.many(connection, answers)
    for entry in entries:
        if entry.supersedes and entry.answer is not None:
            connection.execute(_supersede(entry.answer))
    if lease is not None:
        end_claims(connection, lease, (h for e in entries if e.ends_claim is not None for h in e.ends_claim.hashes))
    return booking


def _supersede(answer: dict[str, Any]) -> sa.Update:
    table = tables.answers
    older = (table.c.request_hash == answer["request_hash"]) & (table.c.made_at < answer["made_at"])
    return sa.update(table).where(older).values(superseded=1)


def _tell(entries: list[Entry], error: EnrichError | None) -> None:
    # One call into each loop for the whole group: waking it once for every row would cost more than the commit.
    by_loop: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
    for entry in entries:
        if entry.loop is not None:
            by_loop.setdefault(entry.loop, []).append(entry)
    for loop, waited_for in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, waited_for, error)


def _resolve(entries: list[Entry], error: EnrichError | None) -> None:
    for entry in entries:
        if entry.future is None or entry.future.done():
            continue
        if error is None:
            entry.future.set_result(None if entry.reservation is None else entry.reservation.refusal)
        else:
            entry.future.set_exception(error)


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
