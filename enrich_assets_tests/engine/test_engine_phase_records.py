"""The view of a phase: written under its lease, so that who lost it changes nothing; what is paid is what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core.envelope import Usage
from enrich_assets.engine.leases import Lease, LeaseLost, acquire
from enrich_assets.engine.ledger import Ledger, phase_view
from enrich_assets_tests.engine_kit import envelope


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Ledger, Ledger]]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger(url) as sleeper, Ledger(url) as other:
        yield sleeper, other


def overslept(sleeper: Ledger, other: Ledger) -> tuple[Lease, Lease]:
    """The lost lease of one that slept past it, and that of the other which took over."""
    lost = sleeper.lease_phase("r", "p")
    sleeper.phase_started("r", "p", 1, None)
    lost._seconds = -60  # as the database sees one that was asleep: its time ran out
    lost.check()
    return lost, acquire(other._engine, "r/p", holder="elsewhere:1:1")


WRITES: dict[str, Callable[[Ledger], Any]] = {
    "started": lambda ledger: ledger.phase_started("r", "p", 1, None),
    "progress": lambda ledger: ledger.phase_progress("r", "p", rows_done=1),
    "ended": lambda ledger: ledger.phase_ended("r", "p", "failed", message="asleep"),
    "replaced": lambda ledger: ledger.replace_phase("r", "p", number=1, status="stopped"),
}


@pytest.mark.parametrize("write", WRITES)
def test_who_lost_its_lease_does_not_touch_the_view(two: tuple[Ledger, Ledger], write: str) -> None:
    sleeper, other = two
    lost, taken = overslept(sleeper, other)
    other.phase_ended("r", "p", "complete", rows_done=9, lease=taken)
    before = other.phases("r")
    with pytest.raises(LeaseLost, match="took over"):
        WRITES[write](sleeper)
    assert other.phases("r") == before
    assert before[0]["status"] == "complete"
    WRITES["progress"](other)  # who reads and marks without a lease of its own is not hindered
    for lease in (lost, taken):
        lease.release()


def test_the_lease_that_another_ledger_took_counts_where_it_is_handed_over(two: tuple[Ledger, Ledger]) -> None:
    sleeper, other = two
    lost, taken = overslept(sleeper, other)
    with pytest.raises(LeaseLost):
        other.phase_ended("r", "p", "complete", lease=lost)
    assert other.phases("r")[0]["status"] == "running"
    for lease in (lost, taken):
        lease.release()


def test_the_lease_of_one_phase_says_nothing_of_another(two: tuple[Ledger, Ledger]) -> None:
    sleeper, other = two
    lost, taken = overslept(sleeper, other)
    sleeper.phase_started("r", "q", 2, None)
    assert [row["phase"] for row in other.phases("r")] == ["p", "q"]
    for lease in (lost, taken):
        lease.release()


@pytest.mark.parametrize(
    ("usage", "paid"),
    [
        (Usage(cost=0.2, spent=0.5), 0.5),
        (Usage(cost=0.2), 0.2),
        (Usage(cost=None), None),
        (Usage(cost=0.2, spent=None), None),
        (Usage(), 0.0),
    ],
    ids=["all attempts", "an older envelope", "an older unknown price", "an unknown price", "nothing"],
)
def test_shown_is_what_all_attempts_cost(usage: Usage, paid: float | None) -> None:
    assert usage.paid == paid
    assert phase_view(envelope(usage=usage))["cost"] == paid
