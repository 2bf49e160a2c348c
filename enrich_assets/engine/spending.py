"""Spending: what each paid request can cost at most, before it leaves; what it did cost; and what may be spent.

Reserve, then settle: a reservation is committed before its request leaves, and refused when spent and reserved money
together would pass a cap. A reservation that is never settled (the process died, the connection was lost) counts as
an outcome that nobody knows, at its upper bound. A price that is unknown is None, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from enrich_assets.core.errors import BudgetReached
from enrich_assets.engine import tables
from enrich_assets.engine.statements import Statement
from enrich_assets.engine.texts import storable, utc_text

_TOLERANCE = 1e-9
"""USD by which sums of many amounts may differ from their cap for how computers add."""


@dataclass(frozen=True)
class Caps:
    """What a run's settings allow to spend, in USD; None: as much as it takes."""

    run: float | None = None
    phase: float | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a reservation was refused: the cap of `scope` (USD) and what stands against it."""

    scope: str
    cap: float
    spent: float
    reserved: float
    most: float | None

    def error(self, run_id: str, phase: str) -> BudgetReached:
        """The refusal as the error that ends a phase."""
        kind, _, name = self.scope.partition("/")
        whose = {"run": "the run", "phase": phase, "day": f"the day {name}", "month": f"the month {name}"}[kind]
        how = {"run": f"{run_id} --usd", "phase": f"{run_id} --phase {phase} --usd", "day": "--day-usd"}
        if self.most is None:
            what = f"{whose} has a budget of {self.cap:.2f} USD, and the price of the model is unknown."
            fix = "Give its price in the settings (usd_per_million_input, usd_per_million_output) of a new run, or lift"
        else:
            what = (
                f"the budget of {whose}, {self.cap:.2f} USD, is reached: {self.spent:.4f} USD are spent"
                + (f", {self.reserved:.4f} USD are reserved" if self.reserved > _TOLERANCE else "")
                + f", and the next request can cost {self.most:.4f} USD."
            )
            fix = "Every answer so far is kept. Raise"
        raised = f"enrich budget {how.get(kind, '--month-usd')} AMOUNT"
        return BudgetReached(what, where=phase, fix=f"{fix} the budget: {raised}; then: enrich resume {run_id}")


@dataclass(eq=False, slots=True)
class Reservation:
    """One paid request that is about to leave. Its state belongs to the writer's thread."""

    sender: int
    number: int
    run_id: str
    phase: str
    row_id: str
    kind: str
    endpoint: str
    moment: datetime
    most: float | None
    caps: Caps
    refusal: Refusal | None = None
    state: Literal["new", "open", "closed"] = "new"
    scopes: tuple[str, ...] = ()
    """The totals that it counts in; the last two carry the caps of every day and month."""

    def __post_init__(self) -> None:
        self.scopes = _all_scopes(self.run_id, self.phase, self.moment.astimezone(UTC).date())

    def values(self) -> dict[str, Any]:
        """The reservation as a row of the table."""
        return {
            "sender": self.sender,
            "number": self.number,
            "run_id": self.run_id,
            "phase": self.phase,
            "row_id": storable(self.row_id)[:200],
            "kind": self.kind,
            "endpoint": storable(self.endpoint)[:200],
            "reserved_at": utc_text(self.moment),
            "reserved": self.most,
        }


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a reserved request ended. `is_known` False: it left, and nobody knows what became of it."""

    reservation: Reservation
    moment: datetime
    cost: float | None = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    error: str = ""
    is_known: bool = True

    def values(self) -> dict[str, Any]:
        """The settlement as changes to the reservation's row."""
        return {
            "its_sender": self.reservation.sender,
            "its_number": self.reservation.number,
            "settled_at": utc_text(self.moment) if self.is_known else None,
            "cost": self.cost if self.is_known else None,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "error": storable(self.error)[:300] or None,
        }


@dataclass(frozen=True)
class Spent:
    """USD settled and USD at the upper bounds of what is not, of one scope; `cap` as set by hand.

    `unsettled` requests make up `reserved`; the price of `unpriced` requests is unknown.
    """

    spent: float = 0.0
    reserved: float = 0.0
    unsettled: int = 0
    unpriced: int = 0
    cap: float | None = None

    @property
    def total(self) -> float | None:
        """What it has cost at most, USD; None where a price is unknown."""
        return None if self.unpriced else self.spent + self.reserved


@lru_cache(maxsize=64)
def _all_scopes(run_id: str, phase: str, day: date) -> tuple[str, ...]:
    return (*scopes_of(run_id, phase), f"day/{day:%Y-%m-%d}", f"month/{day:%Y-%m}", "day", "month")


def scopes_of(run_id: str, phase: str) -> tuple[str, str]:
    """The scopes of a run and of a phase of it."""
    return f"run/{run_id}", f"phase/{run_id}/{phase}"


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
    """Reservations and settlements of one transaction."""

    def __init__(self, reservations: Sequence[Reservation], settlements: Sequence[Settlement]) -> None:
        self._reservations = reservations
        self._settlements = settlements
        self._refused: dict[Reservation, Refusal] = {}

    def write(self, connection: sa.Connection) -> None:
        """Writes both, and decides which reservations stand."""
        if not (self._reservations or self._settlements):
            return
        for scopes, reservations in _grouped(self._reservations, self._settlements).items():
            new = {id(reservation) for reservation in reservations}
            before = [s for s in self._settlements if s.reservation.scopes == scopes and s.reservation.state == "open"]
            delta = _Delta()
            for settlement in before:
                delta.settle(settlement)
            for reservation in reservations:
                delta.reserve(reservation)
            self._refuse(reservations, _added(connection, scopes, delta), scopes)
            correction = _Delta()
            for refused in self._refused:
                if id(refused) in new:
                    correction.reserve(refused, -1)
            # Given up again before it was ever committed: reserved and settled in one transaction.
            at_once = [s for s in self._settlements if id(s.reservation) in new and s.reservation not in self._refused]
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

    def _refuse(self, reservations: Sequence[Reservation], now: Mapping[str, _Total], scopes: Sequence[str]) -> None:
        if not reservations:
            return
        caps = _caps(now, scopes, reservations[0].caps)
        if not caps:
            return
        room = {scope: now[scope].spent + now[scope].reserved for scope in caps}
        asked = sum(reservation.most or 0.0 for reservation in reservations)
        for reservation in reservations:
            most = reservation.most or 0.0
            full = [s for s, cap in caps.items() if room[s] - asked + most > cap + _TOLERANCE]
            if reservation.most is None or full:
                scope = full[0] if full else next(iter(caps))
                row = now[scope]
                self._refused[reservation] = Refusal(
                    scope, caps[scope], row.spent, max(0.0, room[scope] - asked - row.spent), reservation.most
                )
                room = {scope: amount - most for scope, amount in room.items()}
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
