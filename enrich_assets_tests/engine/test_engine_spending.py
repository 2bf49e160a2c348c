"""Spending: reserved before it leaves, settled with its answer, never above a cap, unknown where it is unknown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core.errors import BudgetReached, FinalError, StorageError, TransientError
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Reply, Request, Stored
from enrich_assets.engine.spending import Caps, Reservation
from enrich_assets_tests.engine.small_graph import GRAPH
from enrich_assets_tests.engine_kit import CountingModel, rows_table, run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", now=lambda: NOON) as opened:
        yield opened


def reserve(ledger: Ledger, most: float | None, caps: Caps = Caps()) -> Reservation:
    return ledger.reservation(run_id="r", phase="p", row_id="x", kind="model", endpoint="m", most=most, caps=caps)


def test_reserved_money_counts_until_it_is_settled(ledger: Ledger) -> None:
    async def go() -> None:
        first, second = reserve(ledger, 0.5), reserve(ledger, 0.25)
        assert await asyncio.gather(ledger.reserve(first), ledger.reserve(second)) == [None, None]
        assert (ledger.spent("r").spent, ledger.spent("r").reserved, ledger.spent("r").unsettled) == (0, 0.75, 2)
        reply = Stored(Reply({"text": "yes"}, tokens_in=7, tokens_out=3, cost=0.1))
        await ledger.keep_answer(
            Request("model", {"n": 1}), reply, run_id="r", phase="p", row_id="x", reservation=first
        )
        assert [ledger.spent("r", phase).total for phase in (None, "p")] == [0.1 + 0.25] * 2
        ledger.settle(second, cost=0.0, error="rate limit: slow down")
        await ledger.written()
        assert (ledger.spent("r").total, ledger.spent("r").unsettled) == (0.1, 0)
        day, month = ledger.spent_today()
        assert (day.total, month.total) == (0.1, 0.1)

    asyncio.run(go())


def test_what_nobody_saw_end_stays_at_its_upper_bound_and_is_listed(ledger: Ledger) -> None:
    async def go() -> None:
        lost = reserve(ledger, 0.5)
        await ledger.reserve(lost)
        ledger.settle(lost, error="timeout: no answer", is_known=False)
        await ledger.written()

    asyncio.run(go())
    assert (ledger.spent("r").total, ledger.spent("r").unsettled) == (0.5, 1)
    (listed,) = ledger.open_requests("r", "p")
    assert (listed["row_id"], listed["reserved"], listed["error"]) == ("x", 0.5, "timeout: no answer")


@pytest.mark.parametrize("scope", ["run", "phase", "day", "month"])
def test_no_cap_is_passed_by_what_comes_at_once(ledger: Ledger, scope: str) -> None:
    caps = Caps(run=1.0) if scope == "run" else Caps(phase=1.0) if scope == "phase" else Caps()
    if scope in ("day", "month"):
        ledger.set_cap(scope, 1.0)

    async def go() -> list[Any]:
        return await asyncio.gather(*(ledger.reserve(reserve(ledger, 0.3, caps)) for _ in range(10)))

    refusals = asyncio.run(go())
    assert [refusal is None for refusal in refusals] == [True] * 3 + [False] * 7
    assert refusals[-1].scope.partition("/")[0] == scope and refusals[-1].cap == 1.0
    assert ledger.spent("r").reserved == pytest.approx(0.9) and ledger.spent("r").unsettled == 3
    error = refusals[-1].error("r", "p")
    assert "0.9000 USD are reserved" in str(error) and "enrich budget" in str(error)


def test_a_cap_set_by_hand_stands_over_the_settings(ledger: Ledger) -> None:
    ledger.set_cap("run/r", 5.0)

    async def go(most: float) -> Any:
        return await ledger.reserve(reserve(ledger, most, Caps(run=1.0)))

    assert asyncio.run(go(4.0)) is None
    assert asyncio.run(go(2.0)).cap == 5.0
    ledger.set_cap("run/r", None)
    assert asyncio.run(go(0.1)).cap == 1.0


def test_an_unknown_price_is_unknown_everywhere_and_refused_under_a_cap(ledger: Ledger) -> None:
    async def go(caps: Caps) -> Any:
        reservation = reserve(ledger, None, caps)
        refusal = await ledger.reserve(reservation)
        if refusal is None:
            stored = Stored(Reply({}, cost=None))
            await ledger.keep_answer(
                Request("model", {}), stored, run_id="r", phase="p", row_id="x", reservation=reservation
            )
        return refusal

    assert asyncio.run(go(Caps())) is None
    assert ledger.spent("r").total is None and ledger.spent("r").unpriced == 1
    refusal = asyncio.run(go(Caps(run=9.0)))
    assert "price of the model is unknown" in str(refusal.error("r", "p"))


def test_one_that_is_given_up_before_it_was_committed_counts_nowhere(ledger: Ledger) -> None:
    async def go() -> None:
        reservation = reserve(ledger, 0.5)
        waiting = ledger.reserve(reservation)
        ledger.settle(reservation, error="not sent")
        await waiting
        await ledger.written()

    asyncio.run(go())
    assert (ledger.spent("r").total, ledger.spent("r").unsettled) == (0.0, 0)


# In a phase

TABLE = rows_table(*(f"text {n}, points {n % 10}" for n in range(40)))


def test_what_a_phase_shows_is_what_the_model_took(ledger: Ledger) -> None:
    model = CountingModel(cost=0.01, most=0.02)
    result = run(GRAPH, "judged", TABLE, ledger, model, settings={"concurrency": 8})
    assert (result.usage.model_calls, result.usage.unsettled) == (40, 0)
    assert result.usage.spent == pytest.approx(0.4) == result.usage.cost
    again = run(GRAPH, "judged", TABLE, ledger, model, settings={"concurrency": 8})
    assert (again.usage.cost, again.usage.spent) == (0.0, pytest.approx(0.4))


def test_an_answer_that_does_not_tell_its_cost_counts_at_its_upper_bound(ledger: Ledger) -> None:
    model = CountingModel(cost=None, most=0.02)
    result = run(GRAPH, "judged", TABLE, ledger, model, settings={"concurrency": 8})
    assert (result.usage.unsettled, result.usage.spent) == (40, pytest.approx(0.8)), "said as an upper bound"
    with pytest.raises(BudgetReached):
        other = rows_table(*(f"other {n}, points 1" for n in range(40)))
        run(GRAPH, "judged", other, ledger, model, settings={"concurrency": 8, "budget": {"run_usd": 1.0}})
    assert model.calls == 50 and ledger.spent("r").total == pytest.approx(1.0)


def test_a_budget_ends_a_phase_and_a_larger_one_continues_it(ledger: Ledger) -> None:
    peaks: list[float] = []

    class Watched(CountingModel):
        async def complete(self, *given: Any) -> Any:
            peaks.append(ledger.spent("r").spent + ledger.spent("r").reserved)
            await asyncio.sleep(0.002)
            return await super().complete(*given)

    model = Watched(cost=0.01, most=0.05)
    with pytest.raises(BudgetReached, match=r"of 40 rows: the budget of the run, 0\.25 USD, is reached") as caught:
        run(GRAPH, "judged", TABLE, ledger, model, settings={"concurrency": 16, "budget": {"run_usd": 0.25}})
    assert max(peaks) <= 0.25 + 1e-9
    # What was in flight settled at a fifth of its upper bound, and the room was used.
    assert model.calls == 21 and ledger.spent("r").total == pytest.approx(0.21)
    assert "enrich budget r --usd AMOUNT" in caught.value.fix and "enrich resume r" in caught.value.fix
    ledger.set_cap("run/r", 1.0)
    result = run(GRAPH, "judged", TABLE, ledger, model, settings={"concurrency": 16, "budget": {"run_usd": 0.25}})
    assert (result.counts.failed, model.calls, result.usage.spent) == (0, 40, pytest.approx(0.4))


def test_a_request_that_no_budget_allows_is_not_sent(ledger: Ledger) -> None:
    model = CountingModel(most=0.5)
    with pytest.raises(BudgetReached, match=r"the budget of judged, 0\.10 USD"):
        run(GRAPH, "judged", TABLE, ledger, model, settings={"budget": {"phase_usd": 0.1}})
    assert model.calls == 0 and ledger.spent("r").total == 0


def test_errors_settle_at_what_they_cost_and_lost_connections_do_not_settle(ledger: Ledger) -> None:
    refused = FinalError("no")
    refused.cost = 0.003
    lost = TransientError("gone", kind="connection")
    lost.outcome_unknown = True
    plans = {"0": refused, "1": lost, "2": TransientError("busy", kind="server error")}

    def plan(number: int, user: str) -> BaseException | None:
        return next((error for name, error in plans.items() if f"text {name}," in user), None)

    model = CountingModel(plan=plan, cost=0.01, most=0.02)
    table = rows_table("text 0, points 1", "text 1, points 1", "text 2, points 1", "text 3, points 1")
    result = run(GRAPH, "judged", table, ledger, model, settings={"attempts": 2, "max_failed_fraction": 1})
    assert (result.counts.failed, result.counts.waiting, result.usage.unsettled) == (3, 2, 2)
    assert result.usage.cost == pytest.approx(0.013)
    assert result.usage.spent == pytest.approx(0.013 + 2 * 0.02)


def test_nothing_is_sent_whose_reservation_cannot_be_committed(ledger: Ledger, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(ledger._writer, "post", full)
    model = CountingModel()
    with pytest.raises(StorageError):
        run(GRAPH, "judged", TABLE, ledger, model)
    assert model.calls == 0


def test_a_sample_asks_for_the_first_rows_and_the_full_run_pays_the_rest_only(ledger: Ledger) -> None:
    model = CountingModel()
    sample = run(GRAPH, "judged", TABLE, ledger, model, settings={"sample": 10})
    assert (sample.counts.rows_in, sample.counts.dropped_by_reason["beyond_sample"], model.calls) == (40, 30, 10)
    full = run(GRAPH, "judged", TABLE, ledger, model, run_id="full")
    assert (full.counts.dropped_by_reason.get("beyond_sample"), model.calls) == (None, 40)
    assert full.usage.spent == pytest.approx(0.3)


def test_a_row_that_takes_too_long_waits_for_the_next_resume(ledger: Ledger) -> None:
    class Slow(CountingModel):
        async def complete(self, model: str, messages: Any, schema: Any) -> Any:
            if "text 7," in messages[-1]["content"]:
                await asyncio.sleep(600)
            return await super().complete(model, messages, schema)

    began = time.monotonic()
    result = run(GRAPH, "judged", TABLE, ledger, Slow(), settings={"row_seconds": 0.3})
    assert time.monotonic() - began < 60
    assert (result.counts.waiting, result.counts.failed_by_kind) == (1, {"deadline": 1})
    assert result.usage.unsettled == 1


def test_what_failed_is_asked_again_when_wanted_and_the_new_answer_counts_from_then_on(ledger: Ledger) -> None:
    bad = {"is_bad": True}

    def plan(number: int, user: str) -> str | BaseException | None:
        if not bad["is_bad"]:
            return None
        return FinalError("refused") if "text 3," in user else "no JSON" if "text 4," in user else None

    model = CountingModel(plan=plan)
    clock = [NOON]
    ledger._now = lambda: clock[0]
    first = run(GRAPH, "judged", TABLE, ledger, model, settings={"attempts": 2})
    assert first.counts.failed == 2
    calls = model.calls
    assert run(GRAPH, "judged", TABLE, ledger, model, settings={"attempts": 2}).counts.failed == 2
    assert model.calls == calls
    bad["is_bad"] = False
    clock[0] = NOON.replace(hour=13)
    ledger.renew("r", "judged", only_failed=True)
    clock[0] = NOON.replace(hour=14)
    assert run(GRAPH, "judged", TABLE, ledger, model, settings={"attempts": 2}).counts.failed == 0
    assert model.calls == calls + 2
    other = run(GRAPH, "judged", TABLE, ledger, model, settings={"attempts": 2}, run_id="other")
    assert (other.counts.failed, model.calls) == (0, calls + 2)


def test_a_phase_that_is_asked_again_pays_once_and_a_resume_of_that_pays_the_rest(ledger: Ledger) -> None:
    clock = [NOON]
    ledger._now = lambda: clock[0]
    model = CountingModel()
    run(GRAPH, "judged", TABLE, ledger, model)
    clock[0] = NOON.replace(hour=13)
    ledger.renew("r", "judged", only_failed=False)
    # The clock was set back meanwhile: what is answered now counts all the same.
    clock[0] = NOON.replace(hour=11)
    run(GRAPH, "judged", TABLE, ledger, model)
    assert model.calls == 80
    run(GRAPH, "judged", TABLE, ledger, model)
    assert model.calls == 80


def test_what_a_row_waits_for_its_turn_does_not_count_against_its_time(ledger: Ledger) -> None:
    class Slow(CountingModel):
        async def complete(self, model: str, messages: Any, schema: Any) -> Any:
            await asyncio.sleep(0.6)
            return await super().complete(model, messages, schema)

    # One at a time on the wire: the last of eight rows waits for three times its own time.
    model = Slow()
    table = rows_table(*(f"text {n}, points 1" for n in range(8)))
    result = run(GRAPH, "judged", table, ledger, model, settings={"concurrency": 1, "row_seconds": 1.5})
    assert (result.counts.failed, model.calls) == (0, 8)
