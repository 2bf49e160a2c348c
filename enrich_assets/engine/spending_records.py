"""What was spent, out of the ledger, and the caps that people set."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from enrich_assets.engine import tables
from enrich_assets.engine.claims import Claim, Elsewhere
from enrich_assets.engine.connection import Connected, utc_now
from enrich_assets.engine.efforts import RowEffort
from enrich_assets.engine.spending import Caps, Refusal, Reservation, Settlement, Spent, scopes_of
from enrich_assets.engine.writer import Entry


class SpendingRecords(Connected):
    """The part of the ledger that knows what requests may cost and did cost."""

    def __init__(self, url: str, *, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(url, now=now)
        self._sender = secrets.randbits(62)
        self._numbers = itertools.count(1)

    def reservation(
        self,
        *,
        run_id: str,
        phase: str,
        row_id: str,
        kind: str,
        endpoint: str,
        most: float | None,
        caps: Caps,
        claim: Claim | None = None,
    ) -> Reservation:
        """A reservation of at most `most` USD (None: unknown price), to be committed by `reserve`.

        Under the lease of a phase the requests of its `claim` are claimed with it.
        """
        return Reservation(
            self._sender, next(self._numbers), run_id, phase, row_id, kind, endpoint, self._now(), most, caps, claim
        )

    def reserve(self, reservation: Reservation) -> asyncio.Future[Refusal | Elsewhere | None]:
        """Commits a reservation; the future is done when it is durable, with a Refusal where a cap does not allow it,
        and with Elsewhere where another process asks for the same or was answered meanwhile.

        A refused reservation counts nowhere. One that was not refused must be settled, or counts at its upper bound.
        """
        return self._writer.put(Entry(reservation=reservation))

    def settle(self, reservation: Reservation, *, ends_claim: bool = True, **outcome: Any) -> None:
        """Settles a reservation that no answer settles: `cost`, `tokens_in`, `tokens_out`, `error`, `is_known`.

        Unless `ends_claim`, the others go on waiting until `end_claim`.
        """
        settlement = Settlement(reservation, self._now(), **outcome)
        self._writer.post(Entry(settlement=settlement, ends_claim=reservation.claim if ends_claim else None))

    def end_claim(self, claim: Claim) -> None:
        """Lets others ask for the requests of a claim, after everything that was put before is committed."""
        self._writer.post(Entry(ends_claim=claim))

    async def written(self) -> None:
        """Returns when everything that was settled before is committed."""
        await self._writer.put(Entry())

    def spent(self, run_id: str, phase: str | None = None) -> Spent:
        """What a run, or one phase of it, has spent in all its attempts."""
        run_scope, phase_scope = scopes_of(run_id, phase or "")
        return self.totals([run_scope if phase is None else phase_scope])[0]

    def spent_today(self) -> tuple[Spent, Spent]:
        """What all runs have spent on the present day and in the present month (UTC), each with its cap."""
        today = self._now().astimezone(UTC).date()
        day, month, day_cap, month_cap = self.totals([f"day/{today:%Y-%m-%d}", f"month/{today:%Y-%m}", "day", "month"])
        return _capped(day, day_cap.cap), _capped(month, month_cap.cap)

    def totals(self, scopes: Sequence[str]) -> list[Spent]:
        """The totals of the scopes, in their order."""
        table = tables.totals
        found = {row.scope: row for row in self._read(sa.select(table).where(table.c.scope.in_(list(scopes))))}
        return [_spent(found.get(scope)) for scope in scopes]

    def requests(self, run_id: str) -> dict[tuple[str, str], tuple[int, int, int]]:
        """What a run sent in all its attempts, by phase and kind: requests, tokens in, tokens out.

        What brought nothing and cost nothing (refused, told to slow down, not sent) is no request of the rows' own.
        """
        table = tables.spending
        sums = (sa.func.count(), sa.func.sum(table.c.tokens_in), sa.func.sum(table.c.tokens_out))
        brought_nothing = table.c.settled_at.is_not(None) & table.c.error.is_not(None) & (table.c.tokens_in == 0)
        query = sa.select(table.c.phase, table.c.kind, *sums).where(table.c.run_id == run_id, sa.not_(brought_nothing))
        found: Any = self._read(query.group_by(table.c.phase, table.c.kind))
        return {(phase, kind): (int(n), int(into or 0), int(out or 0)) for phase, kind, n, into, out in found}

    def row_efforts(self, run_id: str, phase: str) -> list[RowEffort]:
        """What each row of a phase took in all its attempts; what is not settled at its upper bound."""
        table = tables.spending
        usd = sa.case((table.c.settled_at.is_(None), table.c.reserved), else_=table.c.cost)
        sums = (sa.func.count(), sa.func.count(table.c.error), sa.func.coalesce(sa.func.sum(usd), 0.0))
        here = (table.c.run_id == run_id) & (table.c.phase == phase)
        found: Any = self._read(sa.select(table.c.row_id, *sums).where(here).group_by(table.c.row_id))
        return [RowEffort(str(row_id), int(n), int(errors), float(spent)) for row_id, n, errors, spent in found]

    def set_cap(self, scope: str, usd: float | None) -> None:
        """Sets what a scope may spend: run/ID, phase/ID/NAME, day, month; None leaves it to the settings."""
        with self._writing() as connection:
            row = {"scope": scope, "spent": 0.0, "reserved": 0.0, "unsettled": 0, "unpriced": 0, "cap": usd}
            insert = tables.upsert(connection)(tables.totals).values(row)
            connection.execute(insert.on_conflict_do_update(index_elements=["scope"], set_={"cap": usd}))

    def open_requests(self, run_id: str, phase: str) -> list[dict[str, Any]]:
        """The requests of a phase that left, or were about to, and are not settled: row_id, kind, endpoint, reserved,
        reserved_at, error."""
        table = tables.spending
        named = (table.c.row_id, table.c.kind, table.c.endpoint, table.c.reserved, table.c.reserved_at, table.c.error)
        unsettled = (table.c.run_id == run_id) & (table.c.phase == phase) & table.c.settled_at.is_(None)
        return [dict(row._mapping) for row in self._read(sa.select(*named).where(unsettled))]


def _spent(row: Any) -> Spent:
    if row is None:
        return Spent()
    return Spent(row.spent, row.reserved if row.unsettled else 0.0, row.unsettled, row.unpriced, row.cap)


def _capped(spent: Spent, cap: float | None) -> Spent:
    return Spent(spent.spent, spent.reserved, spent.unsettled, spent.unpriced, cap)
