"""Leases: one works, the second is told; who sleeps past its lease writes nothing."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.engine.database import open_database
from enrich_assets.engine.leases import LeaseLost, LeaseTaken, acquire
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Reply, Request, Stored


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def keep(ledger: Ledger, number: int) -> None:
    stored = Stored(Reply({"n": number}))
    asyncio.run(ledger.keep_answer(Request("model", {"n": number}), stored, run_id="r", phase="p", row_id="x"))


def test_the_second_is_told_who_works_there_and_may_begin_when_the_first_is_done(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as first, Ledger(url(tmp_path)) as second:
        lease = first.lease_phase("r", "tier2")
        with pytest.raises(LeaseTaken, match=rf"r/tier2 is being worked on by .*:{os.getpid()}"):
            second.lease_phase("r", "tier2")
        with pytest.raises(LeaseTaken):
            second.refuse_if_worked_on("r")
        second.refuse_if_worked_on("another-run")
        second.lease_phase("r", "tier3").release()
        lease.release()
        taken = second.lease_phase("r", "tier2")
        assert taken.token == lease.token + 1
        taken.release()


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import time
        from enrich_assets.engine.ledger import Ledger
        ledger = Ledger({url(tmp_path)!r})
        ledger.lease_phase("r", "tier2")
        print("held", flush=True)
        time.sleep(60)
        """
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    with Ledger(url(tmp_path)) as ledger:
        with pytest.raises(LeaseTaken):
            ledger.lease_phase("r", "tier2")
        child.send_signal(signal.SIGKILL)
        child.wait()
        ledger.lease_phase("r", "tier2").release()
    child.stdout.close()


def test_a_sleeper_past_its_lease_writes_nothing(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as sleeper, Ledger(url(tmp_path)) as other:
        lost = sleeper.lease_phase("r", "p", seconds=30)
        keep(sleeper, 1)
        # What the database sees of a process that was asleep: its time ran out, and another one took over.
        lost._seconds = -60
        lost.check()
        taken = acquire(other._engine, "r/p", holder="elsewhere:1:1")
        with pytest.raises(LeaseLost, match="took over"):
            keep(sleeper, 2)
        assert lost.is_lost
        with pytest.raises(LeaseLost):
            lost.check()
        keep(other, 3)
        assert other.count_answers() == 2
        lost.release()
        taken.check()  # the sleeper gave nothing back that was not its own
        taken.release()


def test_a_lease_lives_as_long_as_its_process_renews_it(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as first, Ledger(url(tmp_path)) as second:
        lease = first.lease_phase("r", "p", seconds=0.6)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            with pytest.raises(LeaseTaken):
                second.lease_phase("r", "p")
            time.sleep(0.1)
        assert not lease.is_lost
        lease.release()


def _take(where: str, barrier: Any, results: Any) -> None:
    engine = open_database(where)
    barrier.wait()
    try:
        lease = acquire(engine, "r/p")
    except LeaseTaken:
        results.put("taken")
        return
    time.sleep(0.5)
    lease.release()
    results.put("worked")


def test_of_several_at_once_exactly_one_works(tmp_path: Path) -> None:
    open_database(url(tmp_path)).dispose()
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_take, args=(url(tmp_path), barrier, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert sorted(results.get(timeout=60) for _ in workers) == ["taken", "taken", "taken", "worked"]
    for worker in workers:
        worker.join()
