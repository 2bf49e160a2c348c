"""Reservations and settlements of one transaction: which stand, what they add to the totals, and their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from enrich_assets.engine import tables
from enrich_assets.engine.claims import Elsewhere, end_claims, take_claims
from enrich_assets.engine.leases import Lease
from enrich_assets.engine.spending import TOLERANCE, Caps, Refusal, Reservation, Settlement
from enrich_assets.engine.statements import Statement

_spending = tables.spending
_settle = Statement(
    sa.update(_spending)
    .where(_spending.c.sender == sa.bindparam("its_sender"), _spending.c.number == sa.bindparam("its_number"))
    .values({name: sa.bindparam(name) for name in ("settled_at", "cost", "tokens_in", "tokens_out", "error")})
)
_RESERVED = ("sender", "number", "run_id", "phase", "row_id", "kind", "endpoint", "reserved_at", "reserved")
_reserve = Statement(sa.insert(_spending).values({name: sa.bindparam(name) for name in _RESERVED}))
# One statement for all totals of a phase, with its text made once: it locks their rows, always in one order, adds, and
# tells what they are now.
_COLUMNS = ("spent", "reserved", "unsettled", "unpriced")
_TOTALS = (
    f"INSERT INTO enrich_totals (scope, {', '.join(_COLUMNS)}) VALUES "
    + ", ".join(
        f"(:scope{i}, CAST(:spent{i} AS DOUBLE PRECISION), CAST(:reserved{i} AS DOUBLE PRECISION), "
        f"CAST(:unsettled{i} AS INTEGER), CAST(:unpriced{i} AS INTEGER))"
        for i in range(6)
    )
    + " ON CONFLICT (scope) DO UPDATE SET "
    + ", ".join(f"{name} = enrich_totals.{name} + excluded.{name}" for name in _COLUMNS)
    + " RETURNING scope, spent, reserved, cap"
)
_add = Statement(sa.text(_TOTALS))


class _Total(NamedTuple):
    """The totals of one scope as they are now."""

    scope: str
    spent: float
    reserved: float
    cap: float | None


@dataclass
class _Delta:
    """What is added to the totals of some scopes."""

    spent: float = 0.0
    reserved: float = 0.0
    unsettled: int = 0
    unpriced: int = 0

    def reserve(self, reservation: Reservation, sign: int = 1) -> None:
        self.reserved += sign * (reservation.most or 0.0)
        self.unsettled += sign
        # Of a request whose price is unknown the cost is unknown from the moment that it leaves.
        self.unpriced += sign * (reservation.most is None)

    def settle(self, settlement: Settlement) -> None:
        if not settlement.is_known:
            return
        self.reserve(settlement.reservation, -1)
        self.spent += settlement.cost or 0.0
        self.unpriced += settlement.cost is None


class Booking:
    """Reservations and settlements of one transaction. Claims are made under a `lease` alone."""

    def __init__(
        self, reservations: Sequence[Reservation], settlements: Sequence[Settlement], lease: Lease | None
    ) -> None:
        self._reservations = reservations
        self._settlements = settlements
        self._lease = lease
        self._refused: dict[Reservation, Refusal | Elsewhere] = {}

    def write(self, connection: sa.Connection) -> None:
        """Writes both, and decides which reservations stand."""
        if not (self._reservations or self._settlements):
            return
        for scopes, reservations in _grouped(self._reservations, self._settlements).items():
            new = set(reservations)
            before = [s for s in self._settlements if s.reservation.scopes == scopes and s.reservation.state == "open"]
            delta = _Delta()
            for settlement in before:
                delta.settle(settlement)
            for reservation in reservations:
                delta.reserve(reservation)
            # First the totals, whose rows all processes share, then the claims: whoever holds the first waits for
            # nobody at the second.
            now = _added(connection, scopes, delta)
            self._claim(connection, reservations)
            self._refuse(connection, reservations, now, scopes)
            correction = _Delta()
            for refused in self._refused:
                if refused in new:
                    correction.reserve(refused, -1)
            # Given up again before it was ever committed: reserved and settled in one transaction.
            at_once = [s for s in self._settlements if s.reservation in new and s.reservation not in self._refused]
            for settlement in at_once:
                correction.settle(settlement)
            if correction != _Delta():
                _added(connection, scopes, correction)
            stand = [reservation.values() for reservation in reservations if reservation not in self._refused]
            if stand:
                _reserve.many(connection, stand)
            settled = [settlement.values() for settlement in (*before, *at_once)]
            if settled:
                _settle.many(connection, settled)

    def take_effect(self) -> None:
        """Records on the reservations what is committed now."""
        for reservation in self._reservations:
            reservation.refusal = self._refused.get(reservation)
            reservation.state = "closed" if reservation in self._refused else "open"
        for settlement in self._settlements:
            settlement.reservation.state = "closed"

    def _claim(self, connection: sa.Connection, reservations: Sequence[Reservation]) -> None:
        wanted = {h: r.claim.counts_from for r in reservations if r.claim is not None for h in r.claim.hashes}
        if self._lease is None or not wanted:
            return
        missed = take_claims(connection, self._lease, wanted)
        if not missed:
            return
        mine: set[str] = set()
        for reservation in reservations:
            hashes = () if reservation.claim is None else reservation.claim.hashes
            if any(name in missed for name in hashes):
                held = frozenset(name for name in hashes if missed.get(name))
                self._refused[reservation] = Elsewhere(held)
            else:
                mine.update(hashes)
        # Of requests that travel in one, all are claimed or none: nobody holds some while it waits for the others.
        end_claims(connection, self._lease, wanted.keys() - mine - missed.keys())

    def _refuse(
        self,
        connection: sa.Connection,
        reservations: Sequence[Reservation],
        now: Mapping[str, _Total],
        scopes: Sequence[str],
    ) -> None:
        if not reservations:
            return
        caps = _caps(now, scopes, reservations[0].caps)
        if not caps:
            return
        room = {scope: now[scope].spent + now[scope].reserved for scope in caps}
        asked = sum(reservation.most or 0.0 for reservation in reservations)
        for reservation in reservations:
            most = reservation.most or 0.0
            if reservation in self._refused:
                room = {scope: amount - most for scope, amount in room.items()}
                asked -= most
                continue
            full = [s for s, cap in caps.items() if room[s] - asked + most > cap + TOLERANCE]
            if reservation.most is None or full:
                scope = full[0] if full else next(iter(caps))
                row = now[scope]
                self._refused[reservation] = Refusal(
                    scope, caps[scope], row.spent, max(0.0, room[scope] - asked - row.spent), reservation.most
                )
                room = {scope: amount - most for scope, amount in room.items()}
                if self._lease is not None and reservation.claim is not None:
                    end_claims(connection, self._lease, reservation.claim.hashes)
            asked -= most


def _grouped(
    reservations: Iterable[Reservation], settlements: Iterable[Settlement]
) -> dict[tuple[str, ...], list[Reservation]]:
    grouped: dict[tuple[str, ...], list[Reservation]] = {}
    for settlement in settlements:
        grouped.setdefault(settlement.reservation.scopes, [])
    for reservation in reservations:
        grouped.setdefault(reservation.scopes, []).append(reservation)
    return grouped


def _caps(now: Mapping[str, _Total], scopes: Sequence[str], settings: Caps) -> dict[str, float]:
    run, phase, day, month, every_day, every_month = scopes
    by_hand = {scope: now[scope].cap for scope in scopes}
    found = {
        phase: settings.phase if by_hand[phase] is None else by_hand[phase],
        run: settings.run if by_hand[run] is None else by_hand[run],
        day: by_hand[every_day],
        month: by_hand[every_month],
    }
    return {scope: float(cap) for scope, cap in found.items() if cap is not None}


def _added(connection: sa.Connection, scopes: Sequence[str], delta: _Delta) -> dict[str, _Total]:
    values: dict[str, Any] = {}
    for i, scope in enumerate(scopes):
        counts = "/" in scope
        values[f"scope{i}"] = scope
        for name in _COLUMNS:
            values[f"{name}{i}"] = getattr(delta, name) if counts else 0
    return {row[0]: _Total(*row) for row in _add.rows(connection, values)}
