"""An endpoint that fails in every way there is: no row is lost, each waits or says why, and resume does the rest."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from enrich_assets.core.errors import PhaseFailed
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.ledger import Ledger
from enrich_assets_tests import model_server
from enrich_assets_tests.engine.kill_driver import PHASE, RUN
from enrich_assets_tests.engine.kill_kit import asked_of, fresh_server, run_here, server_cost_of
from enrich_assets_tests.model_server import Fault, ModelServer

TEN: tuple[Fault, ...] = (
    "429", "500", "503", "reset", "hang", "half_json", "wrong_schema", "empty", "refusal", "huge",
)  # fmt: skip
WAITING = {"rate limit", "server error", "connection", "timeout", "deadline"}
FOR_GOOD = {"refusal", "malformed", "empty answer", "oversized answer"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with fresh_server() as running:
        yield running


def accounted_for(result: PhaseResult, rows: int) -> dict[str, str]:
    """Checks that every row is in the table or among the failed, once; gives the failed rows with their kinds."""
    assert result.table is not None
    kept = result.table.column("row_id").to_pylist()
    failed = {row["row_id"]: row for row in result.failed.to_pylist()}
    assert sorted([*kept, *failed]) == [f"{number:08d}" for number in range(rows)]
    counts = result.counts
    assert (counts.kept, counts.failed, counts.rows_in) == (len(kept), len(failed), rows)
    assert sum(counts.failed_by_kind.values()) == counts.failed
    assert all(row["failure_message"] for row in failed.values())
    kinds = {row_id: str(row["failure_kind"]) for row_id, row in failed.items()}
    assert counts.waiting == sum(kind in WAITING for kind in kinds.values())
    return kinds


def test_of_ten_faults_in_thirty_per_cent_of_a_thousand_rows_none_is_lost(
    ledger: Ledger, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(TEN) < set(get_args(Fault))
    monkeypatch.setattr(model_server, "HUGE_CHARACTERS", 10_500_000)
    monkeypatch.setattr(model_server, "_completion", _billed_up_to_max_tokens)
    for fault in TEN:
        server.plan(fault, share=0.03, retry_after=0.02)
    settings: dict[str, Any] = {"endpoint": {"timeout_seconds": 0.4}, "attempts": 2, "first_delay_seconds": 0.02}
    rows = 1000
    found = run_here(ledger, server, rows, 64, **settings)

    kinds = accounted_for(found, rows)
    assert {plan.fault for plan in server.plans if plan.seen} == set(TEN)
    faulty = {row_id for row_id, times in asked_of(server).items() if times > 1} | set(kinds)
    assert 0.2 < len(faulty) / rows < 0.35
    assert set(Counter(kinds.values())) <= WAITING | FOR_GOOD
    assert set(kinds.values()) >= WAITING - {"deadline"} and "refusal" in kinds.values()

    server.heal()
    server.requests.clear()
    resumed = run_here(ledger, server, rows, 64, **settings)
    left = accounted_for(resumed, rows)
    waited = {row_id for row_id, kind in kinds.items() if kind in WAITING}
    assert set(asked_of(server)) == waited, "what had an answer was asked again"
    assert left == {row_id: kind for row_id, kind in kinds.items() if row_id not in waited}
    assert resumed.counts.waiting == 0
    spent = ledger.spent(RUN, PHASE).total
    assert spent is not None and spent >= server_cost_of(server) - 1e-9


_completion = model_server._completion


def _billed_up_to_max_tokens(body: Any, *words: Any) -> dict[str, Any]:
    completion = _completion(body, *words)
    usage = completion["usage"]
    usage["completion_tokens"] = min(usage["completion_tokens"], body["max_tokens"])
    return completion


def timed(ledger: Ledger, server: ModelServer, rows: int, concurrency: int, **settings: Any) -> tuple[float, int]:
    """Seconds that the phase takes, and the rows that it kept."""
    began = time.monotonic()
    result = run_here(ledger, server, rows, concurrency, **settings)
    accounted_for(result, rows)
    return time.monotonic() - began, result.counts.kept


@pytest.mark.parametrize(
    ("rows", "latency", "concurrency", "first_delay"),
    [
        pytest.param(200, 0.02, 4, 0.05, id="short"),
        pytest.param(1000, 0.05, 16, 0.5, id="long", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("fault", ["500", "half_json"])
def test_a_fault_in_ten_per_cent_costs_at_most_twice_the_time(
    tmp_path: Path, server: ModelServer, fault: Fault, rows: int, latency: float, concurrency: int, first_delay: float
) -> None:
    server.latency = latency
    # So many attempts that no row meets a fault in all of them.
    settings = {"attempts": 8, "first_delay_seconds": first_delay}
    with Ledger(f"sqlite:///{tmp_path / 'clean.db'}") as ledger:
        clean, _ = timed(ledger, server, rows, concurrency, **settings)
    server.plan(fault, every=10)
    calls = server.calls
    with Ledger(f"sqlite:///{tmp_path / 'faulty.db'}") as ledger:
        faulty, kept = timed(ledger, server, rows, concurrency, **settings)
    assert kept == rows
    assert server.calls - calls >= rows * 1.1
    print(f"{fault}: {clean:.2f} s clean, {faulty:.2f} s with faults")
    assert faulty <= 2 * clean, f"{faulty:.2f} s, without faults {clean:.2f} s"


@pytest.mark.parametrize(
    ("rows", "deadline"),
    [pytest.param(200, 2.0, id="short"), pytest.param(1000, 10.0, id="long", marks=pytest.mark.long)],
)
def test_rows_that_hang_wait_for_the_next_resume_when_their_deadline_is_over(
    ledger: Ledger, server: ModelServer, rows: int, deadline: float
) -> None:
    server.latency = 0.02
    server.plan("hang", share=0.02)
    settings = {"endpoint": {"timeout_seconds": deadline / 3}, "attempts": 20, "first_delay_seconds": 0.05}
    began = time.monotonic()
    result = run_here(ledger, server, rows, 32, row_seconds=deadline, **settings)
    seconds = time.monotonic() - began

    hanging = accounted_for(result, rows)
    assert 0 < len(hanging) == result.counts.waiting < 0.05 * rows
    assert deadline <= seconds <= deadline + 20
    server.heal()
    again = run_here(ledger, server, rows, 32, row_seconds=deadline, **settings)
    assert again.counts.kept == rows


def test_an_endpoint_that_is_down_longer_than_all_retries_and_comes_back_loses_no_row(
    ledger: Ledger, server: ModelServer
) -> None:
    rows, settings = 200, {"attempts": 2, "first_delay_seconds": 0.01}
    server.answers = lambda body: server.plan("500") and answered(body) if server.answered >= 50 else answered(body)
    with pytest.raises(PhaseFailed, match=f"in a row got no answer.*enrich resume {RUN}"):
        run_here(ledger, server, rows, 8, **settings)
    kept = ledger.count_answers(phase=PHASE)
    assert 50 <= kept < 60
    # Still down: the second attempt ends as soon as the first did, and changes nothing.
    calls = server.calls
    with pytest.raises(PhaseFailed):
        run_here(ledger, server, rows, 8, **settings)
    assert server.calls - calls <= 40
    assert ledger.count_answers(phase=PHASE) == kept

    server.answers = None
    server.heal()
    server.requests.clear()
    result = run_here(ledger, server, rows, 8, **settings)
    assert (result.counts.kept, result.counts.failed, len(server.requests)) == (rows, 0, rows - kept)


def answered(body: Any) -> str:
    return model_server.answer_text(body)


def test_few_rows_of_an_endpoint_that_is_down_wait_too(ledger: Ledger, server: ModelServer) -> None:
    server.plan("503", retry_after=0.01)
    with pytest.raises(PhaseFailed, match="5 of 5 rows failed"):
        run_here(ledger, server, 5, 8, attempts=2, first_delay_seconds=0.01)
    allowed = run_here(ledger, server, 5, 8, attempts=2, first_delay_seconds=0.01, max_failed_fraction=1.0)
    assert (allowed.counts.failed, allowed.counts.waiting) == (5, 5)
    server.heal()
    assert run_here(ledger, server, 5, 8).counts.kept == 5


def test_an_endpoint_that_nobody_listens_at_loses_no_row(ledger: Ledger) -> None:
    with fresh_server() as server:
        settings = {"attempts": 2, "first_delay_seconds": 0.01}
        nobody = {"base_url": "http://127.0.0.1:9/v1"}
        with pytest.raises(PhaseFailed, match="in a row got no answer; the last: The connection failed"):
            run_here(ledger, server, 100, 8, endpoint=nobody, **settings)
        assert run_here(ledger, server, 100, 8, **settings).counts.kept == server.calls == 100


def test_a_wrong_key_stops_five_thousand_rows_after_a_handful_of_calls(ledger: Ledger, server: ModelServer) -> None:
    server.plan("invalid_key")
    began = time.process_time()
    with pytest.raises(PhaseFailed) as caught:
        run_here(ledger, server, 5000, 256)
    assert server.calls <= 10
    assert time.process_time() - began < 5
    told = str(caught.value)
    assert told.count("refuses the key") == 1 and "Check the environment variable" in told
    assert f"enrich resume {RUN}" in told
    asyncio.run(ledger.written())
    spent = ledger.spent(RUN, PHASE)
    assert (spent.total, spent.unsettled, ledger.count_answers()) == (0.0, 0, 0)
    server.heal()
    assert run_here(ledger, server, 50, 8).counts.kept == 50
