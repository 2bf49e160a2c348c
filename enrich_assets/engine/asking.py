"""Asking a model: the request of a prompt, the validated answer, and asking again when it cannot be used.

A malformed or rejected answer is asked again with the reason in the prompt. That is another request with another
hash, and every raw answer is kept: so a repeated run walks the same way through the ledger without a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from enrich_assets.core.errors import MalformedAnswer
from enrich_assets.engine.calls import Calls, Reply, Request
from enrich_assets.engine.clients import ModelReply, ModelTransport, Prompt

A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")


class Asker:
    """Asks models for one phase of one run. Implements the `Llm` client of row phases."""

    def __init__(self, calls: Calls, transport: ModelTransport, *, attempts: int) -> None:
        self._calls = calls
        self._transport = transport
        self._attempts = attempts

    async def ask(self, prompt: Prompt, answer: type[A], *, model: str) -> A:
        """The validated answer to one prompt; raises CallError."""

        def again(note: str) -> Prompt:
            if not note:
                return prompt
            user = f"{prompt.user}\n\nYour last answer could not be used: {note}\nAnswer again, and mend that."
            return Prompt(prompt.system, user)

        return await self.ask_until(again, answer, lambda found: found, model=model)

    def request(self, prompt: Prompt, answer: type[BaseModel], *, model: str) -> Request:
        """The request of a prompt: model, parameters, messages, schema."""
        content = {
            "model": model,
            "parameters": dict(self._transport.parameters(model)),
            "messages": _messages(prompt),
            "schema": answer.model_json_schema(),
        }
        return Request("model", content)

    def is_known(self, request: Request) -> bool:
        """Whether the ledger holds the answer."""
        return self._calls.known(request) is not None

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
        MalformedAnswer. Raises MalformedAnswer when the attempts run out, and whatever the call raises.
        """
        note = ""
        for attempt in range(1, self._attempts + 1):
            request = self.request(prompt(note), answer, model=model)
            try:
                reply = await self._calls.make(request, lambda r=request: self._send(r), endpoint=model)
                self._calls.meter.models.add(model)
                return decide(parsed(str(reply.content.get("text", "")), answer))
            except MalformedAnswer as error:
                note = error.what
                if attempt == self._attempts:
                    raise
                self._calls.meter.retries += 1
        raise AssertionError("unreachable")

    async def ask_batch(self, prompt: Prompt, requests: Sequence[Request], answer: type[BaseModel], *, model: str) -> None:
        """Asks for several rows in one request and keeps each usable answer under its own request.

        Rows that the answer leaves out, or answers unusably, stay unanswered: they are then asked alone.
        """
        schema = batch_schema(answer, len(requests))

        async def send() -> tuple[Reply, list[Mapping[str, Any] | None]]:
            raw = await self._transport.complete(model, _messages(prompt), schema)
            return _reply(raw), _split(raw.text, answer, len(requests))

        self._calls.meter.models.add(model)
        try:
            await self._calls.make_many(requests, send, endpoint=model)
        except MalformedAnswer:
            return

    async def _send(self, request: Request) -> Reply:
        content = request.content
        return _reply(await self._transport.complete(content["model"], content["messages"], content["schema"]))


def parsed(text: str, answer: type[A]) -> A:
    """The validated answer in a raw text; raises MalformedAnswer that names what is wrong with it."""
    body = text.strip()
    if body.startswith("```"):
        body = body.strip("`").removeprefix("json").strip()
    if not body:
        raise MalformedAnswer("the answer was empty")
    try:
        return answer.model_validate_json(body)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors()[:3]]
        raise MalformedAnswer("; ".join(problems)) from None


def batch_schema(answer: type[BaseModel], rows: int) -> dict[str, Any]:
    """JSON schema of the answer to a prompt of several rows: `{"rows": [{"id": 1, "answer": …}, …]}`."""
    inner = answer.model_json_schema()
    definitions = inner.pop("$defs", {})
    item = {
        "type": "object",
        "properties": {"id": {"type": "integer", "minimum": 1, "maximum": rows}, "answer": inner},
        "required": ["id", "answer"],
        "additionalProperties": False,
    }
    schema = {
        "title": f"{answer.__name__}Rows",
        "type": "object",
        "properties": {"rows": {"type": "array", "items": item, "minItems": rows, "maxItems": rows}},
        "required": ["rows"],
        "additionalProperties": False,
    }
    return {**schema, "$defs": definitions} if definitions else schema


def _split(text: str, answer: type[BaseModel], rows: int) -> list[Mapping[str, Any] | None]:
    class Item(BaseModel):
        id: int
        answer: Any

    class Items(BaseModel):
        rows: list[Item]

    contents: list[Mapping[str, Any] | None] = [None] * rows
    for item in parsed(text, Items).rows:
        if not 1 <= item.id <= rows:
            continue
        try:
            valid = answer.model_validate(item.answer)
        except ValidationError:
            continue
        contents[item.id - 1] = {"text": valid.model_dump_json()}
    return contents


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]


def _reply(raw: ModelReply) -> Reply:
    return Reply(
        content={"text": raw.text},
        tokens_in=raw.tokens_in,
        tokens_out=raw.tokens_out,
        cost=raw.cost,
        seconds=raw.seconds,
    )
