"""Models by their litellm names: one request in, one raw answer out. Caching, retries and validation are the engine's.

Keys are read from the environment at the moment of the request and go to their own endpoint only.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from enrich_assets.core.errors import SettingsError
from enrich_assets.engine.clients import EndpointLimits, ModelReply, Weight
from enrich_assets.models.adapting import WireForm, learnt_of
from enrich_assets.models.faults import translated
from enrich_assets.models.lite import close_clients_with_loop, litellm_offline
from enrich_assets.models.places import limits_of
from enrich_assets.models.prices import cost_of
from enrich_assets.models.reach import check_reach
from enrich_assets.models.replies import completion_in, reply_of
from enrich_assets.models.schema_keywords import keywords_of
from enrich_assets.models.schemas import format_text, speaks_json_schema, with_schema_in_words
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint
from enrich_assets.models.weights import weight_of

# Sent to an endpoint of one's own that was given no key: without it litellm would hand over the provider's key.
_NO_KEY = "no-key"
# These read credentials from profiles, metadata services or nowhere, so a missing variable proves nothing.
_OTHER_CREDENTIALS = frozenset(
    ["bedrock", "bedrock_converse", "sagemaker", "sagemaker_chat", "vertex_ai", "ollama", "ollama_chat"]
)


class LiteLlm:
    """Sends requests to models through litellm (`engine.clients.ModelTransport`).

    A model's name is looked up among `endpoints` first, and is a litellm name otherwise.
    """

    def __init__(self, endpoints: Mapping[str, ModelEndpoint]) -> None:
        self._endpoints = dict(endpoints)
        self._formats: dict[str, str] = {}

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
        """False: the providers' ways to ask for this differ, and some count it as a request."""
        return False

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        """The raw text of the model's answer with tokens, cost and seconds.

        Raises TransientError (slow down, 5xx, reset, time-out), EndpointError (key, unknown model, quota), FinalError
        (refused, filtered, prompt too long), MalformedAnswer (cut off or empty). A MalformedAnswer carries the tokens
        and the cost of the answer that could not be used.
        """
        endpoint = endpoint_of(model, self._endpoints)
        send = partial(self._send, model, endpoint, messages, schema)
        return await learnt_of(endpoint, supports=self._format(endpoint)).send(endpoint, send, keywords_of(schema))

    async def _send(
        self,
        model: str,
        endpoint: ModelEndpoint,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        form: WireForm,
    ) -> ModelReply:
        key = key_of(endpoint, model)
        await check_reach(endpoint, model=model)
        litellm = litellm_offline()
        await close_clients_with_loop()
        started = time.perf_counter()
        try:
            async with asyncio.timeout(endpoint.timeout_seconds):
                response = await litellm.acompletion(**_request(endpoint, key, messages, schema, form))
        except Exception as error:  # the boundary: whatever litellm raises becomes an error of this package
            # What litellm calls no JSON it quotes; it may be a stream, and what it is has to be named.
            original = str(error).partition("Original Response: ")[2]
            if original:
                found = completion_in(original.encode("utf-8", "replace"), "", model=model)
                return _reply(found, endpoint, model, key or "", time.perf_counter() - started)
            raise translated(error, model=model, key=key or "", seconds=endpoint.timeout_seconds) from None
        seconds = time.perf_counter() - started
        return _reply(_found(response), endpoint, model, key or "", seconds, response)

    def _format(self, endpoint: ModelEndpoint) -> str:
        # By what decides it; litellm takes a third of a millisecond to find it out.
        name = f"{endpoint.model} {endpoint.base_url}"
        if name not in self._formats:
            self._formats[name] = answer_format(endpoint)
        return self._formats[name]


def _request(
    endpoint: ModelEndpoint,
    key: str | None,
    messages: Sequence[Mapping[str, str]],
    schema: Mapping[str, Any],
    form: WireForm,
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": _sent_name(endpoint),
        form.token_parameter: endpoint.max_output_tokens,
        "timeout": endpoint.timeout_seconds,
        # Both count: litellm's own retries, and those of the provider's client inside it.
        "num_retries": 0,
        "max_retries": 0,
        "drop_params": True,
    }
    if endpoint.temperature is not None and form.temperature == "as set":
        request["temperature"] = endpoint.temperature
    if endpoint.base_url:
        request["api_base"] = endpoint.base_url
    if key is not None:
        request["api_key"] = key
    if form.response_format == "json_schema":
        # Made anew: litellm may change what it is given.
        request["response_format"] = json.loads(format_text(schema, form.schema_without))
    elif form.response_format == "json_object":
        request["response_format"] = {"type": "json_object"}
    plain = [dict(message) for message in messages]
    request["messages"] = plain if form.response_format == "json_schema" else with_schema_in_words(messages, schema)
    return request


