"""An endpoint that refuses keywords of a schema: one request finds that out, and the others go without them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from enrich_assets.engine.clients import ModelReply
from enrich_assets.models.lite import litellm_offline
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.models.transport import Models
from enrich_assets_tests.endpoint_server import Answer, EndpointServer, completion

ROWS = 8
FIRST = {
    "title": "Verdict",
    "type": "object",
    "properties": {
        "points": {"type": "integer", "minimum": 0, "maximum": 10},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "why": {"type": "string", "maxLength": 300},
    },
    "required": ["points", "kind", "why"],
    "additionalProperties": False,
}
SECOND = {
    "title": "Names",
    "type": "object",
    "properties": {"names": {"type": "array", "items": {"type": "string"}, "maxItems": 4}},
    "required": ["names"],
    "additionalProperties": False,
}


def refusing(*keywords: str) -> EndpointServer:
    """An endpoint that refuses any schema with one of the keywords, and names the first that it finds."""

    def reply(request: dict[str, Any], _: int) -> Answer:
        schema = json.dumps(request["response_format"]["json_schema"]["schema"])
        for keyword in keywords:
            if f'"{keyword}":' in schema:
                words = (
                    f"Invalid schema for response_format 'x': In context=('properties'), '{keyword}' is not permitted."
                )
                error = {"message": words, "type": "invalid_request_error", "param": "response_format", "code": None}
                return Answer({"error": error}, 400)
        return Answer(completion('{"points": 3, "kind": "a", "why": "it says so"}'))

    return EndpointServer(reply)


def ask(server: EndpointServer, path: str, *schemas: dict[str, Any]) -> list[ModelReply]:
    """Eight requests at once with each schema, one schema after the other."""
    values = {"model": "openai/m", "base_url": server.base_url, "path": path}
    models = Models({"m": ModelEndpoint.model_validate(values)})
    if path == "litellm":
        litellm_offline()  # importing it takes longer than the others wait for the first request

    async def go() -> list[ModelReply]:
        replies: list[ModelReply] = []
        for schema in schemas:
            messages = [[{"role": "user", "content": f"row {number}"}] for number in range(ROWS)]
            replies += await asyncio.gather(*(models.complete("m", one, schema) for one in messages))
        return replies

    return asyncio.run(go())


def last_schema(server: EndpointServer) -> dict[str, Any]:
    found: dict[str, Any] = server.seen[-1]["response_format"]["json_schema"]["schema"]
    return found


@pytest.mark.parametrize("path", ["direct", "litellm"])
@pytest.mark.parametrize("keyword", ["minimum", "maximum", "enum", "maxLength", "additionalProperties"])
def test_a_refused_keyword_takes_one_call_more_for_the_endpoint(keyword: str, path: str) -> None:
    with refusing(keyword) as server:
        replies = ask(server, path, FIRST, FIRST)
        assert server.calls == 2 * ROWS + 1
        assert keyword not in str(last_schema(server)) and "points" in last_schema(server)["properties"]
    assert all(keyword in reply.adapted["schema_without"] for reply in replies)
    assert keyword in str(FIRST), "what was intended stays as it is"


def test_a_keyword_that_only_a_later_schema_has_takes_one_call_more_too() -> None:
    with refusing("maxItems") as server:
        ask(server, "direct", FIRST, SECOND)
        assert server.calls == 2 * ROWS + 1
        assert last_schema(server)["properties"]["names"] == {"type": "array", "items": {"type": "string"}}


def test_each_family_of_keywords_is_learnt_once() -> None:
    with refusing("maxLength", "maximum", "minimum") as server:
        ask(server, "direct", FIRST)
        assert server.calls == ROWS + 2
        assert last_schema(server)["properties"]["kind"]["enum"] == ["a", "b"]
