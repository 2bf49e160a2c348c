"""The ledger: unique run IDs, answers that survive everything, and files of others left as they are."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core.errors import RunIdError, StorageError, TransientError, UnknownRun
from enrich_assets.engine.backoff import Backoff
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.ledger import Ledger, ledger_url
from enrich_assets.engine.requests import Reply, Request, Stored
from enrich_assets_tests.engine_kit import MOMENT, calls_over


def request(number: int = 0) -> Request:
    return Request("model", {"number": number})


def keep(ledger: Ledger, number: int = 0, **stored: Any) -> None:
    asyncio.run(_keep(ledger, number, **stored))


async def _keep(ledger: Ledger, number: int, made_at: Any = None, row_id: str = "r0", **stored: Any) -> None:
    reply = Reply({"text": f"answer {number}"}, tokens_in=3, cost=None, made_at=made_at)
    await ledger.keep_answer(request(number), Stored(reply, **stored), run_id="r", phase="p", row_id=row_id)


def claim_one(storage: str) -> str:
    with Ledger.for_storage(storage, now=lambda: MOMENT) as ledger:
        return ledger.claim_run("g", {"title": "t"})


def test_a_run_id_is_claimed_once_over_threads(tmp_path: Path) -> None:
    with Ledger.for_storage(str(tmp_path), now=lambda: MOMENT) as ledger, ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: ledger.claim_run("g", {}), range(24)))
        assert sorted(claimed, key=lambda i: (len(i), i)) == [
            "20260301_120000", *(f"20260301_120000-{n}" for n in range(2, 25))
        ]  # fmt: skip
        assert ledger.find_run("latest") == "20260301_120000-24"


def test_a_run_id_is_claimed_once_over_processes_that_make_the_ledger_together(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        claimed = pool.map(claim_one, [str(tmp_path)] * 8)
    assert len(set(claimed)) == 8 and "20260301_120000-8" in claimed


def test_a_taken_or_impossible_run_id_is_refused(tmp_path: Path) -> None:
    with Ledger.for_storage(str(tmp_path)) as ledger:
        assert ledger.claim_run("g", {"a": 1}, run_id="mine") == "mine"
        with pytest.raises(RunIdError, match="taken"):
            ledger.claim_run("other", {}, run_id="mine")
        for bad in ("", "a/b", "ü", "x" * 101):
            with pytest.raises(RunIdError):
                ledger.claim_run("g", {}, run_id=bad)
        assert ledger.registration("mine") == {"a": 1} and ledger.registration("other") is None


def test_a_run_is_found_by_id_title_or_latest(tmp_path: Path) -> None:
    moments = iter(MOMENT + timedelta(hours=n) for n in range(20))
    with Ledger.for_storage(str(tmp_path), now=lambda: next(moments)) as ledger:
        with pytest.raises(UnknownRun, match="no run yet"):
            ledger.find_run("latest")
        first = ledger.claim_run("g", {"title": "spring"})
        ledger.claim_run("g", {"title": "twice"})
        ledger.claim_run("g", {"title": "twice \ud800\x00"[:5]})
        other = ledger.claim_run("h", {"title": "spring"})
        assert ledger.find_run("spring", "g") == first == ledger.find_run(first)
        assert (ledger.run(first) or {})["title"] == "spring" and ledger.run("zzz") is None
        assert ledger.find_run("latest") == other and ledger.find_run("latest", "g") != other
        with pytest.raises(UnknownRun, match=r"2 runs have the title 'twice'.*20260301_140000, 20260301_130000"):
            ledger.find_run("twice")
        with pytest.raises(UnknownRun, match="no run has the ID or title 'zzz'"):
            ledger.find_run("zzz")
        with pytest.raises(UnknownRun):
            ledger.find_run("\ud800" * 9)
        with pytest.raises(UnknownRun):
            ledger.find_run(other, "g")


def test_a_title_of_any_text_can_be_stored(tmp_path: Path) -> None:
    with Ledger.for_storage(str(tmp_path)) as ledger:
        ledger.claim_run("g", {"title": "a\x00b\ud800"}, run_id="x")
        assert ledger.runs()[0]["title"] == "ab?"


def test_the_earliest_answer_that_is_new_enough_counts(tmp_path: Path) -> None:
    with Ledger.for_storage(str(tmp_path)) as ledger:
        for hours in (5, 1, 3):
            keep(ledger, made_at=MOMENT + timedelta(hours=hours))

        def made(not_before: Any) -> Any:
            found = ledger.find_answer(request().hash, not_before=not_before)
            return None if found is None else (found.reply.made_at - MOMENT) / timedelta(hours=1)  # type: ignore[operator]

        assert made(None) == 1 and made(MOMENT) == 1 and made(MOMENT + timedelta(hours=3)) == 3
        assert made(MOMENT + timedelta(hours=3, microseconds=1)) == 5 and made(MOMENT + timedelta(hours=6)) is None
        assert ledger.find_answer("unknown", not_before=None) is None


def test_an_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    with Ledger.for_storage(str(tmp_path)) as ledger:
        content = {"text": "ü \ud800 \x00 𝄞", "n": [1, None, 0.5]}
        stored = Stored(Reply(content, 1, 2, 0.5, 3.0), final="no\ud800\x00", final_kind="refusal")
        asyncio.run(ledger.keep_answer(request(), stored, run_id="r", phase="p", row_id="\udfff\x00"))
        found = ledger.find_answer(request().hash, not_before=None)
        assert found is not None and found.reply.content == content and found.reply.reused
        assert (found.reply.tokens_in, found.reply.tokens_out, found.reply.cost, found.reply.seconds) == (1, 2, 0.5, 3)
        assert (found.final, found.final_kind) == ("no?", "refusal")


async def _keep_in_turn(ledger: Ledger, count: int) -> None:
    for number in range(count):
        await _keep(ledger, 10_000 + number)


def test_two_thousand_answers_at_once_are_all_durable_and_quick(tmp_path: Path) -> None:
    async def all_of_them(ledger: Ledger) -> None:
        await asyncio.gather(*(_keep(ledger, n) for n in range(2000)))

    with Ledger.for_storage(str(tmp_path)) as ledger:
        began = time.perf_counter()
        asyncio.run(_keep_in_turn(ledger, 100))
        one = (time.perf_counter() - began) / 100
        began = time.perf_counter()
        asyncio.run(all_of_them(ledger))
        # Committed in groups: a tenth of what each would take in a commit of its own, on a disk.
        assert time.perf_counter() - began < 2000 * one
        with sqlite3.connect(tmp_path / "ledger.db") as other:
            assert other.execute("SELECT count(*) FROM enrich_answers").fetchone() == (2100,)
        other.close()


def test_a_process_that_is_gone_has_lost_nothing_that_was_awaited(tmp_path: Path) -> None:
    script = """
        import asyncio, os, sys
        from enrich_assets.engine.requests import Reply, Request, Stored
        from enrich_assets.engine.ledger import Ledger
        ledger = Ledger.for_storage(sys.argv[1])
        async def one(n):
            stored = Stored(Reply({"text": str(n)}))
            await ledger.keep_answer(Request("model", {"number": n}), stored, run_id="r", phase="p", row_id="x")
            os.write(1, f"{n}\\n".encode())
            if n == 150:
                os._exit(9)
        async def all_of_them():
            await asyncio.gather(*(one(n) for n in range(300)))
        asyncio.run(all_of_them())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], capture_output=True)
    assert done.returncode == 9, done.stderr
    awaited = [int(line) for line in done.stdout.split()]
    assert 150 in awaited
    with Ledger.for_storage(str(tmp_path)) as ledger:
        for number in awaited:
            assert ledger.find_answer(request(number).hash, not_before=None) is not None


