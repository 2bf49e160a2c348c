"""Turns: how many, how far apart, and who does not have to wait for whom."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from datetime import UTC, datetime

import pytest
from aiohttp import web

from enrich_assets.core.errors import TransientError
from enrich_assets.engine.deadlines import Deadlines, RowTime, row_time
from enrich_assets.web.http import HttpClient
from enrich_assets.web.politeness import Turns
from enrich_assets.web.settings import HttpSettings
from enrich_assets_tests.web.web_server import serving

HOSTS = [f"host{n}.example" for n in range(4)]


class WithoutWaiting(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer, so that moments are exact whatever the machine does."""

    now = 0.0

    def time(self):
        return self.now

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0].when())
        super()._run_once()


def run_exactly(work):
    with asyncio.Runner(loop_factory=WithoutWaiting) as runner:
        return runner.run(work)


def starts(requests, *, concurrency=16, per_host=2, holds=0.0, spacing=0.05):
    """When each request began, by host, where each holds its turn for a while."""

    async def run():
        turns, found = Turns(concurrency, per_host), defaultdict(list)
        loop = asyncio.get_running_loop()

        async def one(host):
            turn = await turns.take(host, spacing)
            found[host].append(loop.time())
            await asyncio.sleep(holds)
            turns.give_back(turn)

        await asyncio.gather(*(one(host) for host in requests))
        turns.close()
        return found

    return run_exactly(run())


def test_requests_at_one_host_begin_a_spacing_apart_and_on_schedule():
    found = starts(HOSTS * 12)
    for moments in found.values():
        assert moments == pytest.approx([0.05 * number for number in range(12)])


def test_no_more_requests_are_under_way_at_a_host_than_it_may_have():
    found = starts(["a"] * 6, per_host=2, holds=0.1, spacing=0.0)["a"]
    assert found == pytest.approx([0, 0, 0.1, 0.1, 0.2, 0.2])


def test_a_start_that_was_late_is_made_good_without_coming_too_near_to_another():
    async def run():
        turns, found = Turns(16, 16), []
        loop = asyncio.get_running_loop()

        async def one():
            turn = await turns.take("a", 1.0)
            found.append(loop.time())
            if len(found) == 3:
                loop.now += 1.25  # the machine had other work, and the timer of the next start was late
            turns.give_back(turn)

        await asyncio.gather(*(one() for _ in range(9)))
        return found

    found = run_exactly(run())
    assert found[:4] == pytest.approx([0, 1, 2, 3.25])
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    assert min(gaps) >= 0.9 and found[-1] == pytest.approx(8)


def test_a_host_that_was_idle_has_nothing_to_make_good():
    async def run():
        turns, found = Turns(16, 16), []
        for pause in (0, 30, 0, 0):
            await asyncio.sleep(pause)
            turn = await turns.take("a", 1.0)
            found.append(asyncio.get_running_loop().time())
            turns.give_back(turn)
        return found

    assert run_exactly(run()) == pytest.approx([0, 30, 31, 32])


def test_a_longer_spacing_counts_from_the_start_before():
    async def run():
        turns = Turns(16, 16)
        turns.give_back(await turns.take("a", 0.5))
        turns.give_back(await turns.take("a", 5.0))
        return asyncio.get_running_loop().time()

    assert run_exactly(run()) == pytest.approx(5)


def test_a_slow_host_holds_nothing_that_another_one_needs():
    async def run():
        turns = Turns(concurrency=3, per_host=2)
        held = [await turns.take("slow", 0.0) for _ in range(2)]
        waiting = [asyncio.create_task(turns.take("slow", 0.0)) for _ in range(50)]
        await asyncio.sleep(0)
        for _ in range(20):
            async with asyncio.timeout(0.5):
                turns.give_back(await turns.take("quick", 0.0))
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for turn in held:
            turns.give_back(turn)
        async with asyncio.timeout(0.5):
            turns.give_back(await turns.take("slow", 0.0))

    asyncio.run(run())


def test_hosts_take_turns_in_rotation():
    async def run():
        turns, order = Turns(concurrency=1, per_host=1), []

        async def one(host):
            turn = await turns.take(host, 0.0)
            order.append(host)
            await asyncio.sleep(0)
            turns.give_back(turn)

        await asyncio.gather(*(one(host) for host in ["a"] * 20 + ["b"] * 3))
        return order

    order = asyncio.run(run())
    assert order.index("b") < 4 and [i for i, host in enumerate(order) if host == "b"][-1] < 8


def test_a_turn_that_comes_to_one_who_has_just_left_goes_on_to_the_next():
    async def run():
        turns = Turns(concurrency=1, per_host=1)
        held = await turns.take("a", 0.0)
        first, second = (asyncio.create_task(turns.take("a", 0.0)) for _ in range(2))
        await asyncio.sleep(0)
        turns.give_back(held)  # the turn is the first one's, who has not run yet
        first.cancel()
        async with asyncio.timeout(0.5):
            turns.give_back(await second)

    asyncio.run(run())


