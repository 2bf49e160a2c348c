"""How an answer's JSON schema is put to a model: as `json_schema`, as `json_object`, or in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from enrich_assets.models.schema_keywords import without_keywords

# Keywords that strict decoding understands everywhere it is offered (OpenAI, "Supported schemas"); with any other
# keyword the schema is sent unstrict and the answer is validated here, as it always is.
_STRICT_KEYWORDS = frozenset(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "$ref",
        "$defs",
        "title",
        "description",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minItems",
        "maxItems",
        "pattern",
    ]
)
_COMPATIBLE = frozenset(
    [
        "openai",
        "openai_like",
        "custom_openai",
        "hosted_vllm",
        "vllm",
        "lm_studio",
        "llamafile",
        "litellm_proxy",
        "aiohttp_openai",
        "text-completion-openai",
    ]
)

_MOST_TEXTS = 256
_TEXTS: dict[tuple[int, str], tuple[Mapping[str, Any], str]] = {}


def allows_strict(schema: Mapping[str, Any]) -> bool:
    """Whether strict decoding accepts `schema`: closed objects, every property required, known keywords only."""
    for node in _nodes(schema):
        if not set(node) <= _STRICT_KEYWORDS:
            return False
        if node.get("type") == "object" or "properties" in node:
            properties = set(node.get("properties", {}))
            if node.get("additionalProperties") is not False or properties != set(node.get("required", ())):
                return False
    return True


def _nodes(schema: Any) -> list[Mapping[str, Any]]:
    if not isinstance(schema, Mapping):
        return []
    found = [schema]
    for key in ("properties", "$defs"):
        for child in (schema.get(key) or {}).values():
            found.extend(_nodes(child))
    for child in schema.get("anyOf") or ():
        found.extend(_nodes(child))
    return found + _nodes(schema.get("items"))


def speaks_json_schema(provider: str, supports: bool, *, own_endpoint: bool) -> bool:
    """Whether `json_schema` is sent: the price list says so, or the endpoint is one's own and OpenAI-compatible.

    litellm cannot know the models of an own server (vLLM, llama.cpp, LM Studio); those servers take the schema.
    """
    return supports or (own_endpoint and provider in _COMPATIBLE)


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The `response_format` that carries the schema itself."""
    name = "".join(c if c.isalnum() or c in "_-" else "_" for c in str(schema.get("title") or "answer"))[:64]
    inner = {"name": name, "schema": dict(schema), "strict": allows_strict(schema)}
    return {"type": "json_schema", "json_schema": inner}


def format_text(schema: Mapping[str, Any], without: str = "") -> str:
    """`response_format` as JSON in ASCII, made once for each schema; a schema is not changed after its first use.

    `without`: keywords that are left out, with spaces between them.
    """
    # By its identity: the text alone takes longer to write than the rest of a request. Held, so that none takes its id.
    known = _TEXTS.get((id(schema), without))
    if known is None or known[0] is not schema:
        if len(_TEXTS) >= _MOST_TEXTS:
            _TEXTS.clear()
        text = json.dumps(response_format(without_keywords(schema, without.split())))
        known = _TEXTS[id(schema), without] = (schema, text)
    return known[1]


def with_schema_in_words(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> list[dict[str, str]]:
    """The messages with the schema at the end of the system message, for models that take it no other way."""
    words = (
        "Answer with one JSON object and nothing else: no introduction, no code fence. It must be valid against this "
        "JSON schema:\n" + json.dumps(schema, ensure_ascii=False, sort_keys=True)
    )
    plain = [dict(message) for message in messages]
    for message in plain:
        if message.get("role") == "system":
            message["content"] = f"{message['content'].rstrip()}\n\n{words}"
            return plain
    return [{"role": "system", "content": words}, *plain]
