"""What Dagster and the ledger are told while a phase works: seldom enough, live, and with a pause heeded."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable, Iterable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from enrich_assets.core.errors import BudgetReached
from enrich_assets.core.result import PhaseResult
from enrich_assets.defs import observing
from enrich_assets.defs.metadata import materialization_metadata
from enrich_assets.defs.observing import OBSERVATIONS, Observer, Schedule
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.leases import acquire
from enrich_assets.engine.ledger import Ledger, utc_now
from enrich_assets.engine.meter import Meter
from enrich_assets.engine.progress import RowsSoFar
from enrich_assets.engine.spending import Caps
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room

HOUR = 3600


def told(seconds: int) -> tuple[list[float], list[float]]:
    """When lines and observations fall due in a phase of so many seconds that asks about once a second."""
    schedule, lines, observations = Schedule(), [], []
    moment = 0.0
    while moment < seconds:
        moment += 1.03
        lines += [moment] if schedule.line_is_due(moment) else []
        observations += [moment] if schedule.observation_is_due(moment) else []
    return lines, observations


@pytest.mark.parametrize("seconds", [60, 299, HOUR, 24 * HOUR])
def test_lines_and_observations_stay_few_however_long_a_phase_takes(seconds: int) -> None:
    lines, observations = told(seconds)
    assert len(lines) <= 60 + max(0, seconds - 300) // 60
    assert len(observations) <= OBSERVATIONS
    assert all(after - before >= 10 for before, after in itertools.pairwise(observations))


def test_an_hour_has_lines_every_five_seconds_and_then_every_minute() -> None:
    lines, observations = told(HOUR)
    assert len([moment for moment in lines if moment < 301]) == 60
    assert 110 <= len(lines) <= 5 * 12 + 55
    assert 15 <= len(observations) <= 30
    assert observations[-1] > HOUR / 2  # it is observed to the end


def test_a_phase_under_ten_seconds_has_no_observation() -> None:
    assert told(8)[1] == []
    assert len(told(8)[0]) == 1


def slow(original: Callable[..., Any], seconds: float, meanwhile: Callable[[], None] = lambda: None) -> Any:
    async def scraped(source: Any, clients: Any, settings: Any) -> Any:
        meanwhile()
        await asyncio.sleep(seconds)
        return await original(source, clients, settings)

    return scraped


def observations_of(room: Room, phase: str) -> list[dg.AssetObservation]:
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey([phase]), asset_partitions=[room.run_id])
    found = room.instance.fetch_observations(wanted, limit=100).records
    return [record.asset_observation for record in found if record.asset_observation is not None]


def lines_of(room: Room, launch_id: str) -> list[str]:
    return [entry.user_message for entry in room.instance.all_logs(launch_id) if " rows" in entry.user_message]


def test_a_phase_that_takes_its_time_is_observed_and_logged(
    demo_copy: Room, changed: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "LINE_SECONDS", 1.0)
    monkeypatch.setattr(observing, "OBSERVATION_SECONDS", 2.0)
    graph = changed(scraped=slow(INTELLIGENCE.phase("scraped").function, 3.2))
    launched = demo_copy.execute(demo_copy.run_id, ["scraped"], graph)
    assert launched.succeeded, launched.failure
    found = observations_of(demo_copy, "scraped")
    assert len(found) == 1
    assert found[0].metadata["rows_in"].value == 9
    assert found[0].metadata["cost"].value == 0.0
    assert {"rows_done", "failed", "rate"} <= set(found[0].metadata)
    lines = lines_of(demo_copy, launched.launch_id)
    assert len(lines) >= 2
    assert lines[0].startswith("scraped: 0 of 9 rows")


def test_a_pause_ends_the_phase_and_the_launch_and_is_not_heeded_by_the_next(
    demo_copy: Room, changed: Callable[..., Graph]
) -> None:
    asked = []

    def ask() -> None:
        if not asked:
            asked.append(True)
            with demo_copy.ledger() as ledger:
                ledger.ask_pause(demo_copy.run_id)

    graph = changed(scraped=slow(INTELLIGENCE.phase("scraped").function, 2.5, ask))
    before = demo_copy.files_of("tier1")
    with pytest.raises(KeyboardInterrupt):
        demo_copy.execute(demo_copy.run_id, ["scraped", "tier1"], graph)
    with demo_copy.ledger() as ledger:
        view = {row["phase"]: row for row in ledger.phases(demo_copy.run_id)}
    assert view["scraped"]["status"] == "paused"
    assert "paused after " in view["scraped"]["message"]
    assert f"enrich resume {demo_copy.run_id}" in view["scraped"]["message"]
    assert view["tier1"]["status"] == "complete"
    assert demo_copy.files_of("tier1") == before
    launch = demo_copy.instance.get_runs(limit=1)[0]
    assert launch.status is dg.DagsterRunStatus.CANCELED
    again = demo_copy.execute(demo_copy.run_id, ["tier1"])
    assert again.succeeded, again.failure


def test_the_next_phase_does_not_begin_in_a_launch_that_was_asked_to_pause(
    demo_copy: Room, changed: Callable[..., Graph]
) -> None:
    original = INTELLIGENCE.phase("tier1").function

    @functools.wraps(original)
    def tier1(*given: Any, **named: Any) -> Any:
        with demo_copy.ledger() as ledger:
            ledger.ask_pause(demo_copy.run_id)
        return original(*given, **named)

    with pytest.raises(KeyboardInterrupt):
        demo_copy.execute(demo_copy.run_id, ["tier1", "tier2"], changed(tier1=tier1))
    with demo_copy.ledger() as ledger:
        view = {row["phase"]: row for row in ledger.phases(demo_copy.run_id)}
    assert (view["tier1"]["status"], view["tier2"]["status"]) == ("complete", "paused")
    assert "paused before it began" in view["tier2"]["message"]


def a_context(launched_at: float | None = None, log: Any = None) -> Any:
    """As much of Dagster's context as an observer looks at."""
    instance = SimpleNamespace(
        get_run_record_by_id=lambda run_id: SimpleNamespace(start_time=launched_at), get_run_by_id=lambda run_id: None
    )
    return SimpleNamespace(instance=instance, run=SimpleNamespace(run_id="launch"), log=log)


