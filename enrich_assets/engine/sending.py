"""Sending the requests of one phase: within the endpoint's limits and the budget, in time, and again where that helps.

Belongs here: everything between the wish to send a request and its reply. Whether it has to be sent at all, and what
is kept of it, belongs to `engine.calls`.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar, cast

from enrich_assets.core.errors import CallError, EndpointError, TransientError
from enrich_assets.engine.backoff import Backoff
from enrich_assets.engine.breaker import Breaker
from enrich_assets.engine.claim_waits import ClaimWaits
from enrich_assets.engine.claims import NO_ANSWER, AnsweredElsewhere, AskedElsewhere, Claim, Elsewhere
from enrich_assets.engine.clients import Weight
from enrich_assets.engine.deadlines import (
    Deadlines,
    do_not_count_since,
    ends_before,
    refuse_late,
    waiting_for_a_turn,
)
from enrich_assets.engine.gate import Gate
from enrich_assets.engine.journal import Journal
from enrich_assets.engine.leases import refuse_without_lease
from enrich_assets.engine.limits import SharedLimits
from enrich_assets.engine.meter import Meter
from enrich_assets.engine.requests import AnswerStore, Reply, Request
from enrich_assets.engine.spending import Caps, Reservation
from enrich_assets.engine.wire_count import WireCount, count_from_here

T = TypeVar("T", bound=Reply | tuple[Reply, Any])

current_row: contextvars.ContextVar[str] = contextvars.ContextVar("current_row", default="")


def no_limits(endpoint: str) -> SharedLimits | None:
    """An endpoint that allows everything."""
    return None


async def does_not_say(endpoint: str) -> bool:
    """An endpoint that does not say whether it is ready."""
    return False


class Sender:
    """Sends for one phase of one run, at most `slots` requests at a time on the wire to each endpoint.

    Nothing is sent once another process has taken over the phase.
    """

    def __init__(
        self,
        store: AnswerStore,
        *,
        run_id: str,
        phase: str,
        backoff: Backoff = Backoff(),
        caps: Caps = Caps(),
        slots: int = 16,
        limits_of: Callable[[str], SharedLimits | None] = no_limits,
        is_ready: Callable[[str], Awaitable[bool]] = does_not_say,
        journal: Journal | None = None,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.meter = Meter()
        self.journal = journal or Journal()
        self._store = store
        self._claims = ClaimWaits(store.asked_elsewhere)
        self._run_id = run_id
        self._phase = phase
        self._backoff = backoff
        self._caps = caps
        self._slots = slots
        self._limits_of = limits_of
        self._is_ready = is_ready
        self._greetings: set[asyncio.Task[None]] = set()
        self._draw = draw
        self._sleep = sleep
        self._gates: dict[str, Gate] = {}
        self._limits: dict[str, SharedLimits] = {}
        self._waiting: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._breaker = Breaker()
        self._deadlines = Deadlines()
        self._reserved = 0
        self._waiting_for_room: deque[asyncio.Future[None]] = deque()

    async def send(
        self,
        request: Request,
        send: Callable[[], Awaitable[T]],
        *,
        endpoint: str,
        weight: Weight,
        claim: Claim | None = None,
    ) -> tuple[T, Reservation | None]:
        """What `send` brings, after retries, with the reservation that its settlement has to name.

        Raises TransientError when the attempts or the row's time run out, other CallErrors as they come,
        BudgetReached, StorageError, LeaseLost. What an error cost is settled already. Where another process asks for
        a request of the `claim`, it waits for that one, and raises AnsweredElsewhere when it brought an answer.
        """
        attempt = 0
        answers_before = self._breaker.answers(endpoint)
        refused = _Refused()
        while True:
            count = count_from_here()
            try:
                found = await self._once(request, send, endpoint, weight, claim, count)
            except AskedElsewhere as elsewhere:
                assert claim is not None
                claim = await self._wait_for_others(claim, elsewhere.where)
            except TransientError as error:
                self.add(error)
                is_limit = bool(endpoint) and error.kind == "rate limit"
                if endpoint and (is_limit or error.retry_after is not None):
                    await self._gates[endpoint].hold(error.retry_after)
                    self.journal.note("endpoint_rests", endpoint=endpoint, kind=error.kind, seconds=error.retry_after)
                if is_limit:
                    refused.count(self._breaker.answers(endpoint))
                    gives_up = refused.waited > self._backoff.patience or refused.times >= self._backoff.refusals
                    gives_up |= self._backoff.gives_up(0, error.retry_after)
                else:
                    attempt += 1
                    gives_up = self._backoff.gives_up(attempt, error.retry_after)
                if gives_up:
                    self._breaker.note_given_up(endpoint, error, answers_before=answers_before)
                    raise
                delay = self._backoff.delay(refused.times if is_limit else attempt, error.retry_after, self._draw)
                if self._closing or (ends_before(delay) and not is_limit):
                    raise
                self.meter.retries += count.requests > 0
                self.journal.note(
                    "retry",
                    row_id=current_row.get(),
                    kind=error.kind,
                    attempt=attempt + refused.times,
                    seconds=round(delay, 3),
                )
                refused.waited += delay if is_limit else 0.0
                # Others are before it at the endpoint: as with a limit of one's own, that is no time of the row's.
                with waiting_for_a_turn() if is_limit else nullcontext():
                    await self._pause(delay)
            except EndpointError as error:
                self.add(error)
                self._breaker.close(endpoint, error)
                raise
            except CallError as error:
                self.add(error)
                self._breaker.note_answer(endpoint)
                raise
            else:
                self._breaker.note_answer(endpoint)
                return found

    def add(self, taken: Reply | CallError) -> None:
        """Counts what a reply, or an error in its place, took."""
        meter = self.meter
        meter.tokens_in += taken.tokens_in
        meter.tokens_out += taken.tokens_out
        meter.cost = None if meter.cost is None or taken.cost is None else meter.cost + taken.cost

    def note_settled(self, reservation: Reservation | None) -> None:
        """Notes that a reservation that `send` gave back is settled: there may be room for another one."""
        if reservation is not None:
            self._make_room()

    async def close(self, flying: set[asyncio.Task[Any]], *, grace: float) -> None:
        """Ends what has not left yet, waits `grace` seconds for what has, cancels the rest, and gives back what this
        process may have at endpoints that it shares with others."""
        self._closing = True
        for task in (*self._waiting, *self._greetings):
            task.cancel()
        if flying:
            _, late = await asyncio.wait(flying, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        self._deadlines.close()
        await self._claims.close()
        await asyncio.gather(*self._greetings, return_exceptions=True)
        await asyncio.gather(*(limits.close() for limits in self._limits.values()))

    async def _once(
        self,
        request: Request,
        send: Callable[[], Awaitable[T]],
        endpoint: str,
        weight: Weight,
        claim: Claim | None,
        count: WireCount,
    ) -> tuple[T, Reservation | None]:
        # A slot is held for as long as a request is on the wire, and neither while it is committed nor while it waits
        # for its next attempt. Pages name no endpoint: they cost nothing, and their client spaces them host by host.
        if not endpoint:
            refuse_late()
            await refuse_without_lease()
            self._count(request, 1)
            return await self._deadlines.kept(_this_task(), send), None
        gate = self._gate(request, endpoint)
        task = _this_task()
        self._waiting.add(task)
        refuse_late()
        began = asyncio.get_running_loop().time()
        try:
            async with gate.admitted():
                self._breaker.refuse_closed(endpoint)
                reservation = await self._reserve(request, endpoint, weight.usd, claim)
                has_left = False
                try:
                    async with gate.wire(weight.tokens):
                        self._breaker.refuse_closed(endpoint)
                        await refuse_without_lease()  # it may have slept since its reservation
                        do_not_count_since(began)
                        self._waiting.discard(task)
                        has_left = True
                        # Counted at once, for whoever looks on meanwhile, and corrected by what really left.
                        self._count(request, 1)
                        try:
                            found = await self._deadlines.kept(task, send)
                        finally:
                            self._count(request, count.requests - 1)
                    self._note_tokens(endpoint, weight, found if isinstance(found, Reply) else found[0])
                    return _costing_at_most(found, weight), reservation
                except CallError as error:
                    self._note_tokens(endpoint, weight, error)
                    # An error in place of an answer whose tokens were not told: it cost something, at most that.
                    unknown = (
                        has_left
                        and count.requests > 0
                        and (error.outcome_unknown or (error.cost is None and weight.usd is not None))
                    )
                    told = f"{error.kind}: {error.what}"
                    self._give_back(reservation, error.cost, error.tokens_in, error.tokens_out, told, unknown)
                    raise
                except BaseException as error:
                    self._give_back(reservation, 0.0, 0, 0, type(error).__name__, has_left)
                    raise
        finally:
            self._waiting.discard(task)

    async def _wait_for_others(self, claim: Claim, where: Elsewhere) -> Claim:
        """Waits until nobody else asks for a request of the claim; the claim to ask under then. Raises
        AnsweredElsewhere."""
        task = _this_task()
        self._waiting.add(task)
        try:
            with waiting_for_a_turn():
                await self._claims.ended(where.held)
        finally:
            self._waiting.discard(task)
        if claim.is_answered():
            raise AnsweredElsewhere
        # An answer that came meanwhile, and that this phase may not use, does not count the next time either.
        return claim if where.held else replace(claim, counts_from=NO_ANSWER)

    async def _reserve(self, request: Request, endpoint: str, most: float | None, claim: Claim | None) -> Reservation:
        while True:
            reservation = self._store.reservation(
                run_id=self._run_id, phase=self._phase, row_id=current_row.get(), kind=request.kind,
                endpoint=endpoint, most=most, caps=self._caps, claim=claim,
            )  # fmt: skip
            self._reserved += 1
            try:
                refusal = await self._store.reserve(reservation)
            except BaseException:
                self._give_back(reservation, 0.0, 0, 0, "not sent", False)
                raise
            if refusal is None:
                return reservation
            self._make_room()
            if isinstance(refusal, Elsewhere):
                raise AskedElsewhere(refusal)
            if not self._reserved:
                raise refusal.error(self._run_id, self._phase)
            # What is in flight will cost less than it could have.
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting_for_room.append(room)
            await room

    def _give_back(
        self, reservation: Reservation, cost: float | None, tokens_in: int, tokens_out: int, error: str, unknown: bool
    ) -> None:
        self.meter.unsettled += unknown
        self._store.settle(
            reservation, cost=cost, tokens_in=tokens_in, tokens_out=tokens_out, error=error, is_known=not unknown
        )
        self._make_room()

    def _make_room(self) -> None:
        self._reserved -= 1
        # One waits for each that is settled; when none is left to wait for, all of them learn that there is no room.
        for _ in range(len(self._waiting_for_room) if not self._reserved else 1):
            if self._waiting_for_room:
                room = self._waiting_for_room.popleft()
                if not room.done():
                    room.set_result(None)

    def _note_tokens(self, endpoint: str, weight: Weight, taken: Any) -> None:
        if endpoint in self._limits:
            was_told = taken.tokens_in or not isinstance(taken, Reply)
            self._limits[endpoint].used(
                weight.tokens, taken.tokens_in + taken.tokens_out if was_told else weight.tokens
            )

    def _gate(self, request: Request, endpoint: str) -> Gate:
        gate = self._gates.get(endpoint)
        if gate is None:
            limits = self._limits_of(endpoint) if request.kind == "model" else None
            if limits is not None:
                self._limits[endpoint] = limits
            gate = self._gates[endpoint] = Gate(self._slots, shared=limits, patience=self._backoff.patience)
            if request.kind == "model":
                self._greetings.add(asyncio.ensure_future(self._greet(endpoint, gate)))
        return gate

    async def _greet(self, endpoint: str, gate: Gate) -> None:
        try:
            if await self._is_ready(endpoint):
                gate.open()
        except EndpointError as error:
            self._breaker.close(endpoint, error)

    async def _pause(self, seconds: float) -> None:
        task = _this_task()
        self._waiting.add(task)
        try:
            await self._sleep(seconds)
        finally:
            self._waiting.discard(task)

    def _count(self, request: Request, requests: int) -> None:
        name = {"model": "model_calls", "page": "page_requests", "search": "search_requests"}[request.kind]
        setattr(self.meter, name, getattr(self.meter, name) + requests)


class _Refused:
    """How often, and for how long in all, a rate limit has held a request back since anybody was last answered."""

    def __init__(self) -> None:
        self.times = 0
        self.waited = 0.0
        self._answers = -1

    def count(self, answers: int) -> None:
        if answers != self._answers:
            self.times, self.waited, self._answers = 0, 0.0, answers
        self.times += 1


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _costing_at_most(found: T, weight: Weight) -> T:
    """What came; where nobody tells its cost, though the price is known, it costs the most that it can have cost."""
    whole = found if isinstance(found, Reply) else found[0]
    if whole.cost is not None or weight.usd is None:
        return found
    whole = replace(whole, cost=weight.usd, costs_at_most=True)
    return cast(T, whole if isinstance(found, Reply) else (whole, *found[1:]))
