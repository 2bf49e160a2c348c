"""The one door through which requests leave: asked of the ledger first, sent once, recorded, priced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from enrich_assets.core.errors import AddressRefused, FinalError, MalformedAnswer, TransientError
from enrich_assets.engine.claims import AnsweredElsewhere, Claim
from enrich_assets.engine.clients import Weight
from enrich_assets.engine.journal import Journal
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
from enrich_assets.engine.sending import Sender, current_row
from enrich_assets.engine.spending import Reservation
from enrich_assets.engine.texts import utc_text


class _Flight:
    """Requests on their way in one. Whoever waits for them waits by himself: one who is cancelled ends nothing."""

    def __init__(self, place_of: Mapping[str, int]) -> None:
        self.place_of = place_of
        self.task: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[list[Reply | None]]] = []

    def landing(self) -> asyncio.Future[list[Reply | None]]:
        """A future of its own for each who waits, with the replies in the order of the requests."""
        future: asyncio.Future[list[Reply | None]] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def land(self, replies: list[Reply | None], failure: BaseException | None) -> None:
        """Tells those who wait."""
        for future in self._waiting:
            if future.done():
                continue
            if failure is None:
                future.set_result(replies)
            elif isinstance(failure, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(failure)


class Calls:
    """Makes the calls of one phase of one run.

    `fresh_from`: from when on pages and search results count, less their `max_age`. `again_from`: no answer of before
    counts. `retry_from`: no failure of before does, of the rows in `retry_rows` (None: of all).
    """

    def __init__(
        self,
        answers: AnswerStore,
        sender: Sender,
        *,
        run_id: str,
        phase: str,
        fresh_from: datetime,
        again_from: datetime | None = None,
        retry_from: datetime | None = None,
        retry_rows: Collection[str] | None = None,
    ) -> None:
        self.run_id = run_id
        self.phase = phase
        self.fresh_from = fresh_from
        self.retry_from = retry_from
        self._retry_rows = retry_rows
        self._answers = answers
        self._sender = sender
        self._again_from = again_from
        self._renews = again_from is not None or retry_from is not None
        self._begun = max(moment for moment in (fresh_from, again_from, retry_from) if moment is not None)
        self._flights: dict[str, _Flight] = {}
        self._flying: set[_Flight] = set()
        self._just_came: set[str] = set()
        """Requests that travelled with others and were paid for now; who asks for one next reuses nothing."""

    @property
    def meter(self) -> Meter:
        """What was asked for so far."""
        return self._sender.meter

    @property
    def journal(self) -> Journal:
        """What happened so far."""
        return self._sender.journal

    def is_to_be_retried(self, reply: Reply) -> bool:
        """Whether a reply of before, which turned out to be unusable, no longer counts."""
        return (
            reply.reused
            and self.retry_from is not None
            and self._is_retried(current_row.get())
            and reply.made_at is not None
            and reply.made_at < self.retry_from
        )

    def known(
        self, request: Request, *, not_before: datetime | None = None, row_id: str | None = None
    ) -> Stored | None:
        """The answer that the ledger already holds for a row's request, or for its former form, if it is fresh enough.

        It is the present row's, unless one is named.
        """
        earliest = self._earliest(request, not_before)
        owner = current_row.get() if row_id is None else row_id
        stored = self._counting(request.hash, earliest, owner)
        # An upgrade must not make anyone pay again: the former form of a request is the same question.
        if stored is None and request.former_hash is not None:
            stored = self._counting(request.former_hash, earliest, owner)
        return stored

    def _counting(self, request_hash: str, not_before: datetime | None, row_id: str) -> Stored | None:
        """The stored answer to a hash, unless this run has to ask again for the row."""
        stored = self._answers.find_answer(request_hash, not_before=not_before)
        if stored is None or stored.final is None:
            return stored
        if stored.final_kind.startswith(NOTHING_ANSWERED) and stored.run_id == self.run_id:
            return None  # a run that is like this one repeats that the site was down; this one looks again
        is_of_before = self.retry_from is not None and (stored.reply.made_at or self.retry_from) < self.retry_from
        if is_of_before and self._is_retried(row_id):
            return None
        return stored

    def _is_retried(self, row_id: str) -> bool:
        return self._retry_rows is None or row_id in self._retry_rows

    def newest(self, request: Request) -> Stored | None:
        """The answer to the request that came last, in whatever run; None where only errors came."""
        return self._answers.newest_answer(request.hash)

    async def make(
        self,
        request: Request,
        send: Callable[[], Awaitable[Reply]],
        *,
        endpoint: str = "",
        weigh: Callable[[], Weight] | None = None,
        not_before: datetime | None = None,
    ) -> Reply:
        """The reply to a request: from the ledger, from an equal request in flight, or sent now.

        `weigh` tells what the request can take at most; without it, its price is unknown. Raises TransientError when
        the attempts run out, MalformedAnswer and FinalError (both remembered), EndpointError (which closes the
        endpoint for the rest of the phase), BudgetReached.
        """
        while True:
            stored = self.known(request, not_before=not_before)
            if stored is not None:
                if request.hash in self._just_came:
                    self._just_came.discard(request.hash)
                else:
                    self.meter.answers_reused += 1
                return replayed(stored)
            flight = self._flights.get(request.hash)
            if flight is None:
                (reply,) = await self._fly(
                    [request], self._send_one(request, send, endpoint, weigh, not_before)
                ).landing()
            else:
                try:
                    reply = (await flight.landing())[flight.place_of[request.hash]]
                except (MalformedAnswer, FinalError):
                    if self.known(request, not_before=not_before) is None:
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
        weigh: Callable[[], Weight] | None = None,
    ) -> list[Reply | None]:
        """Several requests that travel in one: their replies in order, None for each that the answer leaves out.

        `send` gives the reply of the whole and the content for each request. Every reply is kept under its own
        request and row, with its share of tokens and cost, so that it does not matter later in which company it was
        asked.
        """
        return await self._fly(requests, self._send_many(requests, send, endpoint, row_ids, weigh)).landing()

    async def close(self, *, grace: float = 10.0) -> None:
        """Ends what is in flight: what is on the wire may land within `grace` seconds, for it is paid already."""
        await self._sender.close({flight.task for flight in self._flying if flight.task is not None}, grace=grace)

    def _fly(self, requests: Sequence[Request], sending: Coroutine[Any, Any, list[Reply | None]]) -> _Flight:
        flight = _Flight({request.hash: place for place, request in enumerate(requests)})
        for request in requests:
            self._flights.setdefault(request.hash, flight)
        self._flying.add(flight)
        flight.task = asyncio.ensure_future(self._land(flight, sending))
        return flight

    async def _land(self, flight: _Flight, sending: Coroutine[Any, Any, list[Reply | None]]) -> None:
        replies: list[Reply | None] = []
        failure: BaseException | None = None
        try:
            replies = await sending
        except BaseException as error:  # the boundary of the flight: it belongs to those who wait, whatever it is
            failure = error
        self._flying.discard(flight)
        for request_hash in flight.place_of:
            if self._flights.get(request_hash) is flight:
                del self._flights[request_hash]
        flight.land(replies, failure)

    async def _send_one(
        self,
        request: Request,
        send: Callable[[], Awaitable[Reply]],
        endpoint: str,
        weigh: Callable[[], Weight] | None,
        not_before: datetime | None,
    ) -> list[Reply | None]:
        # Too long for the model: its settings decide it, and they are no part of the request; never remembered.
        weight = _weight(weigh)
        try:
            reply, reservation = await self._sender.send(
                request,
                send,
                endpoint=endpoint,
                weight=weight,
                claim=self._claim([request], [current_row.get()], not_before),
            )
        except AnsweredElsewhere:
            return [None]  # whoever asked for it looks it up
        except AddressRefused:
            raise  # settings decide it, not the site: never remembered
        except (FinalError, MalformedAnswer) as error:
            await self._keep(request, remembered(error))
            raise
        except TransientError as error:
            if request.kind == "page":
                await self._keep(request, remembered(error))
            raise
        self._sender.add(reply)
        await self._keep(request, Stored(reply), reservation=reservation)
        self._sender.note_settled(reservation)
        return [reply]

    async def _send_many(
        self,
        requests: Sequence[Request],
        send: Callable[[], Awaitable[tuple[Reply, Sequence[Mapping[str, Any] | None]]]],
        endpoint: str,
        row_ids: Sequence[str],
        weigh: Callable[[], Weight] | None,
    ) -> list[Reply | None]:
        owners = row_ids or [current_row.get()] * len(requests)
        claim = self._claim(requests, owners, None)
        try:
            (whole, contents), reservation = await self._sender.send(
                requests[0], send, endpoint=endpoint, weight=_weight(weigh), claim=claim
            )
        except AnsweredElsewhere:
            return [None] * len(requests)
        self._sender.add(whole)
        answered = sum(content is not None for content in contents)
        replies: list[Reply | None] = []
        for content in contents:
            rank = sum(reply is not None for reply in replies)
            replies.append(None if content is None else share_of(whole, content, rank, answered))
        if reservation is not None:
            # Before the answers, in the writer's order: a group may hold some of them only, and this never last.
            self._answers.settle(
                reservation,
                ends_claim=False,
                cost=whole.cost,
                tokens_in=whole.tokens_in,
                tokens_out=whole.tokens_out,
                is_known=not whole.costs_at_most,
            )
        await asyncio.gather(
            *(
                self._keep(request, Stored(reply), owner)
                for request, reply, owner in zip(requests, replies, owners, strict=True)
                if reply is not None
            )
        )
        if reservation is not None and reservation.claim is not None:
            self._answers.end_claim(reservation.claim)
        self._sender.note_settled(reservation)
        for request, reply in zip(requests, replies, strict=True):
            if reply is not None:
                self._just_came.add(request.hash)
        return replies

    def _earliest(self, request: Request, not_before: datetime | None) -> datetime | None:
        moments = [self._again_from, not_before, None if request.max_age is None else self.fresh_from - request.max_age]
        return max((moment for moment in moments if moment is not None), default=None)

    def _claim(self, requests: Sequence[Request], owners: Sequence[str], not_before: datetime | None) -> Claim:
        """The claim on requests that travel in one and are not answered as far as this phase knows."""
        first = requests[0]
        moments = (self._earliest(first, not_before), self.retry_from)
        counts_from = max((utc_text(moment) for moment in moments if moment is not None), default="")

        def is_answered() -> bool:
            known = partial(self.known, not_before=not_before)
            return any(known(one, row_id=owner) is not None for one, owner in zip(requests, owners, strict=True))

        return Claim(tuple({request.hash: None for request in requests}), counts_from, is_answered)

    async def _keep(
        self,
        request: Request,
        stored: Stored,
        row_id: str | None = None,
        *,
        reservation: Reservation | None = None,
    ) -> None:
        await self._answers.keep_answer(
            request,
            stored,
            run_id=self.run_id,
            phase=self.phase,
            row_id=current_row.get() if row_id is None else row_id,
            reservation=reservation,
            supersedes=self._renews,
            not_before=self._begun,
        )


def _weight(weigh: Callable[[], Weight] | None) -> Weight:
    return Weight(0, None) if weigh is None else weigh()