def test_a_pause_counts_only_from_the_start_of_the_launch_on(room: Room) -> None:
    with room.ledger() as ledger:
        run_id = ledger.claim_run("g", {})
        early = Observer(a_context((utc_now() - timedelta(seconds=5)).timestamp()), ledger, run_id, "p")
        unknown = Observer(a_context(), ledger, run_id, "p")
        assert early.wish_to_stop() == ""
        ledger.ask_pause(run_id)
        late = Observer(a_context(), ledger, run_id, "p")
        assert [observer.wish_to_stop() for observer in (early, unknown, late)] == ["paused", "paused", ""]


def test_who_slept_past_its_lease_does_not_mark_as_failed_what_another_completed(room: Room) -> None:
    with room.ledger() as sleeper, room.ledger() as other:
        lost = sleeper.lease_phase("r", "p")
        sleeper.phase_started("r", "p", 1, None)
        observer = Observer(a_context(), sleeper, "r", "p")
        lost._seconds = -60
        lost.check()
        taken = acquire(other._engine, "r/p", holder="elsewhere:1:1")
        other.phase_ended("r", "p", "complete", lease=taken)
        observer.ended(RuntimeError("woke up"))
        assert other.phases("r")[0]["status"] == "complete"
        lost.release()
        taken.release()


def spend(ledger: Ledger, costs: Iterable[float | None]) -> None:
    """One request a cost, at 0.10 USD at most; None for one whose outcome nobody knows."""

    async def work() -> None:
        for cost in costs:
            reservation = ledger.reservation(
                run_id="r", phase="p", row_id="x", kind="model", endpoint="e", most=0.1, caps=Caps()
            )
            assert await ledger.reserve(reservation) is None
            if cost is not None:
                ledger.settle(reservation, cost=cost)
        await ledger.written()

    asyncio.run(work())


def test_a_failure_says_how_far_it_came_what_it_cost_and_how_to_go_on(room: Room) -> None:
    with room.ledger() as ledger:
        ledger.phase_started("r", "p", 1, None)
        spend(ledger, [0.02, None, None])
        observer = Observer(a_context(), ledger, "r", "p")
        observer.report(Meter(model_calls=3), RowsSoFar(1200, 340, 4, 3))
        row = ledger.phases("r")[0]
        assert [row[name] for name in ("rows_in", "rows_done", "dropped", "failed", "calls")] == [1200, 340, 4, 3, 3]
        assert row["cost"] == pytest.approx(0.22)
        failure = observer.failure(BudgetReached("the budget is reached", where="p", fix="Raise it."))
    assert failure.description == (
        "p: the budget is reached. 340 of 1,200 rows were done. p has cost $0.2200 so far (at most: 2 requests "
        "of unknown outcome or usage are counted at the upper bound). Raise it."
    )
    assert failure.metadata["rows_done"].value == 340
    assert failure.metadata["cost_usd"].value == pytest.approx(0.22)
    assert failure.metadata["next"].value == "enrich resume r"
    assert failure.allow_retries is False


def test_a_full_log_of_dagster_ends_no_phase(room: Room) -> None:
    def full(message: str) -> None:
        raise OSError("No space left on device")

    with room.ledger() as ledger:
        ledger.phase_started("r", "p", 1, None)
        clock = iter([0.0, 6.0])
        observer = Observer(a_context(log=SimpleNamespace(info=full)), ledger, "r", "p", clock=lambda: next(clock))
        observer.report(Meter(), RowsSoFar(9, 2))
        assert ledger.phases("r")[0]["rows_done"] == 2


def test_a_defect_of_a_phase_is_told_like_any_failure(demo_copy: Room, changed: Callable[..., Graph]) -> None:
    def ranked(articles: Any, settings: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    launched = demo_copy.execute(demo_copy.run_id, ["ranked"], changed(ranked=ranked))
    assert launched.failed_phase == "ranked"
    assert launched.failure.startswith("ranked: ZeroDivisionError: division by zero.")
    assert f"enrich resume {demo_copy.run_id}" in launched.failure


def test_the_materialization_shows_what_all_attempts_cost(demo: Room) -> None:
    def shown(**usage: Any) -> dict[str, Any]:
        envelope = demo.envelope("tier2")
        loaded = demo.store.load(INTELLIGENCE.name, demo.run_id, "tier2")
        result = PhaseResult(
            graph=envelope.graph, run_id=envelope.run_id, phase="tier2", number=4, started_at=envelope.started_at,
            duration_seconds=1.0, counts=envelope.counts, usage=envelope.usage.model_copy(update=usage),
            settings_fingerprint="s", code_fingerprint="c", dropped=loaded.table, failed=loaded.table,
            table=loaded.table,
        )  # fmt: skip
        return materialization_metadata(result, path="p", folder="f")

    assert shown(cost=0.1, spent=0.3)["cost_usd"] == 0.3
    assert "unsettled" not in shown(cost=0.1, spent=0.3)
    assert shown(cost=0.1, spent=0.3, unsettled=2)["unsettled"] == 2
    assert shown(cost=0.1, spent=None)["cost_usd"] == "unknown"
