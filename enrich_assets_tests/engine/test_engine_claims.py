"""Of all who want the same answer at once one asks and pays; the others wait, and go on when that one cannot."""

from __future__ import annotations

import asyncio
import platform
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import judged
from enrich_assets.core.errors import Stopped
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.asking import Asker
from enrich_assets.engine.claims import NO_ANSWER, Claim, Elsewhere
from enrich_assets.engine.leases import acquire
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.prompts import load_prompt
from enrich_assets.engine.requests import Reply, Request, Stored
from enrich_assets.engine.runner import run_phase
from enrich_assets.engine.spending import Caps, Refusal
from enrich_assets.engine.stopping import PAUSED
from enrich_assets.engine.tables import claims
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets_tests.engine.kill_kit import asked_of, fresh_server, server_cost_of, wait_until
from enrich_assets_tests.engine.test_engine_runner import BATCHED
from enrich_assets_tests.engine_kit import MemoryAnswers, calls_over, rows_table, run
from enrich_assets_tests.model_server import ModelServer

ROWS = 24
ENDPOINT = ModelEndpoint(
    model="openai/loopback", base_url="http://127.0.0.1:1", path="direct", max_output_tokens=200,
    usd_per_million_input=2.0, usd_per_million_output=8.0,
)  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_url"))


def models(server: ModelServer) -> Models:
    return Models({judged.MODEL: ENDPOINT.model_copy(update={"base_url": server.base_url})})


def one_run(url: str, server: ModelServer, run_id: str, *, rows: int = ROWS, **job: Any) -> PhaseResult:
    """The phase in a run of its own, under its lease."""
    with Ledger(url) as ledger:
        lease = ledger.lease_phase(run_id, "judged")
        try:
            settings = job.pop("settings", {})
            given = judged.job(rows, 8, ledger, models(server), **settings)
            return run_phase(replace(given, run=replace(given.run, run_id=run_id), **job))
        finally:
            lease.release()


def both(url: str, work: Callable[[str], PhaseResult]) -> list[PhaseResult]:
    """What two runs that begin at once come to."""
    Ledger(url).close()
    with ThreadPoolExecutor(2) as pool:
        return [future.result(60) for future in [pool.submit(work, run_id) for run_id in ("one", "two")]]


def hash_of_row(number: int) -> str:
    """The request of a row of the benchmark's phase."""
    row = {name: values[0] for name, values in judged.rows(number + 1).slice(number).to_pydict().items()}
    prompt = load_prompt(judged.PROMPT).render(row=row, settings=judged.JudgedSettings())
    asker = Asker(calls_over(MemoryAnswers()), Models({judged.MODEL: ENDPOINT}), attempts=1)
    return asker.request(prompt, judged.Verdict, model=judged.MODEL).hash


def left_claims(url: str) -> int:
    with Ledger(url) as ledger:
        return len(ledger._read(claims.select()))


@contextmanager
def claimed_by_somebody(url: str, *hashes: str, holder: str = "elsewhere:1:1") -> Iterator[Any]:
    """Another holder asks for the requests until the block ends, or its lease is released."""
    with Ledger(url) as ledger:
        lease = acquire(ledger._engine, "elsewhere/judged", holder=holder, seconds=3600)
        rows = [{"request_hash": name, "lease": lease.name, "token": lease.token} for name in hashes]
        with ledger._engine.begin() as connection:
            connection.execute(claims.insert(), rows)
        yield lease
        lease.release()


def test_two_equal_runs_at_once_ask_each_request_once(url: str) -> None:
    with fresh_server(latency=0.05) as server:
        ended = both(url, lambda run_id: one_run(url, server, run_id))
        assert [result.counts.kept for result in ended] == [ROWS, ROWS]
        assert (server.calls, set(asked_of(server).values())) == (ROWS, {1})
        assert sum(result.usage.model_calls for result in ended) == ROWS
        assert sum(result.usage.answers_reused for result in ended) == ROWS
        with Ledger(url) as ledger:
            assert ledger.count_answers() == ROWS
            spent = [ledger.spent(run_id, "judged") for run_id in ("one", "two")]
        assert [one.unsettled for one in spent] == [0, 0]
        assert sum(one.spent for one in spent) == pytest.approx(server_cost_of(server))
        assert [result.usage.cost for result in ended] == pytest.approx([one.spent for one in spent])
    assert left_claims(url) == 0


def test_two_equal_runs_that_ask_several_rows_at_once_ask_each_row_once(url: str) -> None:
    texts = [f"The report of shelf {number:03d} has points {number}." for number in range(30)]

    def work(run_id: str) -> PhaseResult:
        with Ledger(url) as ledger:
            lease = ledger.lease_phase(run_id, "batched")
            settings = {"model": judged.MODEL, "concurrency": 4}
            try:
                given: Any = models(server)
                return run(BATCHED, "batched", rows_table(*texts), ledger, given, settings=settings, run_id=run_id)
            finally:
                lease.release()

    with fresh_server(latency=0.05) as server:
        ended = both(url, work)
        assert [result.counts.kept + result.counts.dropped for result in ended] == [30, 30]
        said = " ".join(str(seen.body["messages"][-1]["content"]) for seen in server.requests)
        assert Counter(re.findall(r"shelf (\d+)", said)) == {f"{number:03d}": 1 for number in range(30)}
        assert sum(result.usage.model_calls for result in ended) == server.calls < 30
        with Ledger(url) as ledger:
            paid = sum(ledger.spent(run_id, "batched").spent for run_id in ("one", "two"))
        assert paid == pytest.approx(server_cost_of(server))
    assert left_claims(url) == 0


