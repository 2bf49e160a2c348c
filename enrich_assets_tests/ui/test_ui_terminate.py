"""Launched work that is ended from outside: terminated in the UI, or killed with and without its code server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from enrich_assets.defs.processes import PROCESS_TAG
from enrich_assets.engine import tables
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.ui.dagster_kit import Dagster, is_gone, running_dagster, wait_until
from enrich_assets_tests.ui.news_wire import NewsWire, endpoint

ARTICLES = 140
GONE_SECONDS = 10.0
FAILED_SECONDS = 60.0
ASKING = "tier3"
"""The only phase that asks the model."""


@pytest.fixture(scope="module")
def wire() -> Iterator[NewsWire]:
    with NewsWire(ARTICLES) as running:
        yield running


def launched(dagster: Dagster, wire: NewsWire, server: ModelServer, title: str, **further: Any) -> tuple[str, str]:
    """A run whose phase asks the server with 64 rows in flight, launched through the webserver: run and launch ID."""
    asking = {"concurrency": 64, ASKING: {"model": "own", "threshold": 0, "keep": ARTICLES}, **further}
    # The name is in the prompt, so that no run has another one's answers.
    settings = wire.settings(title, **endpoint(server.base_url), **asking, company={"name": title})
    run_id = dagster.prepare(settings)
    return run_id, dagster.launch(run_id, INTELLIGENCE.names)


def worker_of(dagster: Dagster, run_id: str) -> int:
    """The process that executes the newest launch of a run, by its tag; it is one that the code server started."""
    launch = dagster.launches(run_id)[0]
    assert not [name for name in launch["tags"] if "process" in name], "people are shown it"
    with dagster.instance() as instance:
        machine, number, *_ = instance.get_run_by_id(launch["runId"]).tags[PROCESS_TAG].split(":")
    assert machine and int(number) in dagster.workers()
    return int(number)


def committed(dagster: Dagster, run_id: str) -> int:
    """Answers of the phase that are in the ledger."""
    with dagster.ledger() as ledger:
        return ledger.count_answers(run_id=run_id, phase=ASKING, kind="model")


def statuses(dagster: Dagster, run_id: str) -> dict[str, str]:
    """How the ledger says that each phase which began stands."""
    return {name: str(row["status"]) for name, row in dagster.recorded(run_id).items()}


def forget_waits(dagster: Dagster) -> None:
    """The minute that a server asked for is kept by all processes; the test does not wait for it."""
    with dagster.ledger() as ledger, ledger._writing() as connection:
        connection.execute(sa.update(tables.limits).values(not_before=0.0))


def rows_of(dagster: Dagster, run_id: str, phase: str) -> list[str]:
    table = dagster.store().load(INTELLIGENCE.name, run_id, phase).table
    return [] if table is None else sorted(table.column("row_id").to_pylist())


def to_ask(dagster: Dagster, run_id: str) -> int:
    """Rows that the phase has a question for."""
    return len(rows_of(dagster, run_id, "tier2"))


def is_complete(dagster: Dagster, run_id: str) -> bool:
    """Whether every phase is, with every row that went in in the table once."""
    found = statuses(dagster, run_id)
    is_whole = rows_of(dagster, run_id, ASKING) == rows_of(dagster, run_id, "tier2")
    return is_whole and found == dict.fromkeys(INTELLIGENCE.names, "complete")


def test_a_launch_that_is_terminated_in_the_ui_is_gone_in_time_and_continues_where_it_stood(
    dagster: Dagster, wire: NewsWire
) -> None:
    with ModelServer(latency=5.0) as busy, ModelServer() as idle:
        # Half of the rows have their answer, the others wait a minute for their next attempt.
        idle.plan("503", share=0.5, retry_after=60)
        cases = {"idle": (idle, *launched(dagster, wire, idle, "idle"))}
        wait_until(lambda: idle.answered >= 30 and idle.in_flight == 0, 90, "rows that wait for their next attempt")
        cases["busy"] = (busy, *launched(dagster, wire, busy, "busy"))
        wait_until(lambda: busy.in_flight == 64, 90, "64 requests in flight")
        workers = [worker_of(dagster, run_id) for _, run_id, _ in cases.values()]
        assert len(set(workers)) == 2
        began = time.monotonic()
        for _, _, launch_id in cases.values():
            dagster.terminate(launch_id)
        wait_until(lambda: all(map(is_gone, workers)), GONE_SECONDS, "the workers to be gone")
        print(f"\nworkers gone {time.monotonic() - began:.1f} s after they were terminated")
        kept = {}
        for title, (server, run_id, launch_id) in cases.items():
            assert dagster.wait_until_ended(launch_id, 10) == "CANCELED"
            found = statuses(dagster, run_id)
            assert found.pop(ASKING) == "stopped"
            assert found == dict.fromkeys(["initialized", "scraped", "tier1", "tier2"], "complete"), "a later one began"
            kept[title] = committed(dagster, run_id)
            assert kept[title] == server.answered
        assert 64 <= kept["busy"] < to_ask(dagster, cases["busy"][1])  # what was on the wire came within the grace
        assert 30 <= kept["idle"] < to_ask(dagster, cases["idle"][1])
        idle.heal()
        busy.latency = 0.0
        forget_waits(dagster)
        before = {title: server.calls for title, (server, _, _) in cases.items()}
        with ThreadPoolExecutor() as pool:
            resumed = pool.map(lambda case: dagster.enrich("resume", case[1]), cases.values())
            assert [done.returncode for done in resumed] == [0, 0]
        for title, (server, run_id, _) in cases.items():
            assert is_complete(dagster, run_id)
            assert server.calls - before[title] == to_ask(dagster, run_id) - kept[title], (
                "a committed answer was asked again"
            )


@pytest.mark.long
def test_a_launch_whose_worker_is_killed_fails_and_is_retried_once_without_a_committed_call_asked_again(
    dagster: Dagster, wire: NewsWire
) -> None:
    with ModelServer() as server:
        run_id, launch_id, kept = killed_half_way(dagster, wire, server, "killed alone", also=())
        began = time.monotonic()
        assert dagster.wait_until_ended(launch_id, FAILED_SECONDS) == "FAILURE"
        print(f"\nfailed {time.monotonic() - began:.1f} s after its worker was killed")
        wait_until(lambda: len(dagster.launches(run_id)) == 2, 60, "Dagster to retry it")
        retry = dagster.launches(run_id)[0]
        assert (retry["parentRunId"], retry["tags"]["dagster/retry_number"]) == (launch_id, "1")
        assert dagster.wait_until_ended(retry["runId"]) == "SUCCESS"
        assert is_complete(dagster, run_id)
        assert server.answered == to_ask(dagster, run_id), "a committed answer was asked again"
        assert 30 <= kept < to_ask(dagster, run_id)


@pytest.mark.long
def test_a_launch_whose_worker_and_code_server_are_killed_is_closed_and_continued_by_resume(
    tmp_path: Path, wire: NewsWire
) -> None:
    with running_dagster(tmp_path) as dagster, ModelServer() as server:
        run_id, launch_id, _ = killed_half_way(dagster, wire, server, "killed together", also=dagster.code_servers())
        began = time.monotonic()
        resumed = dagster.enrich("resume", run_id)
        assert resumed.returncode == 0, resumed.stderr
        with dagster.instance() as instance:
            found = {launch.run_id: launch for launch in instance.get_runs()}
            ended = instance.get_run_record_by_id(launch_id).end_time - (time.time() - (time.monotonic() - began))
        assert found[launch_id].status.value == "FAILURE"
        assert 0 <= ended < FAILED_SECONDS
        print(f"\nclosed {ended:.1f} s after worker and code server were killed")
        assert is_complete(dagster, run_id)
        assert server.answered == to_ask(dagster, run_id), "a committed answer was asked again"
        # Nor does the daemon retry what a person goes on with.
        time.sleep(12)
        with dagster.instance() as instance:
            assert {launch.run_id for launch in instance.get_runs()} == set(found)


def killed_half_way(
    dagster: Dagster, wire: NewsWire, server: ModelServer, title: str, also: Sequence[int]
) -> tuple[str, str, int]:
    """A launch killed at once with other processes, while half of its rows are committed and the others hang.

    Gives run, launch, and the answers that were committed. The server answers everything from then on.
    """
    server.plan("hang", share=0.5)
    run_id, launch_id = launched(dagster, wire, server, title)
    wait_until(lambda: 30 <= server.answered == committed(dagster, run_id), 90, "committed answers")
    worker = worker_of(dagster, run_id)
    for number in (worker, *also):
        os.kill(number, signal.SIGKILL)
    wait_until(lambda: is_gone(worker), 5, "the worker to be gone")
    server.heal()
    assert statuses(dagster, run_id)[ASKING] == "running"  # nobody could say otherwise
    return run_id, launch_id, committed(dagster, run_id)
