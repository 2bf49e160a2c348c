"""The one transport to models: straight to OpenAI-compatible endpoints of one's own, through litellm to all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enrich_assets.engine.clients import EndpointLimits, ModelReply, Weight
from enrich_assets.models.direct import DirectModels
from enrich_assets.models.llm import LiteLlm, endpoint_of, parameters_of
from enrich_assets.models.places import limits_of
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.weights import weight_of


class Models:
    """Sends a request the way that its endpoint's `path` names (`engine.clients.ModelTransport`).

    The parameters, and with them the request's hash, are the same on both ways: an answer that came one way is found
    again when the other is taken. litellm is not imported before a request needs it.
    """

    def __init__(self, endpoints: Mapping[str, ModelEndpoint]) -> None:
        self._endpoints = dict(endpoints)
        self._direct = DirectModels(endpoints)
        self._litellm = LiteLlm(endpoints)

    def parameters(self, model: str) -> Mapping[str, Any]:
        """What is sent besides messages and schema and can change the answer; no address, no key, no way."""
        return parameters_of(endpoint_of(model, self._endpoints))

    def weigh(self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> Weight:
        """The most that the request can take; raises FinalError when it is longer than the model's context window."""
        return weight_of(endpoint_of(model, self._endpoints), messages, schema, model=model)

    def limits(self, model: str) -> EndpointLimits:
        """What the model's endpoint allows all processes together."""
        return limits_of(endpoint_of(model, self._endpoints))

    async def is_ready(self, model: str) -> bool:
        """Whether the endpoint says that it takes the key and has the model; asked on the direct path alone."""
        return endpoint_of(model, self._endpoints).is_direct and await self._direct.is_ready(model)

    async def complete(
        self, model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
    ) -> ModelReply:
        """The raw text of the answer; raises CallError, of the same class and kind whichever way was taken."""
        way = self._direct if endpoint_of(model, self._endpoints).is_direct else self._litellm
        return await way.complete(model, messages, schema)