def test_who_stops_waiting_stops_neither_the_writer_nor_the_answer(tmp_path: Path) -> None:
    async def cancelled(ledger: Ledger) -> None:
        tasks = [asyncio.ensure_future(_keep(ledger, n)) for n in range(200)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(_keep(ledger, 999), 10)

    with Ledger.for_storage(str(tmp_path)) as ledger:
        asyncio.run(cancelled(ledger))
        assert ledger.count_answers() == 201


def test_an_answer_that_cannot_be_stored_fails_alone(tmp_path: Path) -> None:
    async def together(ledger: Ledger) -> list[Any]:
        bad = Stored(Reply({}, tokens_in=2**80))
        return await asyncio.gather(
            *(_keep(ledger, n) for n in range(20)),
            ledger.keep_answer(request(99), bad, run_id="r", phase="p", row_id="x"),
            *(_keep(ledger, n) for n in range(20, 40)),
            return_exceptions=True,
        )

    with Ledger.for_storage(str(tmp_path)) as ledger:
        found = asyncio.run(together(ledger))
        assert [type(error) for error in found if error is not None] == [StorageError]
        assert ledger.count_answers() == 40
        keep(ledger, 41)


def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    ledger = Ledger.for_storage(str(tmp_path))
    keep(ledger)
    ledger.close()
    ledger.close()
    with pytest.raises(StorageError, match="closed"):
        keep(ledger)
    for use in (lambda: ledger.runs(), lambda: ledger.phase_started("r", "p", 1, 0), lambda: ledger.claim_run("g", {})):
        with pytest.raises(StorageError, match="closed"):
            use()


def test_threads_may_read_and_write_one_ledger_together(tmp_path: Path) -> None:
    with Ledger.for_storage(str(tmp_path)) as ledger, ThreadPoolExecutor(8) as pool:
        for number in range(20):
            keep(ledger, number)

        def work(number: int) -> str:
            ledger.phase_started("r", f"p{number % 3}", 1, number)
            ledger.phase_progress("r", f"p{number % 3}", rows_done=number)
            found = ledger.find_answer(request(number % 20).hash, not_before=None)
            assert found is not None
            return str(found.reply.content["text"])

        assert list(pool.map(work, range(120))) == [f"answer {n % 20}" for n in range(120)]
        assert [found["phase"] for found in ledger.phases("r")] == ["p0", "p1", "p2"]


def test_a_phase_that_starts_again_has_forgotten_its_former_end(tmp_path: Path) -> None:
    with Ledger.for_storage(str(tmp_path), now=lambda: MOMENT) as ledger:
        ledger.phase_started("r", "p", 2, 10)
        ledger.phase_ended("r", "p", "failed", message="why", rows_done=4)
        (ended,) = ledger.phases("r")
        assert (ended["status"], ended["message"], ended["rows_done"]) == ("failed", "why", 4) and ended["ended_at"]
        ledger.phase_started("r", "p", 2, None)
        (begun,) = ledger.phases()
        assert (begun["status"], begun["message"], begun["ended_at"]) == ("running", None, None)
        ledger.replace_phase("r", "p", number=2, status="complete", cost=None)
        assert ledger.phases("r")[0]["started_at"] is None


def test_phases_are_numbered_in_the_order_in_which_they_began_whatever_the_clock_says(tmp_path: Path) -> None:
    moments = [MOMENT]
    with Ledger.for_storage(str(tmp_path), now=lambda: moments[0]) as ledger:
        assert ledger.last_begun("r") == 0
        for phase in ("p", "q", "p"):
            ledger.phase_started("r", phase, 1, None)
            moments[0] -= timedelta(hours=1)
        ledger.phase_started("other", "p", 1, None)
        assert {row["phase"]: row["begun"] for row in ledger.phases("r")} == {"p": 3, "q": 2}
        assert (ledger.last_begun("r"), ledger.last_begun("other")) == (3, 1)


def write_some(storage: str) -> None:
    async def some(ledger: Ledger) -> None:
        for number in range(30):
            await _keep(ledger, os.getpid() * 1000 + number)

    with Ledger.for_storage(storage) as ledger:
        asyncio.run(some(ledger))


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(write_some, [str(tmp_path)] * 2, chunksize=1)
    with Ledger.for_storage(str(tmp_path)) as ledger:
        assert ledger.count_answers() == 60


# Files that are no ledger


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
        connection.execute("INSERT INTO photos VALUES ('sea')")
    connection.close()


def _foreign_in_wal_mode(path: Path) -> None:
    _foreign(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def _newer(path: Path) -> None:
    Ledger(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE enrich_schema SET value = '99'")
        connection.execute("DROP TABLE enrich_phases")
    connection.close()


def _damaged(path: Path) -> None:
    Ledger(f"sqlite:///{path}").close()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))


@pytest.mark.parametrize(
    "make",
    [
        _foreign,
        _foreign_in_wal_mode,
        _newer,
        _damaged,
        lambda path: path.write_text("my notes"),
        lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\x00" * 84 + b"x" * 500),
    ],
    ids=["foreign", "foreign in WAL mode", "newer", "damaged", "text", "header alone"],
)
def test_a_file_that_is_no_ledger_of_ours_is_named_and_left_as_it_is(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "ledger.db"
    make(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(StorageError, match="ledger") as caught:
        Ledger.for_storage(str(tmp_path))
    assert str(path) in str(caught.value) and caught.value.fix
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert [p.name for p in tmp_path.iterdir()] == ["ledger.db"]


def test_an_answer_that_rotted_away_is_named(tmp_path: Path) -> None:
    with Ledger.for_storage(str(tmp_path)) as ledger:
        keep(ledger)
        with sqlite3.connect(tmp_path / "ledger.db") as connection:
            connection.execute("UPDATE enrich_answers SET content = x'00ff'")
        connection.close()
        with pytest.raises(StorageError, match="damaged"):
            ledger.find_answer(request().hash, not_before=None)


def test_a_folder_in_the_place_of_the_ledger_and_a_file_in_the_place_of_the_storage(tmp_path: Path) -> None:
    (tmp_path / "a" / "ledger.db").mkdir(parents=True)
    with pytest.raises(StorageError, match="folder"):
        Ledger.for_storage(str(tmp_path / "a"))
    (tmp_path / "file").write_text("x")
    for storage in ("file", "file/below"):
        with pytest.raises(StorageError, match="file"):
            Ledger.for_storage(str(tmp_path / storage))


def test_a_storage_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        storage = "/proc/none"  # root may write everywhere else
    else:
        tmp_path.chmod(0o500)
        storage = str(tmp_path)
    with pytest.raises(StorageError, match=storage):
        Ledger.for_storage(storage)


def test_remote_storage_needs_a_ledger_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENRICH_LEDGER_URL", raising=False)
    with pytest.raises(StorageError, match="ENRICH_LEDGER_URL"):
        ledger_url("s3://bucket/x")
    monkeypatch.setenv("ENRICH_LEDGER_URL", "postgresql://x/y")
    assert ledger_url("s3://bucket/x") == "postgresql://x/y"


def test_a_page_that_could_not_be_had_is_repeated_by_a_run_like_this_one_and_asked_again_by_this_one(
    tmp_path: Path,
) -> None:
    request = Request("page", {"url": "http://down.example/"}, max_age=timedelta(0))
    sent: list[str] = []

    def calls_of(ledger: Ledger, run_id: str) -> Calls:
        return calls_over(ledger, run_id=run_id, phase="scraped", backoff=Backoff(attempts=1))

    async def ask(calls: Calls, error: TransientError | None) -> str:
        async def send() -> Reply:
            sent.append(calls.run_id)
            if error is not None:
                raise error
            return Reply({"page": "here"})

        try:
            return str((await calls.make(request, send)).content)
        except TransientError as found:
            return found.what

    down = TransientError("503 Service Unavailable")
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        assert asyncio.run(ask(calls_of(ledger, "first"), down)) == down.what
        assert asyncio.run(ask(calls_of(ledger, "like-first"), None)) == down.what
        assert sent == ["first"]
        assert asyncio.run(ask(calls_of(ledger, "first"), None)) == "{'page': 'here'}"
        assert asyncio.run(ask(calls_of(ledger, "like-first"), None)) == "{'page': 'here'}"
    assert sent == ["first", "first"]