def test_nothing_is_polled_while_everybody_waits(monkeypatch):
    async def run():
        turns = Turns(concurrency=4, per_host=1)
        turns.rest("a", 0.4)
        tasks = [asyncio.create_task(turns.take("a", 0.0)) for _ in range(10)]
        await asyncio.sleep(0.05)
        ran = 0
        loop = asyncio.get_running_loop()
        original = type(loop)._run_once

        def counted(self):
            nonlocal ran
            ran += 1
            original(self)

        monkeypatch.setattr(type(loop), "_run_once", counted)
        await asyncio.sleep(0.25)
        monkeypatch.undo()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        turns.close()
        return ran

    assert asyncio.run(run()) < 5


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_that_asks_for_rest_has_it_and_the_others_do_not_wait(status):
    asked = []

    async def handler(request):
        asked.append((request.host, time.monotonic()))
        if request.path == "/busy":
            return web.Response(status=status, headers={"Retry-After": "1"})
        return web.Response(body=b"a page")

    async def run():
        async with client(handler) as reader:
            with pytest.raises(TransientError) as caught:
                await reader.get("http://host0.example/busy")
            assert caught.value.retry_after == 1
            begun = time.monotonic()
            await asyncio.gather(*(reader.get(f"http://{host}/a") for host in HOSTS))
            return begun

    begun = asyncio.run(run())
    waited = {host: moment - begun for host, moment in asked[1:]}
    assert waited.pop("host0.example") > 0.9
    assert max(waited.values()) < 0.8


def test_a_host_that_asks_for_a_long_rest_is_left_alone_and_those_who_wait_are_told():
    async def handler(request):
        if request.path == "/busy":
            await asyncio.sleep(0.1)
            return web.Response(status=429, headers={"Retry-After": "3600"})
        return web.Response(body=b"a page")

    async def run():
        async with client(handler, concurrency_per_host=1) as reader:
            asking = [reader.get(f"http://host0.example/{path}") for path in ("busy", "a", "b")]
            found = await asyncio.gather(*asking, return_exceptions=True)
            with pytest.raises(TransientError) as caught:
                await reader.get("http://host0.example/later")
            return [*found, caught.value]

    busy, *others = asyncio.run(run())
    assert busy.kind == "http_429"
    for error in others:
        assert error.kind == "resting" and error.retry_after > 3500 and "http://host0.example/" in str(error)
        assert "left alone for 60 minutes more" in error.what


def test_a_rest_without_end_is_one_of_a_day_and_of_that_port_only():
    async def busy(_request):
        return web.Response(status=429, headers={"Retry-After": "9" * 400})

    async def free(_request):
        return web.Response(body=b"ok")

    async def run():
        async with serving(busy) as one, serving(free) as other:
            allowed = [f"127.0.0.1:{one}", f"127.0.0.1:{other}"]
            async with HttpClient(HttpSettings(robots=False, allow_hosts=allowed)) as reader:
                errors = []
                for _ in range(2):
                    with pytest.raises(TransientError) as caught:
                        await reader.get(f"http://127.0.0.1:{one}/")
                    errors.append(caught.value)
                return errors, (await reader.get(f"http://127.0.0.1:{other}/")).body

    (_, resting), body = asyncio.run(run())
    assert resting.kind == "resting" and "left alone for 24 hours more" in resting.what and body == b"ok"


def test_waiting_counts_neither_against_the_deadline_nor_against_the_row():
    async def handler(_request):
        return web.Response(body=b"a page")

    async def run():
        async with client(handler, seconds_between_requests=1.5, deadline_seconds=1.4) as reader:
            deadlines = Deadlines()

            async def row(number):
                row_time.set(RowTime(1.45))
                task = asyncio.current_task()
                page = await deadlines.kept(task, lambda: reader.get(f"http://host0.example/{number}"))
                left = row_time.get().due - asyncio.get_running_loop().time()
                return page.seconds, left

            found = await asyncio.gather(*(asyncio.create_task(row(number)) for number in range(4)))
            deadlines.close()
            return found

    begun = time.monotonic()
    for seconds, left in asyncio.run(run()):
        assert seconds < 1.4 and 0 < left <= 1.45
    assert time.monotonic() - begun > 4.3


def test_many_pages_of_many_hosts_take_as_long_as_the_schedule_allows():
    async def handler(request):
        if request.path == "/robots.txt":
            return web.Response(status=404)
        return web.Response(body=b"a page" * 1000)

    async def run():
        async with client(handler, seconds_between_requests=0.2, robots=True) as reader:
            begun = time.monotonic()
            machine = asyncio.create_task(paced())
            await asyncio.gather(*(reader.get(f"http://{host}/{n}") for n in range(15) for host in HOSTS))
            return time.monotonic() - begun, await machine

    async def paced():
        # What the machine itself makes of fifteen pauses: on a busy one they are late too.
        begun = time.monotonic()
        for _ in range(15):
            await asyncio.sleep(0.2)
        return time.monotonic() - begun

    allowed = 15 * 0.2  # robots.txt first, then fifteen pages
    taken, machine = asyncio.run(run())
    print(f"{taken:.2f} s, the schedule allows {allowed:.2f} s, the machine takes {machine:.2f} s for its pauses")
    assert allowed * 0.98 <= taken <= max(allowed, machine) * 1.1


class client:
    """A client for the hosts of these tests and a server behind it."""

    def __init__(self, handler, **settings):
        self._handler = handler
        self._settings = {"robots": False, "seconds_between_requests": 0, **settings}

    async def __aenter__(self):
        self._server = serving(self._handler)
        port = await self._server.__aenter__()
        clock = lambda: datetime(2026, 11, 2, tzinfo=UTC)  # noqa: E731
        self._client = HttpClient(
            HttpSettings(**self._settings), routes=dict.fromkeys(HOSTS, ("127.0.0.1", port)), clock=clock
        )
        return await self._client.__aenter__()

    async def __aexit__(self, *error):
        await self._client.__aexit__(*error)
        await self._server.__aexit__(*error)
