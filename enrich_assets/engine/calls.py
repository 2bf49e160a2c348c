"""The one door through which requests leave: asked of the ledger first, sent once, retried, recorded, priced."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from enrich_assets.core.errors import (
    AddressRefused,
    CallError,
    EndpointError,
    FinalError,
    MalformedAnswer,
    TransientError,
)
from enrich_assets.engine.backoff import Backoff
from enrich_assets.engine.gate import Gate
from enrich_assets.engine.meter import Meter
from enrich_assets.engine.requests import (
    NOTHING_ANSWERED,
    AnswerStore,
    Reply,
    Request,
    Stored,
    remembered,
    replayed,
    share_of,
)

T = TypeVar("T")

_GIVEN_UP_IN_A_ROW = 10
"""Requests to one endpoint that may be given up with no success between them; then the endpoint counts as down."""

current_row: contextvars.ContextVar[str] = contextvars.ContextVar("current_row", default="")


class Calls:
    """Makes the calls of one phase of one run, at most `slots` at a time on the wire to each endpoint."""

    def __init__(
        self,
        answers: AnswerStore,
        *,
        run_id: str,
        phase: str,
        fresh_from: datetime,
        backoff: Backoff = Backoff(),
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        slots: int = 16,
    ) -> None:
        self.run_id = run_id
        self.phase = phase
        self.fresh_from = fresh_from
        self.meter = Meter()
        self._answers = answers
        self._backoff = backoff
        self._draw = draw
        self._sleep = sleep
        self._flights: dict[str, tuple[asyncio.Task[list[Reply | None]], int]] = {}
        self._pausing: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._given_up: dict[str, int] = {}
        self._closed_endpoints: dict[str, EndpointError] = {}
        self._slots = slots
        self._gates: dict[str, Gate] = {}

    def known(self, request: Request) -> Stored | None:
        """The answer that the ledger already holds for the request, if it is fresh enough."""
        not_before = None if request.max_age is None else self.fresh_from - request.max_age
        stored = self._answers.find_answer(request.hash, not_before=not_before)
        if stored is not None and stored.final_kind.startswith(NOTHING_ANSWERED) and stored.run_id == self.run_id:
            return None  # a run that is like this one repeats that the site was down; this one looks again
        return stored

    async def make(self, request: Request, send: Callable[[], Awaitable[Reply]], *, endpoint: str = "") -> Reply:
        """The reply to a request: from the ledger, from an equal request in flight, or sent now.

        Raises TransientError when the attempts run out, MalformedAnswer and FinalError (both remembered),
        EndpointError (which closes the endpoint for the rest of the phase).
        """
        while True:
            stored = self.known(request)
            if stored is not None:
                self.meter.answers_reused += 1
                return replayed(stored)
            flight = self._flights.get(request.hash)
            if flight is None:
                # Shielded: a caller that is cancelled takes the request from nobody else who waits for it.
                task = self._fly([request], self._send_one(request, send, endpoint))
                (reply,) = await asyncio.shield(task)
            else:
                task, position = flight
                try:
                    reply = (await asyncio.shield(task))[position]
                except (MalformedAnswer, FinalError):
                    if self.known(request) is None:
                        continue  # it travelled with others, and their request failed: it is asked by itself
                    self.meter.answers_reused += 1
                    raise
                if reply is not None:
                    self.meter.answers_reused += 1
            if reply is not None:
                return reply

    async def make_many(
        self,
        requests: Sequence[Request],
        send: Callable[[], Awaitable[tuple[Reply, Sequence[Mapping[str, Any] | None]]]],
        *,
        endpoint: str = "",
        row_ids: Sequence[str] = (),
    ) -> list[Reply | None]:
        """Several requests that travel in one: their replies in order, None for each that the answer leaves out.

        `send` gives the reply of the whole and the content for each request. Every reply is kept under its own
        request and row, with its share of tokens and cost, so that it does not matter later in which company it was
        asked.
        """
        return await asyncio.shield(self._fly(requests, self._send_many(requests, send, endpoint, row_ids)))

    async def close(self, *, grace: float = 10.0) -> None:
        """Ends what is in flight: what is on the wire may land within `grace` seconds, for it is paid already."""
        self._closing = True
        for task in self._pausing:
            task.cancel()
        flying = {task for task, _ in self._flights.values()}
        if flying:
            _, late = await asyncio.wait(flying, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _fly(
        self, requests: Sequence[Request], sending: Coroutine[Any, Any, list[Reply | None]]
    ) -> asyncio.Task[list[Reply | None]]:
        task = asyncio.ensure_future(sending)
        for position, request in enumerate(requests):
            self._flights.setdefault(request.hash, (task, position))

        def landed(_: object) -> None:
            for request in requests:
                if request.hash in self._flights and self._flights[request.hash][0] is task:
                    del self._flights[request.hash]
            if not task.cancelled():
                task.exception()  # seen: whoever waited may be gone

        task.add_done_callback(landed)
        return task

    async def _send_one(
        self, request: Request, send: Callable[[], Awaitable[Reply]], endpoint: str
    ) -> list[Reply | None]:
        try:
            reply = await self._until_sent(request, send, endpoint)
        except AddressRefused:
            raise  # settings decide it, not the site: never remembered
        except (FinalError, MalformedAnswer) as error:
            await self._keep(request, remembered(error))
            raise
        except TransientError as error:
            if request.kind == "page":
                await self._keep(request, remembered(error))
            raise
        self._add(reply)
        await self._keep(request, Stored(reply))
        return [reply]

    async def _send_many(
        self,
        requests: Sequence[Request],
        send: Callable[[], Awaitable[tuple[Reply, Sequence[Mapping[str, Any] | None]]]],
        endpoint: str,
        row_ids: Sequence[str],
    ) -> list[Reply | None]:
        whole, contents = await self._until_sent(requests[0], send, endpoint)
        self._add(whole)
        answered = sum(content is not None for content in contents)
        replies: list[Reply | None] = []
        for content in contents:
            rank = sum(reply is not None for reply in replies)
            replies.append(None if content is None else share_of(whole, content, rank, answered))
        owners = row_ids or [current_row.get()] * len(requests)
        await asyncio.gather(
            *(
                self._keep(request, Stored(reply), owner)
                for request, reply, owner in zip(requests, replies, owners, strict=True)
                if reply is not None
            )
        )
        return replies

    async def _until_sent(self, request: Request, send: Callable[[], Awaitable[T]], endpoint: str) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                found = await self._send(request, send, endpoint)
            except TransientError as error:
                self._add(error)
                if self._backoff.gives_up(attempt, error.retry_after):
                    self._count_given_up(endpoint, error)
                    raise
                if self._closing:
                    raise
                self.meter.retries += 1
                await self._pause(self._backoff.delay(attempt, error.retry_after, self._draw))
            except EndpointError as error:
                self._add(error)
                self._closed_endpoints[endpoint] = error
                raise
            except CallError as error:
                self._add(error)
                self._given_up.pop(endpoint, None)
                raise
            else:
                self._given_up.pop(endpoint, None)
                return found

    async def _send(self, request: Request, send: Callable[[], Awaitable[T]], endpoint: str) -> T:
        # A slot is held for as long as a request is on the wire, and neither while it is committed nor while it waits
        # for its next attempt. Pages name no endpoint: their client spaces them host by host.
        if not endpoint:
            self._count(request)
            return await send()
        gate = self._gates.get(endpoint)
        if gate is None:
            gate = self._gates[endpoint] = Gate(self._slots)
        async with gate:
            if endpoint in self._closed_endpoints:
                raise self._closed_endpoints[endpoint]
            self._count(request)
            return await send()

    async def _pause(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pausing.add(task)
        try:
            await self._sleep(seconds)
        finally:
            self._pausing.discard(task)

    def _count_given_up(self, endpoint: str, error: TransientError) -> None:
        # Pages name no endpoint: they come from many sites, and one that is down says nothing about the next.
        if not endpoint:
            return
        self._given_up[endpoint] = self._given_up.get(endpoint, 0) + 1
        if self._given_up[endpoint] >= _GIVEN_UP_IN_A_ROW and endpoint not in self._closed_endpoints:
            down = EndpointError(
                f"{self._given_up[endpoint]} requests in a row got no answer; the last: {error.what}",
                where=endpoint,
                fix="Wait until it is up again, or choose another.",
            )
            self._closed_endpoints[endpoint] = down
            raise down from error

    async def _keep(self, request: Request, stored: Stored, row_id: str | None = None) -> None:
        owner = current_row.get() if row_id is None else row_id
        await self._answers.keep_answer(request, stored, run_id=self.run_id, phase=self.phase, row_id=owner)

    def _count(self, request: Request) -> None:
        name = {"model": "model_calls", "page": "page_requests", "search": "search_requests"}[request.kind]
        setattr(self.meter, name, getattr(self.meter, name) + 1)

    def _add(self, spent: Reply | CallError) -> None:
        meter = self.meter
        meter.tokens_in += spent.tokens_in
        meter.tokens_out += spent.tokens_out
        meter.cost = None if meter.cost is None or spent.cost is None else meter.cost + spent.cost
