"""The form in which an endpoint takes a request: learnt from what it refuses, and remembered for this process.

OpenAI's newer models want `max_completion_tokens` and no temperature, gateways know `json_object` and not
`json_schema`, small servers neither. What is asked for stays the same, and so does the request's hash; only what is
sent is adapted, and the reply says how. A refused request costs nothing, yet each row would be refused: so until an
endpoint has answered, requests leave one at a time, and the others go on with what that one learnt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace

from enrich_assets.core.errors import CallError, EndpointError, FinalError, MalformedAnswer, TransientError
from enrich_assets.engine.clients import ModelReply
from enrich_assets.engine.deadlines import waiting_for_a_turn
from enrich_assets.engine.wire_count import note_requests
from enrich_assets.models.faults import ParameterRefused
from enrich_assets.models.places import limits_of
from enrich_assets.models.settings import ModelEndpoint

_REFUSED_WITHIN = 2.0
"""Seconds: an endpoint refuses a parameter before it begins to answer. Whoever is not refused by then is answered."""
_NEXT_FORMAT = {"json_schema": "json_object", "json_object": "words"}
_OTHER_TOKENS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


@dataclass(frozen=True)
class WireForm:
    """How a request is put to an endpoint."""

    response_format: str = "json_schema"
    """`json_schema`; `json_object`, with the schema in the prompt; `words`: in the prompt alone."""
    token_parameter: str = "max_tokens"
    temperature: str = "as set"
    """`left out` where the endpoint takes only its own."""
    schema_without: str = ""
    """Keywords that the endpoint refuses in a schema, with spaces between them."""

    def adapted_from(self, intended: WireForm) -> dict[str, str]:
        """What differs from the form that was intended."""
        names = [field.name for field in fields(self)]
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(intended, name)}


class Endpoint:
    """What is known of one endpoint and model on one path."""

    def __init__(self, intended: WireForm) -> None:
        self.form = intended
        self.has_answered = False
        self._taken: frozenset[str] = frozenset()
        """Keywords of schemas that it has answered to."""
        self._intended = intended
        self._scout: _Scout | None = None

    async def send(
        self,
        endpoint: ModelEndpoint,
        send: Callable[[WireForm], Awaitable[ModelReply]],
        keywords: frozenset[str] = frozenset(),
    ) -> ModelReply:
        """The reply of `send`, which gets the form that the endpoint takes; raises what it raises.

        `keywords`: those of the request's schema.
        """
        note_requests(0)
        if self._knows(keywords):
            return await self._adapting(endpoint, send, keywords)
        await self._wait_for_the_scout(keywords)
        scout = None
        if not self._knows(keywords) and self._scout is None:
            scout = self._scout = _Scout()
        try:
            return await self._adapting(endpoint, send, keywords)
        except (EndpointError, TransientError) as error:
            # What holds for all who wait: they are told the same, and send nothing.
            if scout is not None and (isinstance(error, EndpointError) or error.kind == "rate limit"):
                scout.failure = error
            raise
        finally:
            if scout is not None:
                self._scout = None
                scout.is_back.set()

    def _knows(self, keywords: frozenset[str]) -> bool:
        return self.has_answered and keywords <= self._taken

    async def _adapting(
        self,
        endpoint: ModelEndpoint,
        send: Callable[[WireForm], Awaitable[ModelReply]],
        keywords: frozenset[str],
    ) -> ModelReply:
        refusals: list[str] = []
        while True:
            form = self.form
            note_requests(1)
            try:
                reply = await send(form)
            except ParameterRefused as error:
                if form.response_format == "json_schema" and not error.keywords.isdisjoint(
                    keywords.difference(form.schema_without.split())
                ):
                    left_out = " ".join(sorted(error.keywords.union(form.schema_without.split())))
                    if self.form == form:
                        self.form = replace(form, schema_without=left_out)
                    continue
                other = _without(form, error.parameter, endpoint)
                # Each once, the format twice; what the settings name is not changed.
                if other is None or refusals.count(error.parameter) >= (
                    2 if error.parameter == "response_format" else 1
                ):
                    raise EndpointError(error.what, where=error.where, fix=error.fix, kind=error.kind) from None
                refusals.append(error.parameter)
                if self.form == form:
                    self.form = other
            except (MalformedAnswer, FinalError) as error:
                self.has_answered |= not isinstance(error, FinalError) or error.kind != "bad request"
                raise
            else:
                self.has_answered = True
                self._taken |= keywords
                adapted = form.adapted_from(self._intended)
                return replace(reply, adapted=adapted) if adapted else reply

    async def _wait_for_the_scout(self, keywords: frozenset[str]) -> None:
        loop = asyncio.get_running_loop()
        while not self._knows(keywords) and (scout := self._scout) is not None and scout.loop is loop:
            left = scout.sent_at + _REFUSED_WITHIN - loop.time()
            if left <= 0:
                return
            try:
                with waiting_for_a_turn():
                    await asyncio.wait_for(scout.is_back.wait(), left)
            except TimeoutError:
                return
            if scout.failure is not None:
                raise _copied(scout.failure)


class _Scout:
    """The one request that finds out how an endpoint wants it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.sent_at = self.loop.time()
        self.is_back = asyncio.Event()
        self.failure: EndpointError | TransientError | None = None


_endpoints: dict[str, Endpoint] = {}


def learnt_of(endpoint: ModelEndpoint, *, supports: str = "json_schema") -> Endpoint:
    """What this process knows of an endpoint; `supports`: the format that it is known to take before a request."""
    intended = WireForm(
        response_format=supports if endpoint.response_format == "auto" else endpoint.response_format,
        token_parameter="max_tokens" if endpoint.token_parameter == "auto" else endpoint.token_parameter,
    )
    # The key of its limits names address, account and model; the settings and the path decide what is intended.
    key = f"{limits_of(endpoint).key} {endpoint.is_direct} {endpoint.temperature} {intended}"
    if key not in _endpoints:
        _endpoints[key] = Endpoint(intended)
    return _endpoints[key]


def _without(form: WireForm, parameter: str, endpoint: ModelEndpoint) -> WireForm | None:
    """The form without what was refused; None where there is no other."""
    if parameter == "response_format" and endpoint.response_format == "auto":
        other = _NEXT_FORMAT.get(form.response_format)
        return None if other is None else replace(form, response_format=other)
    if parameter in ("max_tokens", "max_completion_tokens") and endpoint.token_parameter == "auto":
        other = _OTHER_TOKENS[form.token_parameter]
        # Who refuses max_tokens for the other one is a reasoning model, which takes no temperature but 1: one refusal
        # tells both. https://platform.openai.com/docs/guides/reasoning
        is_reasoning = other == "max_completion_tokens" and endpoint.temperature not in (None, 1)
        return replace(form, token_parameter=other, temperature="left out" if is_reasoning else form.temperature)
    if parameter == "temperature" and form.temperature == "as set" and endpoint.temperature is not None:
        return replace(form, temperature="left out")
    return None


def _copied(error: EndpointError | TransientError) -> CallError:
    if isinstance(error, TransientError):
        return TransientError(
            error.what, where=error.where, fix=error.fix, kind=error.kind, retry_after=error.retry_after
        )
    return EndpointError(error.what, where=error.where, fix=error.fix, kind=error.kind)
