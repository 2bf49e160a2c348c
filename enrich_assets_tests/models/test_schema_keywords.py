"""Keywords of a schema that an endpoint refuses: found in what endpoints really say, and left out of what is sent."""

from __future__ import annotations

import pytest

from enrich_assets.models.schema_keywords import keywords_in, without_keywords

LENGTHS = {"minLength", "maxLength", "pattern", "format"}
NUMBERS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
ITEMS = {"minItems", "maxItems", "uniqueItems"}


@pytest.mark.parametrize(
    ("words", "keywords"),
    [
        (
            "Invalid schema for response_format 'Analysis': In context=('properties', 'analysis'), 'maxLength' is not "
            "permitted.",
            LENGTHS,
        ),
        ("output_format.schema: For 'number' type, properties maximum, minimum are not supported", NUMBERS),
        (
            "output_config.format.schema: For 'array' type, property 'maxItems' is not supported",
            ITEMS,
        ),
        (
            'Invalid JSON payload received. Unknown name "additionalProperties" at \'generation_config.response_schema'
            "': Cannot find field.",
            {"additionalProperties"},
        ),
        ('Unimplemented keys in the schema: ["minLength", "maxItems"]', LENGTHS | ITEMS),
        ("The provided JSON schema contains features not supported by xgrammar: 'pattern'", LENGTHS),
        ("response_format: the keyword enum is not supported", {"enum", "const"}),
        # About no keyword of the schema:
        ("max_tokens is too large: 4000. The maximum allowed is 2048, at minimum 1.", set()),
        ("'response_format' of type 'json_schema' is not supported with this model", set()),
        (
            '{"detail": [{"type": "enum", "loc": ["body", "response_format", "type"], "msg": "Input should be '
            "'text' or 'json_object'\"}]}",
            set(),
        ),
        ("This model's maximum context length is 4096 tokens.", set()),
    ],
)
def test_the_keywords_of_a_refusal_are_found_in_its_words(words: str, keywords: set[str]) -> None:
    assert keywords_in(words) == keywords


SCHEMA = {
    "$defs": {"Item": {"type": "object", "properties": {"maxLength": {"type": "string", "maxLength": 3}}}},
    "type": "object",
    "properties": {
        "minimum": {"type": "integer", "minimum": 0, "maximum": 10, "enum": [1, 2]},
        "text": {"title": "Text", "anyOf": [{"type": "string", "minLength": 5}, {"type": "null"}]},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "maxItems": 4},
    },
    "required": ["minimum", "text", "items"],
    "additionalProperties": False,
}


def test_what_is_left_out_leaves_the_names_of_properties() -> None:
    bare = without_keywords(SCHEMA, LENGTHS | NUMBERS | ITEMS | {"additionalProperties"})
    assert bare == {
        "$defs": {"Item": {"type": "object", "properties": {"maxLength": {"type": "string"}}}},
        "type": "object",
        "properties": {
            "minimum": {"type": "integer", "enum": [1, 2]},
            "text": {"title": "Text", "anyOf": [{"type": "string"}, {"type": "null"}]},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        },
        "required": ["minimum", "text", "items"],
    }
    assert without_keywords(SCHEMA, ()) == SCHEMA


def test_definitions_are_written_out_and_of_alternatives_the_first_is_left() -> None:
    flat = without_keywords(SCHEMA, {"$ref", "$defs", "anyOf"})
    assert "$defs" not in flat and "anyOf" not in str(flat)
    assert flat["properties"]["items"]["items"] == SCHEMA["$defs"]["Item"]  # type: ignore[index]
    assert flat["properties"]["text"] == {"title": "Text", "type": "string", "minLength": 5}
