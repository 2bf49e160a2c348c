"""The one door through which requests leave: asked of the ledger first, sent once, retried, recorded, priced."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal, Protocol, TypeVar

from enrich_assets.core.envelope import Usage
from enrich_assets.core.errors import (
    AddressRefused,
    CallError,
    EndpointError,
    FinalError,
    MalformedAnswer,
    TransientError,
)
from enrich_assets.core.fingerprint import fingerprint
from enrich_assets.engine.gate import Gate

T = TypeVar("T")

_GIVEN_UP_IN_A_ROW = 10
"""Requests to one endpoint that may be given up with no success between them; then the endpoint counts as down."""
_MALFORMED = "malformed/"
NOTHING_ANSWERED = "transient/"

current_row: contextvars.ContextVar[str] = contextvars.ContextVar("current_row", default="")


@dataclass(frozen=True)
class Request:
    """One request by its content: everything that is sent and can change the answer, and nothing else.

    `max_age`: an answer counts when it is at most this old when the run begins (None: for ever).
    """

    kind: Literal["model", "page", "search"]
    content: Mapping[str, Any]
    max_age: timedelta | None = None

    @cached_property
    def hash(self) -> str:
        """SHA-256 of kind and content."""
        return fingerprint({"kind": self.kind, "content": self.content})


@dataclass(frozen=True)
class Reply:
    """What came back, as JSON-able content, and what it cost. `cost` in USD; None where the price is unknown."""

    content: Mapping[str, Any]
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0
    made_at: datetime | None = None
    reused: bool = False


@dataclass(frozen=True)
class Stored:
    """An answer in the ledger.

    `final` carries the message where there was none to use: an error that asking the same again cannot mend, or, with
    a `final_kind` that begins with `malformed/`, an answer that was cut off or empty, with `transient/` a page that
    could not be had in the run `run_id`.
    """

    reply: Reply
    final: str | None = None
    final_kind: str = ""
    run_id: str = ""


class AnswerStore(Protocol):
    """The part of the ledger that `Calls` needs."""

    def find_answer(self, request_hash: str, *, not_before: datetime | None) -> Stored | None: ...

    async def keep_answer(self, request: Request, stored: Stored, *, run_id: str, phase: str, row_id: str) -> None: ...


@dataclass(frozen=True)
class Backoff:
    """Retries of transient errors: exponential with full jitter (AWS Architecture Blog, 2015), seconds.

    A server's own wish (Retry-After) is kept exactly, up to `patience`; a request that would have to wait longer is
    given up for this run, because asking earlier than the server wants is of no use.
    """

    attempts: int = 5
    first: float = 0.5
    longest: float = 30.0
    patience: float = 120.0

    def gives_up(self, attempt: int, retry_after: float | None) -> bool:
        """Whether the given failed attempt (1, 2, …) was the last one."""
        return attempt >= self.attempts or (retry_after is not None and retry_after > self.patience)

    def delay(self, attempt: int, retry_after: float | None, draw: Callable[[], float]) -> float:
        """Seconds to wait after the given failed attempt (1, 2, …)."""
        if retry_after is not None:
            return max(0.0, retry_after) + 0.1 * draw()
        return min(self.longest, self.first * float(2 ** (attempt - 1))) * draw()


@dataclass
class Meter:
    """Counts what one phase asked for."""

    model_calls: int = 0
    page_requests: int = 0
    search_requests: int = 0
    answers_reused: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    models: set[str] = field(default_factory=set)

    def usage(self) -> Usage:
        """The counts as an envelope records them."""
        values = {name: getattr(self, name) for name in Usage.model_fields if name != "models"}
        return Usage(**values, models=tuple(sorted(self.models)))


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
                return _replayed(stored)
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
            await self._keep(request, _remembered(error))
            raise
        except TransientError as error:
            if request.kind == "page":
                await self._keep(request, _remembered(error))
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
            replies.append(None if content is None else _share(whole, content, rank, answered))
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


def _replayed(stored: Stored) -> Reply:
    if stored.final is None:
        return stored.reply
    if stored.final_kind.startswith(NOTHING_ANSWERED):
        down = TransientError(stored.final)
        down.kind = stored.final_kind.removeprefix(NOTHING_ANSWERED)
        raise down
    kind, malformed = stored.final_kind.removeprefix(_MALFORMED), stored.final_kind.startswith(_MALFORMED)
    error = MalformedAnswer(stored.final) if malformed else FinalError(stored.final)
    error.kind = kind or error.kind
    raise error


def _remembered(error: CallError) -> Stored:
    spent = Reply({}, tokens_in=error.tokens_in, tokens_out=error.tokens_out, cost=error.cost)
    if isinstance(error, TransientError):
        return Stored(spent, final=str(error), final_kind=f"{NOTHING_ANSWERED}{error.kind}")
    if isinstance(error, MalformedAnswer):
        # Only what was wrong: it goes into the next prompt, which has to be the same one on every repetition.
        return Stored(spent, final=error.what, final_kind=f"{_MALFORMED}{error.kind}")
    return Stored(spent, final=str(error), final_kind=error.kind)


def _share(whole: Reply, content: Mapping[str, Any], rank: int, shares: int) -> Reply:
    def part(tokens: int) -> int:
        return tokens // shares + (rank < tokens % shares)

    return Reply(
        content=content,
        tokens_in=part(whole.tokens_in),
        tokens_out=part(whole.tokens_out),
        cost=None if whole.cost is None else whole.cost / shares,
        seconds=whole.seconds,
        made_at=whole.made_at,
    )
