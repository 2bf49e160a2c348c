"""One process works on a phase at a time: the second is told, and one that slept past its lease writes nothing more."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from enrich_assets_tests.engine.kill_kit import Case, Drivers, Ended, costs_agree, fresh_server, wait_until

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
ROWS = 48
ASLEEP: dict[str, Any] = {"die": ("answer committed", 4), "signal": int(signal.SIGSTOP)}


@pytest.fixture(params=["sqlite", "postgres"])
def case(request: pytest.FixtureRequest, drivers: Drivers, tmp_path: Path) -> Iterator[Case]:
    url = "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    with fresh_server(latency=0.06) as server:
        yield Case(drivers, server, tmp_path, url, {"rows": ROWS})


def whole_once(case: Case) -> None:
    rows = [f"{number:08d}" for number in range(ROWS)]
    assert sorted(case.published_rows()) == rows
    assert sorted(case.answered()) == rows


@pytest.mark.parametrize(
    "times", [pytest.param(5, id="five-times"), pytest.param(20, id="twenty-times", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("case", ["sqlite"], indirect=True)
def test_of_two_that_begin_at_once_one_works_and_the_other_is_told(case: Case, times: int) -> None:
    at_first, folder = case.folder, case.folder
    for number in range(times):
        case.folder = folder = at_first / str(number)
        calls = case.server.calls
        processes = [case.start(), case.start()]
        ended = [case.drivers.wait(process) for process in processes]
        assert sorted(one.ended for one in ended) == ["LeaseTaken", "published"], ended
        told = next(one for one in ended if one.ended == "LeaseTaken")
        assert told.code == 2 and "is being worked on by" in told.message
        assert case.server.calls - calls == ROWS
        whole_once(case)
    assert folder == at_first / str(times - 1)


def asleep_past_its_lease(case: Case, process: int) -> Ended:
    """Lets another process take over from one that is stopped; gives how that ended."""
    wait_until(lambda: _is_stopped(process))
    while _holds_the_lock_of(case):
        # Another thread of it was in a transaction: SQLite then lets nobody write, whoever holds which lease.
        os.kill(process, signal.SIGCONT)
        time.sleep(0.01)
        os.kill(process, signal.SIGSTOP)
        wait_until(lambda: _is_stopped(process))
    refused = case.run(lease_seconds=1.0)
    assert refused.ended == "LeaseTaken"  # it is alive, and its time is not over
    time.sleep(1.2)
    return case.run(lease_seconds=1.0)


def test_who_wakes_up_past_its_lease_in_the_middle_of_its_rows_sends_and_writes_nothing_more(case: Case) -> None:
    sleeper = case.start(lease_seconds=1.0, **ASLEEP)
    try:
        other = asleep_past_its_lease(case, sleeper)
        assert other.ended == "published"
        calls, artifact, spent = case.server.calls, case.artifact_id(), case.spent()
        whole_once(case)
    finally:
        os.kill(sleeper, signal.SIGCONT)
    woken = case.drivers.wait(sleeper)
    assert woken.ended in ("LeaseLost", "Stopped"), woken
    assert (case.artifact_id(), case.spent()) == (artifact, spent)
    whole_once(case)
    assert case.recorded()["status"] == "complete"
    # Also what had its reservation before it slept stays here.
    assert case.server.calls == calls
    costs_agree(case, exactly=False)


def test_who_wakes_up_past_its_lease_when_all_is_answered_publishes_nothing(case: Case) -> None:
    sleeper = case.start(lease_seconds=1.0, die=("publish", 1), signal=int(signal.SIGSTOP))
    try:
        other = asleep_past_its_lease(case, sleeper)
        assert (other.ended, case.server.calls) == ("published", ROWS)
        artifact = case.artifact_id()
    finally:
        os.kill(sleeper, signal.SIGCONT)
    woken = case.drivers.wait(sleeper)
    assert woken.ended == "LeaseLost" and "took over" in woken.message
    assert case.artifact_id() == artifact
    whole_once(case)


def test_a_process_that_is_asleep_for_less_than_its_lease_goes_on(case: Case) -> None:
    process = case.start(lease_seconds=30.0, **ASLEEP)
    wait_until(lambda: _is_stopped(process))
    try:
        assert case.run().ended == "LeaseTaken"
    finally:
        os.kill(process, signal.SIGCONT)
    assert case.drivers.wait(process).ended == "published"
    assert case.server.calls == ROWS
    whole_once(case)


def _holds_the_lock_of(case: Case) -> bool:
    if case.ledger:
        return False  # a database server locks rows, not itself
    with closing(sqlite3.connect(case.folder / "ledger.db", timeout=0.3, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
    return False


def _is_stopped(process: int) -> bool:
    text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    return text.rpartition(")")[2].split()[0] == "T"
