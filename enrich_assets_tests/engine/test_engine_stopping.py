"""Stopping: heard in time, nothing committed lost, nothing asked twice, the former signal handlers back in place."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core.errors import Stopped
from enrich_assets.engine.clients import ModelReply
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.looping import run_to_end
from enrich_assets_tests.engine.small_graph import GRAPH, Verdict
from enrich_assets_tests.engine_kit import CountingModel, rows_table, run

ROWS = 400


class SlowModel(CountingModel):
    """Answers after a while; counts what was answered."""

    seconds = 0.2

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        reply = await super().complete(model, messages, schema)
        await asyncio.sleep(self.seconds)
        return reply


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def stopped(ledger: Ledger, model: CountingModel, **job: Any) -> float:
    """Runs until it is stopped; seconds from the wish to the end."""
    wished: list[float] = []

    def wish() -> str:
        if model.calls >= 40:
            wished.append(time.monotonic())
            return "a test said so"
        return ""

    with pytest.raises(Stopped, match=r"stopped after \d+ of 400 rows"):
        run(GRAPH, "judged", TABLE, ledger, model, settings={"concurrency": 16}, **{"should_stop": wish, **job})
    return time.monotonic() - wished[0] if wished else 0.0


TABLE = rows_table(*(f"points {i}" for i in range(ROWS)))


def test_what_is_on_the_wire_lands_and_is_not_asked_again(ledger: Ledger) -> None:
    first = SlowModel()
    assert stopped(ledger, first) < 3
    assert 40 <= first.calls < ROWS
    assert ledger.count_answers(kind="model") == first.calls

    second = CountingModel()
    result = run(GRAPH, "judged", TABLE, ledger, second, settings={"concurrency": 16})
    assert first.calls + second.calls == ROWS
    assert result.counts.kept == ROWS


def test_a_hanging_endpoint_does_not_hold_up_the_stop(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enrich_assets.engine.runner.GRACE_SECONDS", 0.5)
    model = SlowModel()

    async def hang(*_: Any) -> ModelReply:
        model.seen.append("hanging")
        await asyncio.sleep(3600)
        raise AssertionError

    model.complete = hang  # type: ignore[method-assign]
    began = time.monotonic()
    with pytest.raises(Stopped):
        run(GRAPH, "judged", TABLE, ledger, model, should_stop=lambda: "now")
    assert time.monotonic() - began < 60
    assert ledger.count_answers() == 0


def test_waits_between_attempts_end_at_once(ledger: Ledger) -> None:
    from enrich_assets.core.errors import TransientError

    busy = CountingModel(plan=lambda number, user: TransientError("busy", retry_after=60))
    began = time.monotonic()
    with pytest.raises(Stopped):
        run(GRAPH, "judged", TABLE, ledger, busy, should_stop=lambda: "now")
    assert time.monotonic() - began < 40, "it waited as long as the endpoint wished"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_phase_and_the_former_handler_is_back(ledger: Ledger, number: signal.Signals) -> None:
    former = signal.getsignal(number)
    model = SlowModel()

    def send() -> None:
        while model.calls < 40:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(Stopped, match=number.name):
        run(GRAPH, "judged", TABLE, ledger, model, settings={"concurrency": 16})
    thread.join()
    assert signal.getsignal(number) is former
    assert ledger.count_answers(kind="model") == model.calls < ROWS


def test_the_embedded_model_stops_too(ledger: Ledger) -> None:
    thought: list[int] = []
    rows = rows_table(*("a text" for _ in range(20_000)))
    phase = GRAPH.phase("judged")
    former = phase.without_model
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()

    def think(row: Any, settings: Any) -> Verdict:
        thought.append(1)
        time.sleep(0.001)
        return Verdict(points=1, why="slow")

    object.__setattr__(phase, "without_model", think)
    try:
        with pytest.raises(Stopped, match="SIGTERM"):
            run(GRAPH, "judged", rows, ledger, settings={"judged": {"model": "extractive"}})
    finally:
        object.__setattr__(phase, "without_model", former)
    assert 0 < len(thought) < 20_000


def test_a_phase_runs_where_a_loop_is_running_already(ledger: Ledger) -> None:
    model = CountingModel()

    async def cell() -> int:
        return run(GRAPH, "judged", TABLE, ledger, model, settings={"concurrency": 16}).counts.kept

    assert asyncio.run(cell()) == ROWS
    assert model.calls == ROWS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_where_a_loop_is_running_already(ledger: Ledger, number: signal.Signals) -> None:
    former = signal.getsignal(number)
    model = SlowModel()

    def send() -> None:
        while model.calls < 40:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    async def cell() -> None:
        thread = threading.Thread(target=send)
        thread.start()
        during = signal.getsignal(number)
        with pytest.raises(Stopped, match=number.name):
            run(GRAPH, "judged", TABLE, ledger, model, settings={"concurrency": 16})
        thread.join()
        assert signal.getsignal(number) is during

    asyncio.run(cell())
    assert signal.getsignal(number) is former
    assert ledger.count_answers(kind="model") == model.calls < ROWS


def test_a_signal_that_no_row_hears_reaches_the_former_handler() -> None:
    heard: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))

    async def deaf() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
        return "done"

    async def cell() -> str:
        return run_to_end(deaf)

    try:
        assert asyncio.run(cell()) == "done"
    finally:
        signal.signal(signal.SIGTERM, former)
    assert heard == [signal.SIGTERM]
