"""The gate: few until an endpoint answered, then all; fewer after a refusal, and one more for each round of answers."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from enrich_assets.core.errors import CallError, EndpointError, FinalError, MalformedAnswer, TransientError
from enrich_assets.engine.gate import Gate


async def passes(gate: Gate, count: int = 1, error: Exception | None = None) -> None:
    for _ in range(count):
        with suppress(CallError):
            async with gate.admitted(), gate.wire(10):
                if error is not None:
                    raise error


class Wire:
    """Requests that stay on the wire until they are let go."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.on_it = 0
        self.most = 0
        self.began = asyncio.Event()
        self.end = asyncio.Event()

    async def send(self) -> None:
        async with self.gate.admitted(), self.gate.wire(10):
            self.on_it += 1
            self.began.set()
            self.most = max(self.most, self.on_it)
            try:
                await self.end.wait()
            finally:
                self.on_it -= 1


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (None, 100),
        (MalformedAnswer("m"), 100),
        (FinalError("f"), 100),
        (TransientError("t"), 8),
        (EndpointError("e"), 8),
    ],
)
def test_an_answer_opens_the_gate_and_an_error_that_is_none_does_not(error: Exception | None, limit: int) -> None:
    async def go() -> int:
        gate = Gate(100)
        assert gate.limit == 8
        await passes(gate, error=error)
        return gate.limit

    assert asyncio.run(go()) == limit


def test_after_the_first_answer_all_places_open_at_once() -> None:
    async def go() -> tuple[int, int]:
        gate = Gate(300)
        wire = Wire(gate)
        first = asyncio.Event()

        async def answered() -> None:
            async with gate.admitted(), gate.wire(1):
                await first.wait()

        tasks = [asyncio.ensure_future(answered())]
        tasks += [asyncio.ensure_future(wire.send()) for _ in range(400)]
        await settle()
        before = wire.on_it
        first.set()
        await settle()
        after = wire.on_it
        wire.end.set()
        await asyncio.gather(*tasks)
        return before, after

    assert asyncio.run(go()) == (7, 300)


def test_a_few_more_than_the_places_are_near_the_wire() -> None:
    async def go() -> tuple[int, int]:
        gate = Gate(4)
        near = 0
        end = asyncio.Event()

        async def come() -> None:
            nonlocal near
            async with gate.admitted():
                near += 1
                async with gate.wire(1):
                    await end.wait()

        tasks = [asyncio.ensure_future(come()) for _ in range(20)]
        await settle()
        before = near
        end.set()
        await asyncio.gather(*tasks)
        return before, near

    assert asyncio.run(go()) == (6, 20)


def test_the_refusals_of_one_wave_narrow_the_gate_once_and_answers_widen_it_again() -> None:
    async def go() -> list[int]:
        gate = Gate(100)
        await passes(gate)
        gate._round_trip = 0.05
        limits = []
        for _ in range(30):
            await gate.hold(None)
        limits.append(gate.limit)
        await passes(gate, 69)
        limits.append(gate.limit)
        await passes(gate, 1)
        limits.append(gate.limit)
        await asyncio.sleep(0.06)
        await gate.hold(None)
        limits.append(gate.limit)
        await passes(gate, 60 * 100)
        limits.append(gate.limit)
        return limits

    assert asyncio.run(go()) == [70, 70, 71, 49, 100]


def test_the_gate_never_closes_for_good() -> None:
    async def go() -> list[int]:
        gate = Gate(2)
        limits = []
        for _ in range(4):
            await gate.hold(None)
            limits.append(gate.limit)
        await passes(gate, 3)
        return [*limits, gate.limit]

    assert asyncio.run(go()) == [1, 1, 1, 1, 2]


def test_nobody_leaves_while_the_endpoint_rests_and_then_only_as_many_as_the_narrowed_gate_lets_through() -> None:
    async def go() -> tuple[int, int, int, float]:
        gate = Gate(20)
        await passes(gate)
        began = time.monotonic()
        await gate.hold(0.2)
        wire = Wire(gate)
        tasks = [asyncio.ensure_future(wire.send()) for _ in range(30)]
        await asyncio.sleep(0.1)
        during = wire.on_it
        await wire.began.wait()
        waited = time.monotonic() - began
        await settle()
        after = wire.on_it
        wire.end.set()
        await asyncio.gather(*tasks)
        return during, after, wire.most, waited

    during, after, most, waited = asyncio.run(go())
    assert (during, after, most) == (0, 14, 14)
    assert waited >= 0.2


def test_a_request_that_has_taken_its_place_gives_it_up_when_the_gate_is_narrowed_meanwhile() -> None:
    async def go() -> int:
        gate = Gate(20)
        await passes(gate)
        gate._rest(time.monotonic() + 0.1)
        wire = Wire(gate)
        tasks = [asyncio.ensure_future(wire.send()) for _ in range(20)]
        await settle()
        gate._wave_ends = 0.0
        await gate.hold(None)
        await wire.began.wait()
        await settle()
        most = wire.on_it
        wire.end.set()
        await asyncio.gather(*tasks)
        return most

    assert asyncio.run(go()) == 14


def test_a_rest_beyond_patience_is_told_instead_of_waited_for() -> None:
    async def go() -> TransientError:
        gate = Gate(20, patience=60.0)
        await gate.hold(600.0)
        with pytest.raises(TransientError, match="no request for another 10 min, until") as raised:
            await asyncio.wait_for(asyncio.ensure_future(gate.wire(1).__aenter__()), 1.0)
        assert gate._wire.inside == 0
        return raised.value

    error = asyncio.run(go())
    assert error.retry_after == pytest.approx(600.0, abs=1.0)
    assert not error.outcome_unknown


def test_a_request_that_hangs_blocks_nobody_and_a_cancelled_one_gives_its_place_back() -> None:
    async def go() -> int:
        gate = Gate(2)
        wire = Wire(gate)
        hanging = asyncio.ensure_future(wire.send())
        await settle()
        await asyncio.wait_for(passes(gate, 500), 10.0)
        others = [asyncio.ensure_future(wire.send()) for _ in range(3)]
        await settle()
        assert wire.on_it == 2
        for task in (hanging, *others[:2]):
            task.cancel()
        await settle()
        left = wire.on_it
        wire.end.set()
        await asyncio.gather(hanging, *others, return_exceptions=True)
        await passes(gate, 5)
        return left

    assert asyncio.run(go()) == 1


@pytest.mark.parametrize(("answered", "limit"), [(0, 1), (1, 1), (6, 3), (60, 16)])
def test_requests_that_time_out_leave_as_many_slots_as_were_answered_in_their_time(answered: int, limit: int) -> None:
    async def go() -> int:
        gate = Gate(16)
        await passes(gate)
        assert gate.limit == 16
        first, second = gate.wire(10), gate.wire(10)
        await first.__aenter__()
        await second.__aenter__()
        await passes(gate, answered)
        for late in (first, second):
            await late.__aexit__(TransientError, TransientError("late", kind="timeout"), None)
        return gate.limit

    assert asyncio.run(go()) == limit


def test_a_gate_that_time_outs_narrowed_widens_again_with_answers() -> None:
    async def go() -> tuple[int, int]:
        gate = Gate(16)
        await passes(gate)
        await passes(gate, error=TransientError("late", kind="timeout"))
        narrow = gate.limit
        await passes(gate, 3)
        return narrow, gate.limit

    assert asyncio.run(go()) == (1, 3)
