"""The direct path: requests to OpenAI-compatible endpoints of one's own, over aiohttp alone.

Belongs here: the protocol of `chat/completions` and the connections. What a failure is called is decided in
`models.faults`, so that both paths name it alike; caching, retries and validation are the engine's.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from enrich_assets.core.errors import (
    AddressRefused,
    CallError,
    EndpointError,
    FinalError,
    MalformedAnswer,
    TransientError,
)
from enrich_assets.engine.clients import EndpointLimits, ModelReply, Weight
from enrich_assets.models.adapting import WireForm, learnt_of
from enrich_assets.models.faults import failed_call, words_of
from enrich_assets.models.llm import endpoint_of, key_of, parameters_of
from enrich_assets.models.places import limits_of
from enrich_assets.models.prices import has_own_prices, listed_cost, own_cost
from enrich_assets.models.reach import guard_of, refused_endpoint
from enrich_assets.models.replies import completion_in, reply_of
from enrich_assets.models.schema_keywords import keywords_of
from enrich_assets.models.schemas import format_text, with_schema_in_words
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.weights import weight_of
from enrich_assets.web.connector import GuardedConnector
from enrich_assets.web.guard import AddressGuard
from enrich_assets.web.transport import LONGEST_FIELD, MOST_FIELDS

ANSWER_LIMIT = 10_000_000
"""Most bytes of an answer that are read."""
_ERROR_LIMIT = 100_000
_PATIENCE_SECONDS = 5.0
"""For the list of models: without it work begins too, only more carefully."""
# Below the five seconds after which uvicorn, and with it vLLM, closes an idle connection: a request that is sent on
# one that closes at that moment is lost, and must not be repeated blindly.
_KEEP_ALIVE_SECONDS = 4.0
# No connection, no request: these cannot have been carried out.
_NEVER_LEFT = (aiohttp.ClientConnectorError, aiohttp.ServerFingerprintMismatch, aiohttp.ConnectionTimeoutError)


class DirectModels:
    """Sends requests to OpenAI-compatible endpoints (`engine.clients.ModelTransport`).

    Each event loop has one session: kept-alive connections, as many as the engine admits requests; no cookies, no
    proxies, no redirects. It is opened by the loop's first request and closed when `asyncio.run` ends the loop.
    """

    def __init__(self, endpoints: Mapping[str, ModelEndpoint]) -> None:
        self._endpoints = dict(endpoints)
        self._guard = guard_of(self._endpoints.values())
        self._sessions: dict[asyncio.AbstractEventLoop, _Opened] = {}

    def parameters(self, model: str) -> Mapping[str, Any]:
        """What is sent besides messages and schema and can change the answer; no address, no key."""
        return parameters_of(endpoint_of(model, self._endpoints))

    def weigh(self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> Weight:
        """The most that the request can take; raises FinalError when it is longer than the model's context window."""
        return weight_of(endpoint_of(model, self._endpoints), messages, schema, model=model)

    def limits(self, model: str) -> EndpointLimits:
        """What the model's endpoint allows all processes together."""
        return limits_of(endpoint_of(model, self._endpoints))

    async def is_ready(self, model: str) -> bool:
        """Whether the endpoint's list of models, which costs nothing, is given for the key and names the model.

        Raises EndpointError where the key is refused. https://platform.openai.com/docs/api-reference/models/list
        """
        endpoint = endpoint_of(model, self._endpoints)
        key = key_of(endpoint, model) or ""
        session = await self._session()
        try:
            async with session.get(
                _address(endpoint.base_url or "", "models"),
                headers=_headers(key),
                allow_redirects=False,
                timeout=_deadline(min(_PATIENCE_SECONDS, endpoint.timeout_seconds)),
            ) as response:
                status, headers = response.status, response.headers
                raw = await _read(response, ANSWER_LIMIT)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TransientError, FinalError):
            return False  # what is wrong, the first request for an answer tells
        found = _parsed(raw or b"")
        if status in (401, 403):
            raise _failure(found, raw or b"", status, headers, model=model, key=key)
        listed = found.get("data") if status == 200 and isinstance(found, dict) else None
        name = endpoint.model.removeprefix("openai/")
        return isinstance(listed, list) and any(isinstance(one, dict) and one.get("id") == name for one in listed)

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        """The raw text of the model's answer with tokens, cost (None where no price is known) and seconds.

        Raises TransientError (slow down, 5xx, reset, time-out, half an answer), EndpointError (key, unknown model,
        quota, redirect), FinalError (refused, filtered, prompt too long), MalformedAnswer (cut off, empty, or more
        than 10 MB). An error about an answer that came carries its tokens and cost.
        """
        endpoint = endpoint_of(model, self._endpoints)
        send = partial(self._send, model, endpoint, messages, schema)
        return await learnt_of(endpoint).send(endpoint, send, keywords_of(schema))

    async def _send(
        self,
        model: str,
        endpoint: ModelEndpoint,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        form: WireForm,
    ) -> ModelReply:
        key = key_of(endpoint, model) or ""
        session = await self._session()
        started = time.perf_counter()
        try:
            async with session.post(
                _address(endpoint.base_url or "", "chat/completions"),
                data=_body(endpoint, messages, schema, form),
                headers=_headers(key),
                allow_redirects=False,
                timeout=_deadline(endpoint.timeout_seconds),
            ) as response:
                status, headers = response.status, response.headers
                raw = await _read(response, ANSWER_LIMIT if status < 300 else _ERROR_LIMIT)
        except TimeoutError:
            raise failed_call("", model=model, known="timeout", seconds=endpoint.timeout_seconds) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            fix = "Correct base_url in the settings: http://host:port/v1 or https://…"
            raise EndpointError("The endpoint's address is none.", where=model, fix=fix) from None
        except ValueError:  # aiohttp's word for a line break in a header, and the message may quote it
            fix = "Check the environment variable that holds the key."
            raise failed_call("It holds a line break.", model=model, known="authentication") from None
        except AddressRefused as error:
            raise refused_endpoint(error, model=model) from None
        except (TransientError, FinalError) as error:  # of the resolver
            raise failed_call(error.what, model=model, key=key, known="connection") from None
        except (aiohttp.ClientError, OSError) as error:
            text = str(error) or type(error).__name__
            has_left = not isinstance(error, _NEVER_LEFT)
            raise failed_call(text, model=model, key=key, known="connection", has_left=has_left) from None
        seconds = time.perf_counter() - started
        if raw is None and status < 300:
            raise _oversized(endpoint, model)
        if status >= 300:
            raise _failure(_parsed(raw or b""), raw or b"", status, headers, model=model, key=key)
        found = completion_in(raw or b"", headers.get("Content-Type", ""), model=model)
        price = partial(_cost, endpoint)
        return reply_of(found, endpoint, model=model, key=key, seconds=seconds, price=price)

    async def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        known = self._sessions.get(loop)
        if known is not None and not known.session.closed:
            return known.session
        life = _life(lambda: self._sessions.pop(loop, None), self._guard)
        # The first step of an asynchronous generator is what makes the loop finish it when it ends.
        session = await anext(life)
        self._sessions[loop] = _Opened(session, life)
        return session


