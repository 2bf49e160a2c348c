"""JSON schemas of answers: what a request says about the form of its answer.

What the rendered prompt says of an answer (which categories there are, how many names) belongs into the schema too: an
endpoint that decodes by the schema then cannot answer anything else. How a schema goes over the wire belongs to
`models.schemas`, the check of an answer to `engine.asking`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import BaseModel, create_model

from enrich_assets.core.errors import DeclarationError

A = TypeVar("A", bound=BaseModel)

SchemaExtra = Callable[[Any], Mapping[str, Mapping[str, Any]]]
"""What the schema of an answer says besides its model, made from the settings: keywords by field."""
_EXTRA, _FORMER = "__schema_extra__", "__former_answer__"


def narrowed(answer: type[A], extra: Mapping[str, Mapping[str, Any]]) -> type[A]:
    """`answer` with a JSON schema that says more: keywords by field, `Inner.field` for one of a model inside it.

    A keyword of None takes one out. The check of an answer stays that of `answer`: an endpoint may ignore the schema,
    and what an earlier version stored has to be judged as it was then, for the reason of a refusal is part of the next
    request. Requests without `extra` are those of earlier versions; their answers are still found.
    """
    return cast(type[A], _narrowed(answer, json.dumps(extra)))


@lru_cache(maxsize=256)
def _narrowed(answer: Any, extra: str) -> Any:
    model = create_model(answer.__name__, __base__=answer, __module__=answer.__module__)
    setattr(model, _EXTRA, json.loads(extra))
    setattr(model, _FORMER, answer)
    return model


@lru_cache(maxsize=256)
def schema_of(answer: type[BaseModel]) -> dict[str, Any]:
    """JSON schema of an answer as it is sent; not to be changed by who gets it.

    Docstrings of classes are left out: they are words for readers of the code, and mending one asks nothing again.
    What the model has to know of a field stands in the field's description.
    """
    former = getattr(answer, _FORMER, None)
    if former is not None:
        return _with_extra(schema_of(former), getattr(answer, _EXTRA), answer.__name__)
    schema = answer.model_json_schema()
    schema.pop("description", None)
    for definition in schema.get("$defs", {}).values():
        definition.pop("description", None)
    return schema


def former_schema_of(answer: type[BaseModel]) -> dict[str, Any] | None:
    """The schema that earlier versions sent for a narrowed answer; None where it is the same."""
    former = getattr(answer, _FORMER, None)
    return None if former is None else schema_of(former)


def batch_schema(answer: type[BaseModel], rows: int) -> dict[str, Any]:
    """JSON schema of the answer to a prompt of several rows: `{"rows": [{"id": 1, "answer": …}, …]}`."""
    inner = {name: value for name, value in schema_of(answer).items() if name != "$defs"}
    definitions = schema_of(answer).get("$defs", {})
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


def _with_extra(schema: dict[str, Any], extra: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    found = copy.deepcopy(schema)
    for path, keywords in extra.items():
        inner, _, field = path.rpartition(".")
        owner = found["$defs"].get(inner, {}) if inner else found
        if field not in owner.get("properties", {}):
            raise DeclarationError(f"the answer {name} has no field {path!r}")
        one = {**owner["properties"][field], **keywords}
        owner["properties"][field] = {keyword: value for keyword, value in one.items() if value is not None}
    return found
