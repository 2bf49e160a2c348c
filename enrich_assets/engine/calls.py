"""The one door through which requests leave: asked of the ledger first, sent once, retried, recorded, priced."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

from enrich_assets.core.envelope import Usage
from enrich_assets.core.errors import AddressRefused, EndpointError, FinalError, TransientError
from enrich_assets.core.fingerprint import fingerprint

T = TypeVar("T")

current_row: contextvars.ContextVar[str] = contextvars.ContextVar("current_row", default="")


@dataclass(frozen=True)
class Request:
    """One request by its content: everything that is sent and can change the answer, and nothing else.

    `max_age`: an answer counts when it is at most this old when the run begins (None: for ever).
    """

    kind: Literal["model", "page", "search"]
    content: Mapping[str, Any]
    max_age: timedelta | None = None

    @property
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
    """An answer in the ledger. `final` carries the message of an error that asking again cannot mend."""

    reply: Reply
    final: str | None = None
    final_kind: str = ""


class AnswerStore(Protocol):
    """The part of the ledger that `Calls` needs."""

    def find_answer(self, request_hash: str, *, not_before: datetime | None) -> Stored | None: ...

    async def keep_answer(self, request: Request, stored: Stored, *, run_id: str, phase: str, row_id: str) -> None: ...


@dataclass(frozen=True)
class Backoff:
    """Retries of transient errors: exponential with full jitter (AWS Architecture Blog, 2015), seconds."""

    attempts: int = 5
    first: float = 0.5
    longest: float = 30.0

    def delay(self, attempt: int, retry_after: float | None, draw: Callable[[], float]) -> float:
        """Seconds to wait after the given failed attempt (1, 2, …)."""
        if retry_after is not None:
            return min(retry_after, self.longest) + 0.1 * draw()
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
    """Makes the calls of one phase of one run."""

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
    ) -> None:
        self.run_id = run_id
        self.phase = phase
        self.fresh_from = fresh_from
        self.meter = Meter()
        self._answers = answers
        self._backoff = backoff
        self._draw = draw
        self._sleep = sleep
        self._in_flight: dict[str, asyncio.Task[Reply]] = {}
        self._closed_endpoints: dict[str, EndpointError] = {}

    def known(self, request: Request) -> Stored | None:
        """The answer that the ledger already holds for the request, if it is fresh enough."""
        not_before = None if request.max_age is None else self.fresh_from - request.max_age
        return self._answers.find_answer(request.hash, not_before=not_before)

    async def make(
        self, request: Request, send: Callable[[], Awaitable[Reply]], *, endpoint: str = ""
    ) -> Reply:
        """The reply to a request: from the ledger, from an equal request in flight, or sent now.

        Raises TransientError when the attempts run out, FinalError (remembered), EndpointError (which closes the
        endpoint for the rest of the phase).
        """
        stored = self.known(request)
        if stored is not None:
            self.meter.answers_reused += 1
            if stored.final is not None:
                error = FinalError(stored.final)
                error.kind = stored.final_kind or error.kind
                raise error
            return stored.reply
        task = self._in_flight.get(request.hash)
        if task is not None:
            self.meter.answers_reused += 1
            return await asyncio.shield(task)
        task = asyncio.ensure_future(self._send(request, send, endpoint))
        self._in_flight[request.hash] = task
        task.add_done_callback(lambda _: self._in_flight.pop(request.hash, None))
        return await task

    async def make_many(
        self,
        requests: Sequence[Request],
        send: Callable[[], Awaitable[tuple[Reply, Sequence[Mapping[str, Any] | None]]]],
        *,
        endpoint: str = "",
    ) -> list[Reply | None]:
        """Several requests that travel in one: their replies in order, None for each that the answer leaves out.

        `send` gives the reply of the whole and the content for each request. Every reply is kept under its own
        request, with its share of tokens and cost, so that it does not matter later in which company it was asked.
        """
        whole, contents = await self._until_sent(requests[0], send, endpoint)
        self._add(whole)
        share = sum(content is not None for content in contents) or 1
        replies = [
            None
            if content is None
            else Reply(
                content=content,
                tokens_in=whole.tokens_in // share,
                tokens_out=whole.tokens_out // share,
                cost=None if whole.cost is None else whole.cost / share,
                seconds=whole.seconds,
                made_at=whole.made_at,
            )
            for content in contents
        ]
        await asyncio.gather(
            *(
                self._keep(request, Stored(reply))
                for request, reply in zip(requests, replies, strict=True)
                if reply is not None
            )
        )
        return replies

    async def _send(self, request: Request, send: Callable[[], Awaitable[Reply]], endpoint: str) -> Reply:
        try:
            reply = await self._until_sent(request, send, endpoint)
        except AddressRefused:
            raise  # settings decide it, not the site: never remembered
        except FinalError as error:
            await self._keep(request, Stored(Reply({}), final=str(error), final_kind=error.kind))
            raise
        self._add(reply)
        await self._keep(request, Stored(reply))
        return reply

    async def _until_sent(self, request: Request, send: Callable[[], Awaitable[T]], endpoint: str) -> T:
        attempt = 0
        while True:
            attempt += 1
            if endpoint in self._closed_endpoints:
                raise self._closed_endpoints[endpoint]
            self._count(request)
            try:
                return await send()
            except TransientError as error:
                if attempt >= self._backoff.attempts:
                    raise
                self.meter.retries += 1
                await self._sleep(self._backoff.delay(attempt, error.retry_after, self._draw))
            except EndpointError as error:
                self._closed_endpoints[endpoint] = error
                raise

    async def _keep(self, request: Request, stored: Stored) -> None:
        await self._answers.keep_answer(
            request, stored, run_id=self.run_id, phase=self.phase, row_id=current_row.get()
        )

    def _count(self, request: Request) -> None:
        name = {"model": "model_calls", "page": "page_requests", "search": "search_requests"}[request.kind]
        setattr(self.meter, name, getattr(self.meter, name) + 1)

    def _add(self, reply: Reply) -> None:
        meter = self.meter
        meter.tokens_in += reply.tokens_in
        meter.tokens_out += reply.tokens_out
        meter.cost = None if meter.cost is None or reply.cost is None else meter.cost + reply.cost
