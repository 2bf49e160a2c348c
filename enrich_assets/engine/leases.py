"""Leases: one process works on a phase of a run at a time; whoever lost its lease can write nothing more.

A lease is a row with a holder, an expiry by the database's clock, and a fencing token that grows with every new
holder (Kleppmann, "How to do distributed locking", 2016). No session locks, so it works behind a transaction pooler.
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from enrich_assets.core.errors import EnrichError, StorageError, UserError
from enrich_assets.engine import tables

LEASE_SECONDS = 30.0
working_under: ContextVar[Lease | None] = ContextVar("working_under", default=None)
"""The lease of the phase that the present task works for."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the process, or the whole machine, sleeps (clock_gettime(2))."""


class LeaseTaken(UserError):
    """Another process works there."""


class LeaseLost(EnrichError):
    """This process slept past its lease, and another one took over; it must not write any more."""


class Lease:
    """A lease that this process holds and renews every third of its time, until it is released or lost."""

    def __init__(self, engine: sa.Engine, name: str, token: int, seconds: float, *, taken_at: float) -> None:
        self.name = name
        self.token = token
        self._engine = engine
        self._seconds = seconds
        self._ended = threading.Event()
        self._lost = False
        self._sure_until = taken_at + seconds
        self._thread = threading.Thread(target=self._keep, name=f"lease {name}", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether another process is known to have taken over."""
        return self._lost

    @property
    def is_sure(self) -> bool:
        """Whether nobody can have taken over: it was renewed within its time, by this machine's own clock."""
        return time.clock_gettime(_CLOCK) < self._sure_until

    def confirm(self, connection: sa.Connection) -> float:
        """Renews the lease within a transaction that writes under it; raises LeaseLost when it is another's.

        Gives the moment that `renewed` has to be told when the transaction is committed.
        """
        moment = time.clock_gettime(_CLOCK)  # before the database's own, so that its time never ends later here
        if connection.execute(_renewal(connection, self.name, self.token, self._seconds)).rowcount != 1:
            self._lost = True
            raise LeaseLost(
                f"another process took over {self.name} while this one was not heard of.",
                fix="Nothing was written. Look at enrich watch: the other one goes on.",
            )
        return moment

    def renewed(self, moment: float) -> None:
        """Notes that the renewal of `confirm` is committed."""
        self._sure_until = moment + self._seconds

    def check(self) -> None:
        """Renews the lease by itself; raises LeaseLost or StorageError."""
        try:
            with self._engine.begin() as connection:
                moment = self.confirm(connection)
        except sa.exc.SQLAlchemyError as error:
            raise StorageError(
                f"the lease of {self.name} cannot be renewed: {tables.first_line(error)}.",
                fix="Free some space or bring the database back, then enrich resume.",
            ) from error
        self.renewed(moment)

    def release(self) -> None:
        """Gives the lease back at once; the token stays, so that it never counts backwards."""
        self._ended.set()
        self._thread.join()
        table = tables.leases
        with suppress(sa.exc.SQLAlchemyError), self._engine.begin() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.name == self.name, table.c.token == self.token)
                .values(expires_at=0.0, holder="")
            )
        self._engine.dispose()  # the ledger that it came from may be closed already

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            try:
                self.check()
            except LeaseLost:
                return
            except StorageError:
                continue  # tried again; the lease runs out meanwhile if the database stays away


async def refuse_without_lease() -> None:
    """Raises LeaseLost when another process took over the phase that the present task works for; StorageError where
    that cannot be known. Asks the database only after a time in which it could have happened."""
    lease = working_under.get()
    if lease is not None and not lease.is_sure:
        await asyncio.to_thread(lease.check)


def acquire(engine: sa.Engine, name: str, *, holder: str = "", seconds: float = LEASE_SECONDS) -> Lease:
    """The lease of that name; raises LeaseTaken naming the holder.

    A lease counts as free when it ran out, or when its holder is a process of this machine that is gone.
    """
    holder = holder or this_process()
    moment = time.clock_gettime(_CLOCK)
    token = _take(engine, name, holder, seconds, dead=None)
    if token is None:
        token = _take_from_the_dead(engine, name, holder, seconds)
    return Lease(engine, name, token, seconds, taken_at=moment)


def refuse_if_taken(engine: sa.Engine, run_id: str) -> None:
    """Raises LeaseTaken when a living process holds the lease of a phase of the run, or, without one, of any run.
    Takes nothing itself."""
    table = tables.leases
    with engine.connect() as connection:
        of_it = table.c.name.startswith(f"{run_id}/", autoescape=True) if run_id else table.c.name.contains("/")
        held = of_it & (table.c.expires_at >= tables.clock(connection))
        for found in connection.execute(sa.select(table.c.name, table.c.holder).where(held)):
            if not is_dead(found.holder):
                raise _taken(found.name, found.holder)


def this_process() -> str:
    """This process as a holder: machine, number, and when it began, because numbers come again."""
    return f"{platform.node()}:{os.getpid()}:{_began(os.getpid())}"


def _take_from_the_dead(engine: sa.Engine, name: str, holder: str, seconds: float) -> int:
    table = tables.leases
    with engine.connect() as connection:
        found: Any = connection.execute(sa.select(table.c.holder, table.c.token).where(table.c.name == name)).first()
    if found is not None and is_dead(found.holder):
        token = _take(engine, name, holder, seconds, dead=found.token)
        if token is not None:
            return token
    raise _taken(name, "" if found is None else str(found.holder))


def _taken(name: str, holder: str) -> LeaseTaken:
    who = ":".join(holder.split(":")[:2]) or "another process"
    return LeaseTaken(
        f"{name} is being worked on by {who}.",
        fix="Wait until it is done (enrich watch), or end that process; then try again.",
    )


def _take(engine: sa.Engine, name: str, holder: str, seconds: float, *, dead: int | None) -> int | None:
    table = tables.leases
    with engine.begin() as connection:
        insert = tables.upsert(connection)(table)
        now = tables.clock(connection)
        free = table.c.expires_at < now if dead is None else table.c.token == dead
        statement = insert.values(name=name, holder=holder, token=1, expires_at=now + seconds).on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "token": table.c.token + 1, "expires_at": now + seconds},
            where=free,
        )
        found = connection.execute(statement.returning(table.c.token)).first()
    return None if found is None else int(found[0])


def _renewal(connection: sa.Connection, name: str, token: int, seconds: float) -> sa.Update:
    table = tables.leases
    return (
        sa.update(table)
        .where(table.c.name == name, table.c.token == token)
        .values(expires_at=tables.clock(connection) + seconds)
    )


def is_dead(holder: str) -> bool:
    """Whether a holder is a process of this machine that is gone; of one elsewhere nobody here can tell."""
    machine, _, rest = holder.partition(":")
    number, _, began = rest.partition(":")
    if machine != platform.node() or not number.isdigit():
        return False
    return _began(int(number)) != began


def _began(number: int) -> str:
    # Field 22 of /proc/<pid>/stat (proc(5)); where there is no /proc, a process that can be signalled is alive.
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        # Field 3: one that ended stays listed until somebody waits for it, which in a container may be nobody.
        return "gone" if fields[0] in ("Z", "X") else fields[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return "gone"
    except OSError:
        return ""
    return ""
