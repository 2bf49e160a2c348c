"""Calls: one request leaves once, whoever waits for it and whoever goes; retries wait as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from enrich_assets.core.errors import (
    AddressRefused,
    EndpointError,
    FinalError,
    MalformedAnswer,
    TransientError,
)
from enrich_assets.engine.backoff import Backoff
from enrich_assets.engine.requests import Reply, Request
from enrich_assets.engine.sending import current_row
from enrich_assets.engine.window import gather_window
from enrich_assets_tests.engine_kit import MemoryAnswers, calls_over


class Kit:
    """Calls with a store in memory, and a sender that fails as told before it answers."""

    def __init__(self, *errors: BaseException, seconds: float = 0, attempts: int = 4) -> None:
        self.answers = MemoryAnswers()
        self.slept: list[float] = []
        self.sent = 0
        self._errors = list(errors)
        self._seconds = seconds
        self.calls = calls_over(self.answers, backoff=Backoff(attempts), draw=lambda: 1.0, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def send(self) -> Reply:
        self.sent += 1
        await asyncio.sleep(self._seconds)
        if self._errors:
            raise self._errors.pop(0)
        return Reply({"text": "yes"}, tokens_in=5, tokens_out=2, cost=0.25)

    def make(self, number: int = 0, endpoint: str = "m") -> Awaitable[Reply]:
        return self.calls.make(Request("model", {"n": number}), self.send, endpoint=endpoint)


def test_equal_requests_in_flight_and_later_are_one_call() -> None:
    kit = Kit(seconds=0.01)

    async def go() -> None:
        replies = await asyncio.gather(*(kit.make() for _ in range(10)))
        assert {str(reply.content) for reply in replies} == {"{'text': 'yes'}"}
        await kit.make()

    asyncio.run(go())
    meter = kit.calls.meter
    assert (kit.sent, meter.model_calls, meter.answers_reused, meter.tokens_in, meter.cost) == (1, 1, 10, 5, 0.25)


def test_a_first_caller_who_is_cancelled_takes_nothing_from_the_others() -> None:
    kit = Kit(seconds=0.02)

    async def go() -> None:
        first, second = (asyncio.ensure_future(kit.make()) for _ in range(2))
        await asyncio.sleep(0.005)
        first.cancel()
        assert (await second).content == {"text": "yes"} and first.cancelled()

    asyncio.run(go())
    assert kit.sent == 1


@pytest.mark.parametrize("kind", [TransientError, EndpointError, FinalError, MalformedAnswer])
def test_an_error_reaches_everybody_who_waits_and_is_never_left_unseen(kind: type[Exception]) -> None:
    kit = Kit(kind("no"), seconds=0.01, attempts=1)
    unseen: list[Any] = []

    async def go() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unseen.append(context))
        tasks = [asyncio.ensure_future(kit.make()) for _ in range(3)]
        await asyncio.sleep(0.005)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in found] == [asyncio.CancelledError, kind, kind]
        for task in [asyncio.ensure_future(kit.make(7))]:
            await asyncio.sleep(0.002)
            task.cancel()
        await asyncio.sleep(0.02)

    asyncio.run(go())
    import gc

    gc.collect()
    assert kit.sent <= 2 and not unseen


def test_transient_errors_are_retried_with_growing_waits_and_the_servers_wish_is_kept() -> None:
    kit = Kit(TransientError("a"), TransientError("b"), TransientError("c", retry_after=0.2))
    asyncio.run(kit.make())  # type: ignore[arg-type]
    assert kit.slept == pytest.approx([0.5, 1.0, 0.3])
    assert kit.calls.meter.retries == 3 and kit.calls.meter.model_calls == 4


def test_nobody_is_asked_earlier_than_he_wants_and_nobody_is_waited_for_for_ever() -> None:
    kit = Kit(TransientError("a", retry_after=3600))
    with pytest.raises(TransientError):
        asyncio.run(kit.make())  # type: ignore[arg-type]
    assert kit.sent == 1 and not kit.slept and not kit.answers.kept


def test_waits_grow_to_a_limit() -> None:
    backoff = Backoff(attempts=20)
    assert [backoff.delay(n, None, lambda: 1.0) for n in (1, 2, 3, 7, 8, 20)] == [0.5, 1, 2, 30, 30, 30]
    assert backoff.delay(3, None, lambda: 0.0) == 0


def test_final_errors_are_remembered_and_refused_addresses_are_not() -> None:
    for error, remembered in ((FinalError("gone"), True), (AddressRefused("inside"), False)):
        kit = Kit(error)
        with pytest.raises(type(error)):
            asyncio.run(kit.make())  # type: ignore[arg-type]
        assert bool(kit.answers.kept) is remembered
        if remembered:
            with pytest.raises(FinalError, match="gone"):
                asyncio.run(kit.make())  # type: ignore[arg-type]
            assert kit.sent == 1
        else:
            assert asyncio.run(kit.make()).content  # type: ignore[arg-type]


def test_an_endpoint_that_is_closed_is_asked_no_more_and_others_are() -> None:
    kit = Kit(EndpointError("401"))

    async def go() -> None:
        for number in range(3):
            with pytest.raises(EndpointError, match="401"):
                await kit.make(number)
        await kit.make(0, endpoint="other")

    asyncio.run(go())
    assert kit.sent == 2


def test_success_between_failures_keeps_an_endpoint_open_and_pages_name_none() -> None:
    down = [TransientError("x")] * 9
    kit = Kit(*down, attempts=1)

    async def go(kit: Kit, endpoint: str, count: int) -> list[type]:
        found = await asyncio.gather(*(kit.make(n, endpoint) for n in range(count)), return_exceptions=True)
        return [type(item) for item in found if isinstance(item, Exception)]

    assert asyncio.run(go(kit, "m", 30)) == [TransientError] * 9
    sites = Kit(*[TransientError("x")] * 30, attempts=1)
    assert asyncio.run(go(sites, "", 30)) == [TransientError] * 30
    dead = Kit(*[TransientError("x")] * 30, attempts=1)
    assert EndpointError in asyncio.run(go(dead, "m", 30)) and dead.sent <= 30


def test_what_a_useless_answer_cost_is_counted_and_remembered() -> None:
    error = FinalError("refused")
    error.tokens_in, error.tokens_out, error.cost = 7, 1, 0.5
    kit = Kit(error)
    with pytest.raises(FinalError):
        asyncio.run(kit.make())  # type: ignore[arg-type]
    assert (kit.calls.meter.tokens_in, kit.calls.meter.cost) == (7, 0.5)
    (stored,) = kit.answers.kept.values()
    assert (stored.reply.tokens_in, stored.reply.cost) == (7, 0.5)


def test_many_in_one_share_tokens_and_cost_exactly_and_belong_to_their_rows() -> None:
    kit = Kit()
    requests = [Request("model", {"n": n}) for n in range(4)]

    async def send() -> Any:
        return Reply({}, tokens_in=11, tokens_out=4, cost=0.3), [{"t": 0}, None, {"t": 2}, {"t": 3}]

    replies = asyncio.run(kit.calls.make_many(requests, send, endpoint="m", row_ids=["a", "b", "c", "d"]))
    assert [r and (r.content["t"], r.tokens_in, r.tokens_out) for r in replies] == [
        (0, 4, 2), None, (2, 4, 1), (3, 3, 1)
    ]  # fmt: skip
    assert sum(r.cost or 0 for r in replies if r) == pytest.approx(0.3) and kit.calls.meter.tokens_in == 11
    assert kit.answers.rows == {requests[n].hash: row for n, row in ((0, "a"), (2, "c"), (3, "d"))}


def test_one_who_waits_for_a_batch_that_leaves_him_out_asks_alone() -> None:
    for outcome in ([None, {"t": 1}], MalformedAnswer("nonsense")):
        kit = Kit()

        async def send(outcome: Any = outcome) -> Any:
            await asyncio.sleep(0.01)
            if isinstance(outcome, Exception):
                raise outcome
            return Reply({}), outcome

        async def go(kit: Kit = kit, send: Callable[[], Any] = send) -> None:
            requests = [Request("model", {"n": n}) for n in range(2)]
            many = asyncio.ensure_future(kit.calls.make_many(requests, send))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (await kit.make(0)).content == {"text": "yes"}
            await asyncio.gather(many, return_exceptions=True)

        asyncio.run(go())
        assert kit.sent == 1


def test_an_answer_belongs_to_the_row_that_asked_first() -> None:
    kit = Kit(seconds=0.005)

    async def ask(row_id: str) -> None:
        current_row.set(row_id)
        await kit.make()

    async def go() -> None:
        await asyncio.gather(ask("first"), ask("second"))

    asyncio.run(go())
    assert list(kit.answers.rows.values()) == ["first"]


def test_closing_lets_what_is_on_the_wire_land_and_gives_up_what_waits_for_its_next_attempt() -> None:
    async def go() -> None:
        landing = Kit(seconds=0.03)
        pausing = Kit(TransientError("x"))
        pausing.calls._sender._sleep = lambda seconds: asyncio.sleep(60)
        hanging = Kit(seconds=60)
        tasks = [asyncio.ensure_future(kit.make()) for kit in (landing, pausing, hanging)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        began = asyncio.get_running_loop().time()
        for kit in (landing, pausing, hanging):
            await kit.calls.close(grace=0.1)
        assert asyncio.get_running_loop().time() - began < 1
        assert [len(kit.answers.kept) for kit in (landing, pausing, hanging)] == [1, 0, 0]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(go())


def test_the_hash_covers_content_and_kind_and_nothing_else() -> None:
    one = Request("model", {"a": 1, "b": [1, 2]})
    assert one.hash == Request("model", {"b": [1, 2], "a": 1}, max_age=timedelta(1)).hash
    assert one.hash != Request("page", {"a": 1, "b": [1, 2]}).hash
    assert one.hash != Request("model", {"a": 1, "b": [2, 1]}).hash


# The window


def test_a_window_keeps_so_many_at_work_and_begins_the_next_as_one_ends() -> None:
    most = running = 0
    done: list[int] = []

    async def work(unit: int) -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05 if unit == 0 else 0.001)
        running -= 1
        done.append(unit)

    asyncio.run(gather_window(range(20), work, concurrency=3))
    assert most == 3 and sorted(done) == list(range(20)) and done[-1] == 0


@pytest.mark.parametrize("broken_iterator", [False, True])
def test_a_window_that_fails_ends_everything_and_leaves_no_error_unseen(broken_iterator: bool) -> None:
    begun: list[int] = []
    unseen: list[Any] = []

    async def work(unit: int) -> None:
        begun.append(unit)
        try:
            await asyncio.sleep(0.001 if unit < 2 else 5)
        finally:
            if unit in (0, 1, 2):
                raise ValueError(str(unit))

    def units() -> Any:
        yield from range(4)
        if broken_iterator:
            raise ValueError("iterator")
        yield from range(4, 100)

    async def go() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unseen.append(context))
        with pytest.raises(ValueError):
            await gather_window(units(), work, concurrency=4)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(go())
    assert len(begun) <= 4 and not unseen
