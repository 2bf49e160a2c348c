"""What all processes agree on about one endpoint, one short transaction at a time.

Send times follow the generic cell rate algorithm as virtual scheduling (ITU-T I.371, annex A): the database holds
when the next request may leave, and whoever takes send times moves it on. Every moment is one of the database's
clock. No session state, so it works behind a transaction pooler. When to ask belongs to `engine.limits`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from enrich_assets.engine import tables
from enrich_assets.engine.clients import EndpointLimits

LONGEST_REST = 3600.0
"""Seconds; an endpoint that wants to rest for longer is asked again after that."""
BLOCK_SECONDS = 0.2
"""How far the send times that one process takes at once may lie apart; one is always given."""
MARGIN = 1.02
"""Send times lie this much further apart than the limit asks for, so that one used late does not crowd the next."""
_HORIZON = 120.0
"""Seconds, or a hundred blocks, that others may have taken before; further ahead only a clock that was set back is."""
_TURN_SECONDS = 10.0
"""How long a process keeps its place where there are more processes than places."""


@dataclass(frozen=True)
class Ask:
    """What one process wants to agree on. Seconds; tokens."""

    charges: Sequence[float] = ()
    """The tokens of each request that waits for a send time, in order."""
    correction: float = 0.0
    """Tokens that requests of before took more than they were charged (negative: less)."""
    rests_until: float | None = None
    """Until when the endpoint wants no request, by the local monotonic clock."""
    held: int = 0
    """Places that cannot be given back yet."""
    is_beat: bool = False
    """Whether the membership is to be renewed."""
    lead: float = 0.0
    """How long the answer will take to arrive: no send time earlier than that."""


@dataclass(frozen=True)
class Told:
    """The answer. `now` was read between `earliest` and `latest` of the local monotonic clock."""

    now: float
    earliest: float
    latest: float
    send_times: Sequence[float]
    rests_until: float
    granted: int | None
    """Places that may be used from now on; None where nothing about them was asked."""


class Pacing:
    """One process's part in the agreement. Its methods block, and raise SQLAlchemyError."""

    def __init__(
        self, engine: sa.Engine, limits: EndpointLimits, *, member: str, wanted: int, expiry: float = 15.0
    ) -> None:
        self.expiry = expiry
        self._engine = engine
        self._endpoint = limits.key[:200]
        self._concurrency = limits.concurrency
        self._member = member[:200]
        self._wanted = wanted
        self._interval = 60.0 * MARGIN / limits.requests_per_minute if limits.requests_per_minute else 0.0
        self._token_seconds = 60.0 * MARGIN / limits.tokens_per_minute if limits.tokens_per_minute else 0.0
        self._heaviest = 0.0

    def agree(self, ask: Ask) -> Told:
        """Takes send times, notes a rest, renews the membership: whatever is asked for, in one transaction."""
        joins = ask.is_beat and self._concurrency is not None
        if not (joins or ask.charges or ask.correction or ask.rests_until is not None):
            return self._look()
        table = tables.limits
        with self._engine.begin() as connection:
            # Written first: it takes SQLite's write lock, or Postgres's lock of the row, so that one agrees at a time.
            insert = tables.upsert(connection)(table)
            connection.execute(
                insert.values(
                    endpoint=self._endpoint, next_request=0.0, next_tokens=0.0, not_before=0.0
                ).on_conflict_do_update(index_elements=["endpoint"], set_={"not_before": table.c.not_before})
            )
            told, found = self._read(connection)
            now = told.now
            rest = told.rests_until
            if ask.rests_until is not None:
                rest = max(rest, now + ask.rests_until - told.latest)
            next_request = self._plausible(found.next_request, now, self._interval)
            next_tokens = found.next_tokens
            # Only who sends can judge how far ahead others may be: one request can take the tokens of many minutes.
            if ask.charges:
                self._heaviest = max(self._heaviest, *ask.charges)
                next_tokens = self._plausible(next_tokens, now, self._heaviest * self._token_seconds)
            next_tokens += ask.correction * self._token_seconds
            send_times: list[float] = []
            for charge in ask.charges:
                moment = max(now + ask.lead, rest, next_request, next_tokens)
                if send_times and moment > send_times[0] + BLOCK_SECONDS:
                    break
                send_times.append(moment)
                next_request = moment + self._interval
                next_tokens = moment + charge * self._token_seconds
            connection.execute(
                sa.update(table)
                .where(table.c.endpoint == self._endpoint)
                .values(next_request=next_request, next_tokens=next_tokens, not_before=rest)
            )
            granted = self._join(connection, now, ask.held) if joins else None
        return Told(now, told.earliest, told.latest, send_times, rest, granted)

    def leave(self, correction: float) -> None:
        """Gives the membership back, and says what is still to be corrected."""
        table = tables.members
        if correction and self._token_seconds:
            self.agree(Ask(correction=correction))
        if self._concurrency is not None:
            with self._engine.begin() as connection:
                connection.execute(
                    sa.delete(table).where(table.c.endpoint == self._endpoint, table.c.member == self._member)
                )

    def _look(self) -> Told:
        with self._engine.connect() as connection:
            return self._read(connection)[0]

    def _read(self, connection: sa.Connection) -> tuple[Told, Any]:
        table = tables.limits
        clock = sa.select(tables.clock(connection).label("now")).subquery()
        statement = sa.select(clock.c.now, table.c.next_request, table.c.next_tokens, table.c.not_before).select_from(
            clock.outerjoin(table, table.c.endpoint == self._endpoint)
        )
        earliest = time.monotonic()
        found: Any = connection.execute(statement).one()
        latest = time.monotonic()
        now = float(found.now)
        rest = found.not_before or 0.0
        # Nobody writes a longer rest: a clock was set back since.
        rest = 0.0 if rest > now + LONGEST_REST + 1.0 else rest
        return Told(now, earliest, latest, (), rest, None), found

    @staticmethod
    def _plausible(moment: float, now: float, step: float) -> float:
        return 0.0 if moment > now + max(_HORIZON, 100.0 * max(step, BLOCK_SECONDS)) else moment

    def _join(self, connection: sa.Connection, now: float, held: int) -> int:
        assert self._concurrency is not None
        table = tables.members
        here = table.c.endpoint == self._endpoint
        connection.execute(sa.delete(table).where(here, table.c.expires_at < now))
        # Nobody reaches that far ahead: the clock was set back. Who lives says so within this time.
        connection.execute(
            sa.update(table)
            .where(here, table.c.expires_at > now + 2 * self.expiry)
            .values(expires_at=now + self.expiry)
        )
        found = connection.execute(sa.select(table.c.member, table.c.granted, table.c.wanted).where(here)).all()
        granted: dict[str, int] = {row.member: row.granted for row in found}
        mine = granted.pop(self._member, 0)
        wanted = {row.member: row.wanted for row in found} | {self._member: self._wanted}
        share = fair_share(self._concurrency, wanted, self._member, turn=int(now / _TURN_SECONDS))
        usable = min(share, max(0, self._concurrency - sum(granted.values())))
        # What is in use is given back when it is free.
        kept: int = usable if usable >= mine else min(mine, max(usable, held))
        row = {"granted": kept, "wanted": self._wanted, "expires_at": now + self.expiry}
        insert = tables.upsert(connection)(table)
        connection.execute(
            insert.values(endpoint=self._endpoint, member=self._member, **row).on_conflict_do_update(
                index_elements=["endpoint", "member"], set_=row
            )
        )
        return usable


def fair_share(concurrency: int, wanted: Mapping[str, int], member: str, *, turn: int) -> int:
    """How many of `concurrency` places one of the members gets: equal shares, none above what it wants (max-min).

    Where there are more members than places, they take turns.
    """
    names = sorted(wanted)
    if len(names) > concurrency:
        return int((names.index(member) + turn) % len(names) < concurrency)
    left = concurrency
    shares = {}
    for position, name in enumerate(sorted(names, key=lambda name: wanted[name])):
        shares[name] = min(wanted[name], left // (len(names) - position))
        left -= shares[name]
    return shares[member]