def test_who_waits_asks_itself_when_the_other_got_no_answer(url: str) -> None:
    with fresh_server(latency=0.02) as server:
        server.plan("500", times=12)
        ended = both(url, lambda run_id: one_run(url, server, run_id, settings={"attempts": 8}))
        assert [result.counts.kept for result in ended] == [ROWS, ROWS]
        assert (server.answered, server.calls) == (ROWS, ROWS + 12)
    assert left_claims(url) == 0


def test_who_waits_asks_itself_when_the_other_gives_its_phase_back(url: str) -> None:
    with fresh_server() as server:
        with claimed_by_somebody(url, hash_of_row(0)) as lease, ThreadPoolExecutor(1) as pool:
            running = pool.submit(one_run, url, server, "one", rows=3)
            wait_until(lambda: server.answered == 2)
            time.sleep(0.3)
            assert (server.calls, running.done()) == (2, False)
            lease.release()
            assert running.result(30).counts.kept == 3
        assert set(asked_of(server).values()) == {1}
    assert left_claims(url) == 0


def test_having_waited_for_the_other_gives_no_further_attempt(url: str) -> None:
    with fresh_server() as server:
        server.plan("500", times=9)
        with claimed_by_somebody(url, hash_of_row(0)) as lease, ThreadPoolExecutor(1) as pool:
            running = pool.submit(one_run, url, server, "one", rows=1, settings={"attempts": 2})
            time.sleep(0.3)
            assert server.calls == 0
            lease.release()
            running.exception(30)
        assert server.calls == 2


def test_who_waits_asks_itself_at_once_when_the_other_died_on_this_machine(url: str) -> None:
    with fresh_server() as server:
        gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
        holder = f"{platform.node()}:{int(gone.stdout)}:1"
        with claimed_by_somebody(url, hash_of_row(0), holder=holder):
            assert one_run(url, server, "one", rows=3).counts.kept == 3
        assert server.calls == 3


def test_who_waits_keeps_no_place_at_the_endpoint_and_none_of_the_budget(url: str) -> None:
    with fresh_server(latency=0.01) as server, claimed_by_somebody(url, *map(hash_of_row, range(8))) as lease:
        with ThreadPoolExecutor(1) as pool:
            # Eight rows at a time may be on the wire; the first eight wait for somebody else.
            running = pool.submit(one_run, url, server, "one", rows=16)
            wait_until(lambda: server.answered == 8)
            with Ledger(url) as ledger:
                wait_until(lambda: ledger.spent("one", "judged").unsettled == 0)
                assert ledger.spent("one", "judged").reserved == pytest.approx(0.0)
            assert not running.done()
            lease.release()
            assert running.result(30).counts.kept == 16
        assert set(asked_of(server).values()) == {1}


def test_who_waits_stops_at_once(url: str) -> None:
    with fresh_server() as server, claimed_by_somebody(url, *map(hash_of_row, range(3))):
        with ThreadPoolExecutor(1) as pool:
            asked = threading.Event()
            running = pool.submit(
                one_run, url, server, "one", rows=3, should_stop=lambda: PAUSED if asked.is_set() else ""
            )
            time.sleep(0.5)
            asked.set()
            with pytest.raises(Stopped, match="paused"):
                running.result(5)
        assert server.calls == 0
        with Ledger(url) as ledger:
            assert ledger.spent("one", "judged").total == 0


def test_a_request_that_is_answered_between_the_look_and_the_reservation_is_not_sent(url: str) -> None:
    request = Request("model", {"n": 1})

    async def reserved(ledger: Ledger, counts_from: str) -> Any:
        claim = Claim((request.hash,), counts_from, lambda: False)
        reservation = ledger.reservation(
            run_id="one", phase="judged", row_id="a", kind="model", endpoint="m", most=1.0, caps=Caps(), claim=claim
        )
        return await ledger.reserve(reservation)

    with Ledger(url) as other:
        asyncio.run(other.keep_answer(request, Stored(Reply({})), run_id="two", phase="judged", row_id="a"))
    with Ledger(url) as ledger:
        lease = ledger.lease_phase("one", "judged")
        assert asyncio.run(reserved(ledger, "")) == Elsewhere(frozenset())
        assert ledger.spent("one", "judged").total == 0
        assert asyncio.run(reserved(ledger, NO_ANSWER)) is None
        assert ledger.spent("one", "judged").total == 1.0
        lease.release()


def test_of_requests_that_travel_in_one_all_are_claimed_or_none(url: str) -> None:
    with claimed_by_somebody(url, "b" * 64), Ledger(url) as ledger:
        lease = ledger.lease_phase("one", "judged")

        async def reserved(*names: str) -> Any:
            claim = Claim(tuple(name * 64 for name in names), "", lambda: False)
            return await ledger.reserve(
                ledger.reservation(
                    run_id="one", phase="p", row_id="", kind="model", endpoint="m", most=1.0, caps=Caps(), claim=claim
                )
            )

        assert asyncio.run(reserved("a", "b", "c")) == Elsewhere(frozenset({"b" * 64}))
        assert left_claims(url) == 1
        assert asyncio.run(reserved("a", "c")) is None
        assert left_claims(url) == 3
        lease.release()


def test_a_reservation_that_the_budget_refuses_claims_nothing(url: str) -> None:
    async def reserved(ledger: Ledger) -> Any:
        claim = Claim(("a" * 64,), "", lambda: False)
        return await ledger.reserve(
            ledger.reservation(
                run_id="one", phase="judged", row_id="", kind="model", endpoint="m", most=2.0,
                caps=Caps(run=1.0), claim=claim,
            )
        )  # fmt: skip

    with Ledger(url) as ledger:
        lease = ledger.lease_phase("one", "judged")
        assert isinstance(asyncio.run(reserved(ledger)), Refusal)
        assert left_claims(url) == 0
        lease.release()