def _sent_name(endpoint: ModelEndpoint) -> str:
    """The model's name for litellm. Its `hosted_vllm` sends what its `openai` sends to a server of one's own, without
    the client of OpenAI's, which takes a third of the CPU time. https://docs.litellm.ai/docs/providers/vllm"""
    return f"hosted_vllm/{endpoint.model.removeprefix('openai/')}" if endpoint.is_compatible else endpoint.model


def endpoints_of(resolved: Mapping[str, Any]) -> dict[str, ModelEndpoint]:
    """The endpoints that a run's resolved settings name."""
    return {name: ModelEndpoint.model_validate(value) for name, value in resolved.get("models", {}).items()}


def endpoint_of(model: str, endpoints: Mapping[str, ModelEndpoint]) -> ModelEndpoint:
    """The named endpoint, or the plain endpoint of a litellm name."""
    return endpoints.get(model) or ModelEndpoint(model=model)


def parameters_of(endpoint: ModelEndpoint) -> dict[str, Any]:
    """What the request hash covers of an endpoint; the same whichever way the request is sent."""
    return {
        "model": endpoint.model,
        "temperature": endpoint.temperature,
        "max_output_tokens": endpoint.max_output_tokens,
    }


def answer_format(endpoint: ModelEndpoint) -> str:
    """How the schema travels at first: as `json_schema`, `json_object` (with words) or `words`."""
    litellm = litellm_offline()
    provider = str(litellm.get_llm_provider(model=endpoint.model)[1])
    supports = bool(litellm.supports_response_schema(model=endpoint.model))
    if speaks_json_schema(provider, supports, own_endpoint=endpoint.base_url is not None):
        return "json_schema"
    offered = litellm.get_supported_openai_params(model=endpoint.model) or []
    return "json_object" if "response_format" in offered else "words"


def check_model(model: str, endpoints: Mapping[str, ModelEndpoint]) -> None:
    """Raises SettingsError when `model` cannot be asked: an unknown name, or a key that is not set.

    Makes no request. `extractive` always passes; for it and for direct endpoints litellm is not imported.
    """
    endpoint = endpoint_of(model, endpoints)
    if endpoint.model == EXTRACTIVE:
        return
    if endpoint.api_key is not None:
        endpoint.api_key.read(f"the model {model!r}")
    if endpoint.is_direct:
        return
    litellm = litellm_offline()
    try:
        provider = str(litellm.get_llm_provider(model=endpoint.model)[1])
    except Exception:  # litellm.BadRequestError, and other kinds for odd names
        near = difflib.get_close_matches(model, [*endpoints, EXTRACTIVE], n=1, cutoff=0.6)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SettingsError(
            f"the model {endpoint.model!r} belongs to no provider that litellm knows.{hint}",
            where="model",
            fix="Write 'provider/name' (openai/…, anthropic/…, hosted_vllm/…), a name under models, or 'extractive'.",
        ) from None
    if endpoint.api_key is not None or endpoint.base_url is not None or provider in _OTHER_CREDENTIALS:
        return
    found = litellm.validate_environment(model=endpoint.model)
    missing = [name for name in found["missing_keys"] if "KEY" in name or "TOKEN" in name]
    if missing and not found["keys_in_environment"]:
        either = provider in ("gemini", "vertex_ai")
        raise SettingsError(
            f"the model {model!r} needs the environment variable {(' or ' if either else ' and ').join(missing)}, "
            "which is not set.",
            where="model",
            fix=f"Set it (export {missing[-1]}=…) or choose the model 'extractive', which needs no key.",
        )


def key_of(endpoint: ModelEndpoint, model: str) -> str | None:
    """The key that goes to the endpoint; None leaves it to litellm to find the provider's own."""
    if endpoint.api_key is not None:
        return endpoint.api_key.read(f"the model {model!r}")
    return _NO_KEY if endpoint.base_url is not None else None


def _reply(
    found: Mapping[str, Any], endpoint: ModelEndpoint, model: str, key: str, seconds: float, response: Any = None
) -> ModelReply:
    def price(tokens_in: int, tokens_out: int, usage: Mapping[str, Any]) -> float | None:
        return cost_of(endpoint, tokens_in, tokens_out, response)

    return reply_of(found, endpoint, model=model, key=key, seconds=seconds, price=price)


def _found(response: Any) -> dict[str, Any]:
    """A completion of litellm's as the endpoint sent it: litellm calls an answer that ended with an error a whole one,
    and keeps what the endpoint said beside it."""
    found: dict[str, Any] = response.model_dump(warnings=False)
    for choice in found.get("choices") or ():
        beside = choice.get("provider_specific_fields") or {}
        if beside.get("error") or beside.get("native_finish_reason") == "error":
            choice.update(finish_reason="error", error=beside.get("error"))
    return found
