"""Asking a model: the request of a prompt, the validated answer, and asking again when it cannot be used.

A malformed or rejected answer is asked again with the reason in the prompt. That is another request with another
hash, and every raw answer is kept: so a repeated run walks the same way through the ledger without a call.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from enrich_assets.core.errors import FinalError, MalformedAnswer
from enrich_assets.engine.answer_schema import batch_schema, former_schema_of, schema_of
from enrich_assets.engine.answer_text import parsed
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import ModelReply, ModelTransport, Prompt, Weight
from enrich_assets.engine.requests import Reply, Request
from enrich_assets.engine.sending import current_row

A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")


THINKS_ALOUD = (
    "The model thinks before it answers. Its thoughts are left out of the answer, are paid as output, and count "
    "towards max_output_tokens."
)


class _Unusable(MalformedAnswer):
    """The text of an answer does not hold what was asked for."""


class Asker:
    """Asks models for one phase of one run. Implements the `Llm` client of row phases."""

    def __init__(self, calls: Calls, transport: ModelTransport, *, attempts: int) -> None:
        self._calls = calls
        self._transport = transport
        self._attempts = attempts
        self._parameters: dict[str, dict[str, Any]] = {}
        self._told: set[tuple[str, str]] = set()

    def uses(self, model: str) -> None:
        """Notes that a model works for this phase, the embedded one too."""
        self._calls.meter.models.add(model)

    async def ask(self, prompt: Prompt, answer: type[A], *, model: str) -> A:
        """The validated answer to one prompt; raises CallError."""

        def again(note: str) -> Prompt:
            return prompt.again(note) if note else prompt

        return await self.ask_until(again, answer, lambda found: found, model=model)

    def request(self, prompt: Prompt, answer: type[BaseModel], *, model: str) -> Request:
        """The request of a prompt: model, parameters, messages, schema."""
        content = {
            "model": model,
            "parameters": self._parameters_of(model),
            "messages": _messages(prompt),
            "schema": schema_of(answer),
        }
        former = former_schema_of(answer)
        return Request("model", content, former=None if former is None else {**content, "schema": former})

    def is_known(self, request: Request, row_id: str) -> bool:
        """Whether the ledger holds the answer for a row."""
        return self._calls.known(request, row_id=row_id) is not None

    async def ask_until(
        self,
        prompt: Callable[[str], Prompt],
        answer: type[A],
        decide: Callable[[A], T],
        *,
        model: str,
    ) -> T:
        """What `decide` makes of the first answer that is valid and that it accepts.

        `prompt(note)` renders the prompt; `note` says what was wrong before. `decide` rejects an answer by raising
        MalformedAnswer. When the attempts run out, gives the error's `fallback` or raises it; raises whatever the
        call raises.
        """
        note, unusable = "", ""
        for attempt in range(1, self._attempts + 1):
            request = self.request(prompt(note), answer, model=model)
            self._calls.meter.models.add(model)
            try:
                return await self._decided(request, answer, decide, model)
            except MalformedAnswer as error:
                if attempt == self._attempts:
                    if error.fallback is not None:
                        return cast(T, error.fallback)
                    raise
                # The number makes every repetition a request of its own: with the same reason twice, the ledger
                # would otherwise give the same useless answer again.
                note = error.what if attempt == 1 else f"{error.what} ({attempt} answers so far)"
                # Told why, it answered alike: a third answer would be paid for the same. What is paid already counts.
                if isinstance(error, _Unusable):
                    following = self.request(prompt(note), answer, model=model)
                    if error.what == unusable and not self.is_known(following, current_row.get()):
                        raise
                    unusable = error.what
                self._calls.meter.retries += 1
                self._calls.journal.refuse(current_row.get(), error.what, attempt)
        raise AssertionError("unreachable")

    async def _decided(self, request: Request, answer: type[A], decide: Callable[[A], T], model: str) -> T:
        send, weigh = partial(self._send, request), partial(self._weigh, request)
        reply = await self._calls.make(request, send, endpoint=model, weigh=weigh)
        try:
            return decide(_usable(reply, answer))
        except MalformedAnswer:
            if not self._calls.is_to_be_retried(reply):
                raise
        reply = await self._calls.make(request, send, endpoint=model, weigh=weigh, not_before=self._calls.retry_from)
        return decide(_usable(reply, answer))

    async def ask_batch(
        self,
        prompt: Prompt,
        requests: Sequence[Request],
        answer: type[BaseModel],
        *,
        model: str,
        row_ids: Sequence[str] = (),
    ) -> bool:
        """Asks for several rows in one request and keeps each usable answer under its own request.

        Rows that the answer leaves out, or answers unusably, stay unanswered: they are then asked alone. So does
        every row of an answer that cannot be used as a whole, or of a request that is refused (too long, say).
        False where it was not sent, because another process asked for some of the rows meanwhile and was answered.
        Raises TransientError and EndpointError.
        """
        schema = batch_schema(answer, len(requests))

        async def send() -> tuple[Reply, list[Mapping[str, Any] | None]]:
            raw = await self._transport.complete(model, _messages(prompt), schema)
            self._note_habits(model, raw)
            try:
                return _reply(raw), _split(raw, answer, len(requests))
            except MalformedAnswer as error:
                error.tokens_in, error.tokens_out, error.cost = raw.tokens_in, raw.tokens_out, raw.cost
                raise

        self._calls.meter.models.add(model)
        try:
            replies = await self._calls.make_many(
                requests,
                send,
                endpoint=model,
                row_ids=row_ids,
                weigh=lambda: self._transport.weigh(model, _messages(prompt), schema),
            )
        except (MalformedAnswer, FinalError) as error:
            self._calls.journal.note("batch_asked_alone", rows=len(requests), problem=error.what)
            return True
        return any(replies) or not any(map(self.is_known, requests, row_ids or [""] * len(requests)))

    def _parameters_of(self, model: str) -> dict[str, Any]:
        if model not in self._parameters:
            self._parameters[model] = dict(self._transport.parameters(model))
        return self._parameters[model]

    def _weigh(self, request: Request) -> Weight:
        content = request.content
        return self._transport.weigh(content["model"], content["messages"], content["schema"])

    async def _send(self, request: Request) -> Reply:
        content = request.content
        raw = await self._transport.complete(content["model"], content["messages"], content["schema"])
        self._note_habits(content["model"], raw)
        return _reply(raw)

    def _note_habits(self, model: str, raw: ModelReply) -> None:
        """Tells once a phase what a model does besides answering, and how its requests had to be put."""
        if raw.has_thought and ("thinks", model) not in self._told:
            self._told.add(("thinks", model))
            self._calls.journal.note("thinks_aloud", model=model, message=THINKS_ALOUD)
        if raw.adapted and ("adapted", model) not in self._told:
            self._told.add(("adapted", model))
            self._calls.journal.note("request_adapted", model=model, **raw.adapted)


class _Item(BaseModel):
    id: int
    answer: Any


class _Items(BaseModel):
    rows: list[_Item]


def _usable(reply: Reply, answer: type[A]) -> A:
    try:
        return parsed(str(reply.content.get("text", "")), answer)
    except MalformedAnswer as error:
        raise _Unusable(error.what) from None


def _split(raw: ModelReply, answer: type[BaseModel], rows: int) -> list[Mapping[str, Any] | None]:
    contents: list[Mapping[str, Any] | None] = [None] * rows
    items = parsed(raw.text, _Items).rows
    times = Counter(item.id for item in items)
    for item in items:
        # Two answers for one row: which of them is meant cannot be known.
        if not 1 <= item.id <= rows or times[item.id] > 1:
            continue
        alone = json.dumps(item.answer, ensure_ascii=False)
        try:
            parsed(alone, answer)
        except MalformedAnswer:
            continue
        contents[item.id - 1] = {"text": alone, **_adapted(raw)}
    return contents


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]


def _reply(raw: ModelReply) -> Reply:
    return Reply(
        content={"text": raw.text, **_adapted(raw)},
        tokens_in=raw.tokens_in,
        tokens_out=raw.tokens_out,
        cost=raw.cost,
        seconds=raw.seconds,
    )


def _adapted(raw: ModelReply) -> dict[str, Any]:
    return {"adapted": dict(raw.adapted)} if raw.adapted else {}