@dataclass(frozen=True)
class _Opened:
    session: aiohttp.ClientSession
    life: AsyncGenerator[aiohttp.ClientSession, None]


async def _life(forget: Callable[[], object], guard: AddressGuard) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """A session that lives until the loop ends: `asyncio.run` finishes generators while sockets can still close."""
    session = aiohttp.ClientSession(
        # The engine's window decides how many requests are in flight.
        connector=GuardedConnector(guard, keepalive_timeout=_KEEP_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        # Gateways before a model send large headers too.
        max_line_size=LONGEST_FIELD,
        max_field_size=LONGEST_FIELD,
        max_headers=MOST_FIELDS,
    )
    try:
        yield session
    finally:
        forget()
        await session.close()
        await asyncio.sleep(0)  # transports close in the loop's next turn


@lru_cache(maxsize=64)
def _address(base_url: str, path: str) -> URL:
    return URL(f"{base_url.rstrip('/')}/{path}")


@lru_cache(maxsize=64)
def _deadline(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds)


def _headers(key: str) -> CIMultiDict[str]:
    return CIMultiDict(
        {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            # Nothing to unpack: an answer is small, and a packed one could be large.
            "Accept-Encoding": "identity",
        }
    )


def _body(
    endpoint: ModelEndpoint, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], form: WireForm
) -> bytes:
    if form.response_format != "json_schema":
        messages = with_schema_in_words(messages, schema)
    body: dict[str, Any] = {
        "model": endpoint.model.removeprefix("openai/"),
        "messages": [dict(message) for message in messages],
        form.token_parameter: endpoint.max_output_tokens,
    }
    if endpoint.temperature is not None and form.temperature == "as set":
        body["temperature"] = endpoint.temperature
    if form.response_format == "json_object":
        body["response_format"] = {"type": "json_object"}
    head = json.dumps(body)  # ASCII: what is no character at all (a lone surrogate) can be sent too
    if form.response_format != "json_schema":
        return head.encode("ascii")
    return f'{head[:-1]}, "response_format": {format_text(schema, form.schema_without)}}}'.encode("ascii")


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The body; None, with the connection closed, as soon as there is more of it than `limit` bytes."""
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limit:
            response.close()
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _failure(found: Any, raw: bytes, status: int, headers: Mapping[str, str], *, model: str, key: str) -> CallError:
    """The error in an answer with another status than 200."""
    text = words_of(found) or raw.decode("utf-8", "replace")
    return failed_call(text, model=model, key=key, status=status, body=found, headers=headers)


def _oversized(endpoint: ModelEndpoint, model: str) -> MalformedAnswer:
    what = f"The answer was longer than {ANSWER_LIMIT // 1_000_000} MB; answer more briefly."
    error = MalformedAnswer(what, where=model, kind="oversized answer")
    # Its tokens are told at its end, which was not read: a price of 0 is the only one that is known.
    error.cost = 0.0 if own_cost(endpoint, 1, 1) == 0 else None
    error.outcome_unknown = error.cost is None
    return error


def _cost(endpoint: ModelEndpoint, tokens_in: int, tokens_out: int, usage: Mapping[str, Any]) -> float | None:
    if has_own_prices(endpoint):
        return own_cost(endpoint, tokens_in, tokens_out)
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else 0
    return listed_cost(endpoint.model, tokens_in, tokens_out, min(int(cached or 0), tokens_in))
