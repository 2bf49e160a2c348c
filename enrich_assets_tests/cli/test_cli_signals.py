"""Ctrl-C, SIGTERM and a cancel in Dagster while a command waits for a model: gone in time, CANCELED, resumable."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from enrich_assets.engine import tables
from enrich_assets.engine.ledger import Ledger
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.newsroom import newsroom_answer

GONE_SECONDS = 10.0
STOPPED = "tier2"
"""The first phase of the demo run that asks a model."""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(answers=newsroom_answer) as running:
        yield running


@contextmanager
def running(place: Any, server: ModelServer) -> Iterator[subprocess.Popen[str]]:
    """A demo run whose phases ask the server, as a process."""
    model = {"model": "openai/loopback", "base_url": server.base_url, "path": "direct"}
    words = [f"--set=models.own.{name}={value}" for name, value in model.items()]
    process = subprocess.Popen(
        place.command("run", "--preset", "demo", "--set=model=own", "--set=concurrency=64", *words),
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def wait_for(holds: Any, process: subprocess.Popen[str], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def busy(server: ModelServer, process: subprocess.Popen[str]) -> None:
    """Every request of the phase is on the wire, and no answer comes."""
    wait_for(lambda: server.in_flight >= 2, process)


def idle(server: ModelServer, process: subprocess.Popen[str]) -> None:
    """Every row waits a minute for its next attempt."""
    wait_for(lambda: server.calls >= 2 and server.in_flight == 0, process)
    time.sleep(0.3)


def gone(place: Any, process: subprocess.Popen[str], began: float) -> None:
    """Waits for the end, and checks how it ended: at the command line, in the ledger, in Dagster."""
    _, told = process.communicate(timeout=30)
    assert time.monotonic() - began < GONE_SECONDS
    assert process.returncode == 130, told
    run_id = place.run_ids()[0]
    assert f"Go on with: enrich resume {run_id}" in told
    assert "Traceback" not in told
    recorded = place.recorded(run_id)
    assert recorded[STOPPED]["status"] == "stopped"
    assert {name for name, row in recorded.items() if row["status"] == "complete"} == {
        "initialized", "scraped", "tier1",
    }  # fmt: skip
    assert set(recorded) == {"initialized", "scraped", "tier1", STOPPED}, "a later phase was begun"
    assert launch_statuses(place) == ["CANCELED"]


def launch_statuses(place: Any) -> list[str]:
    with opened_instance(place) as instance:
        return [str(launch.status.value) for launch in instance.get_runs()]


@contextmanager
def opened_instance(place: Any) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dagster as dg

        with dg.DagsterInstance.from_config(str(place.home)) as instance:
            yield instance


@pytest.mark.parametrize(
    ("number", "state"),
    [
        pytest.param(signal.SIGTERM, "busy", id="sigterm-busy"),
        pytest.param(signal.SIGINT, "idle", id="sigint-idle", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, "busy", id="sigint-busy", marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, "idle", id="sigterm-idle", marks=pytest.mark.long),
    ],
)
def test_a_signal_ends_a_command_in_time_and_dagster_says_canceled(
    empty_place: Any, server: ModelServer, number: signal.Signals, state: str
) -> None:
    server.plan("hang" if state == "busy" else "503", retry_after=60)
    with running(empty_place, server) as process:
        (busy if state == "busy" else idle)(server, process)
        began = time.monotonic()
        os.kill(process.pid, number)
        gone(empty_place, process, began)


@pytest.mark.long
def test_a_run_that_is_cancelled_in_dagster_ends_in_time_and_resumes_where_it_stood(
    empty_place: Any, server: ModelServer
) -> None:
    server.plan("503", retry_after=60)
    with running(empty_place, server) as process:
        idle(server, process)
        began = time.monotonic()
        with opened_instance(empty_place) as instance:
            # What the UI does to a launch that it cannot reach itself.
            instance.report_run_canceling(instance.get_runs(limit=1)[0])
        gone(empty_place, process, began)
    run_id = empty_place.run_ids()[0]
    server.heal()
    with Ledger.for_storage(str(empty_place.storage)) as ledger, ledger._writing() as connection:
        # The minute that the server asked for is kept by all processes; the test does not wait for it.
        connection.execute(sa.update(tables.limits).values(not_before=0.0))
    resumed = empty_place.enrich("resume", run_id)
    assert resumed.returncode == 0, resumed.stderr
    assert {row["status"] for row in empty_place.recorded(run_id).values()} == {"complete"}
    with Ledger.for_storage(str(empty_place.storage)) as ledger:
        assert ledger.count_answers(phase=STOPPED, kind="model") > 0
