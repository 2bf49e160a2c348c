"""SIGINT and SIGTERM, with every slot busy and with every row waiting: gone in ten seconds, nothing committed lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enrich_assets.engine.stopping import GRACE_SECONDS
from enrich_assets_tests.engine.kill_kit import (
    Case,
    Drivers,
    costs_agree,
    fresh_server,
    resumed_as_if_nothing_had_happened,
    wait_until,
)
from enrich_assets_tests.model_server import ModelServer

GONE_SECONDS = 30.0
"""What a quiet machine does within 10 s: the grace of 7 s, and what follows it."""
BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def whole(drivers: Drivers, tmp_path: Path) -> Iterator[str]:
    """The data hash of an undisturbed run."""
    with fresh_server() as server:
        yield str(Case(drivers, server, tmp_path / "whole", work={"rows": 160}).run().outcome["data_sha256"])


def test_a_signal_while_sixty_four_requests_are_on_the_wire_ends_it_when_the_grace_is_over(
    drivers: Drivers, tmp_path: Path, whole: str
) -> None:
    # Both at once, because each takes its seven seconds of grace.
    with fresh_server() as interrupted, fresh_server() as terminated:
        cases = [
            Case(drivers, server, tmp_path / number.name, work={"rows": 160, "concurrency": 64})
            for number, server in zip(BOTH, (interrupted, terminated), strict=True)
        ]
        for case in cases:
            case.server.plan("hang", share=0.6)
        processes = [case.start() for case in cases]
        for case in cases:
            wait_until(lambda at=case.server: at.in_flight == 64)  # type: ignore[misc]
        began = time.monotonic()
        for process, number in zip(processes, BOTH, strict=True):
            os.kill(process, number)
        ended = [drivers.wait(process, GONE_SECONDS) for process in processes]
        assert time.monotonic() - began < GONE_SECONDS
        for case, end, number in zip(cases, ended, BOTH, strict=True):
            assert (end.ended, end.code) == ("Stopped", 2), end
            assert number.name in end.message and "enrich resume" in end.message
            assert case.recorded()["status"] == "stopped"
            assert len(case.answered()) == case.server.answered > 0
            case.server.heal()
            resumed_as_if_nothing_had_happened(case, whole, most_extra=64)
            costs_agree(case, exactly=False)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_while_the_answers_take_less_than_the_grace_loses_none_of_them(
    drivers: Drivers, tmp_path: Path, whole: str, number: signal.Signals
) -> None:
    with fresh_server(latency=0.5) as server:
        case = Case(drivers, server, tmp_path, work={"rows": 160, "concurrency": 64})
        process = case.start()
        wait_until(lambda: server.in_flight == 64)
        began = time.monotonic()
        os.kill(process, number)
        ended = drivers.wait(process, GONE_SECONDS)
        assert time.monotonic() - began < GRACE_SECONDS, "it waited for the whole grace"
        assert ended.ended == "Stopped"
        assert len(case.answered()) == server.calls == server.answered
        costs_agree(case, exactly=True)
        server.latency = 0.0
        resumed_as_if_nothing_had_happened(case, whole, most_extra=0)
        costs_agree(case, exactly=True)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_while_every_row_waits_for_its_next_attempt_ends_it_at_once(
    drivers: Drivers, tmp_path: Path, whole: str, number: signal.Signals
) -> None:
    with fresh_server() as server:
        case = Case(drivers, server, tmp_path, work={"rows": 160, "concurrency": 64})
        server.plan("503", share=0.8, retry_after=60)
        process = case.start()
        wait_until(lambda: _is_idle(server))
        began = time.monotonic()
        os.kill(process, number)
        ended = drivers.wait(process, GONE_SECONDS)
        assert time.monotonic() - began < GRACE_SECONDS, "it waited for the whole grace"
        assert (ended.ended, ended.code) == ("Stopped", 2), ended
        assert len(case.answered()) == server.answered
        costs_agree(case, exactly=True)
        refused = server.calls - server.answered
        server.heal()
        case.forget_waits()
        resumed_as_if_nothing_had_happened(case, whole, most_extra=refused)
        costs_agree(case, exactly=True)


def test_a_second_signal_changes_nothing_of_the_first(drivers: Drivers, tmp_path: Path, whole: str) -> None:
    with fresh_server(latency=0.6) as server:
        case = Case(drivers, server, tmp_path, work={"rows": 160, "concurrency": 64})
        process = case.start()
        wait_until(lambda: server.in_flight == 64)
        os.kill(process, signal.SIGINT)
        time.sleep(0.2)
        os.kill(process, signal.SIGTERM)
        ended = drivers.wait(process, GONE_SECONDS)
        assert ended.ended == "Stopped" and "SIGINT" in ended.message
        assert len(case.answered()) == server.calls


def _is_idle(server: ModelServer) -> bool:
    """Whether it was asked, and has been asked nothing for most of a second."""
    calls = server.calls
    time.sleep(0.7 if calls else 0)
    return calls > 0 and (server.calls, server.in_flight) == (calls, 0)
