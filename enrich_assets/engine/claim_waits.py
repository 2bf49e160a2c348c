"""Waiting until other processes have asked what they claimed (`engine.claims`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

import sqlalchemy as sa

from enrich_assets.engine import tables
from enrich_assets.engine.connection import Connected
from enrich_assets.engine.leases import is_dead

_SOONEST, _LATEST = 0.05, 1.0
"""Seconds between two looks at claims of others: seldom while nothing changes."""


class Claims(Connected):
    """The part of the ledger that knows who asks for what."""

    def asked_elsewhere(self, hashes: Collection[str]) -> set[str]:
        """Those of the requests that somebody asks for now; who died on this machine counts no more at once."""
        held = tables.leases
        query = (
            sa.select(tables.claims.c.request_hash, held.c.name, held.c.token, held.c.holder)
            .join(held, (held.c.name == tables.claims.c.lease) & (held.c.token == tables.claims.c.token))
            .where(tables.claims.c.request_hash.in_(list(hashes)))
        )
        found = self._read_by(
            lambda connection: connection.execute(query.where(held.c.expires_at >= tables.clock(connection))).fetchall()
        )
        dead = {(row.name, row.token): row.holder for row in found}
        dead = {lease: holder for lease, holder in dead.items() if is_dead(holder)}
        for name, token in dead:
            with self._writing() as connection:
                its = (held.c.name == name) & (held.c.token == token)
                connection.execute(sa.update(held).where(its).values(expires_at=0.0))
        return {row.request_hash for row in found if (row.name, row.token) not in dead}


class ClaimWaits:
    """Waits until others have asked what they claimed; belongs to one event loop. One look serves all who wait."""

    def __init__(self, look: Callable[[Collection[str]], set[str]]) -> None:
        self._look = look
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def ended(self, hashes: Iterable[str]) -> None:
        """Returns when nobody else asks for any of the requests; raises StorageError."""
        for name in hashes:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(name, []).append(future)
            if self._task is None or self._task.done():
                self._task = asyncio.ensure_future(self._look_again_and_again())
            await future

    async def close(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_again_and_again(self) -> None:
        delay = _SOONEST
        try:
            while self._waiting:
                await asyncio.sleep(delay)
                for name in [n for n, waiters in self._waiting.items() if all(one.done() for one in waiters)]:
                    del self._waiting[name]
                looked = list(self._waiting)  # more may come to wait during the look, which says nothing of them
                asked = await asyncio.to_thread(self._look, looked) if looked else set()
                ended = [name for name in looked if name not in asked]
                for name in ended:
                    self._tell(name, None)
                delay = _SOONEST if ended else min(_LATEST, 1.5 * delay)
        except Exception as error:  # the boundary of this task: whoever waits has to learn that it ended
            for name in list(self._waiting):
                self._tell(name, error)

    def _tell(self, name: str, error: Exception | None) -> None:
        for future in self._waiting.pop(name):
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
