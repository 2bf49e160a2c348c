"""Spending: what each paid request can cost at most, before it leaves; what it did cost; and what may be spent.

Reserve, then settle: a reservation is committed before its request leaves, and refused when spent and reserved money
together would pass a cap. A reservation that is never settled (the process died, the connection was lost) counts as
an outcome that nobody knows, at its upper bound. A price that is unknown is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Literal

from enrich_assets.core.errors import BudgetReached
from enrich_assets.engine.claims import Claim, Elsewhere
from enrich_assets.engine.texts import storable, utc_text

TOLERANCE = 1e-9
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
        own = {"run": f"{run_id} --usd", "phase": f"{run_id} --phase {phase} --usd"}
        option = own.get(kind, f"--{kind}-usd")
        if self.most is None:
            what = f"{whose} has a budget of {self.cap:.2f} USD, and the price of the model is unknown."
            fix = "Give its price in the settings (usd_per_million_input, usd_per_million_output) of a new run, or lift"
        else:
            what = (
                f"the budget of {whose}, {self.cap:.2f} USD, is reached: {self.spent:.4f} USD are spent"
                + (f", {self.reserved:.4f} USD are reserved" if self.reserved > TOLERANCE else "")
                + f", and the next request can cost {self.most:.4f} USD."
            )
            fix = "Every answer so far is kept. Raise"
        raised = f"enrich budget {option} AMOUNT"
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
    claim: Claim | None = None
    refusal: Refusal | Elsewhere | None = None
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
    """How a reserved request ended. `is_known` False: it left, and nobody knows what became of it, or what it took."""

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
