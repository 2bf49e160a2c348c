"""What is assumed where no run has shown it, and how far it may be wrong: every constant of an estimate stands here.

Lengths are taken from the declarations wherever they say something: from the prompt as it is rendered, the schema of
the answer, the settings. The arithmetic with it belongs to `engine.estimate`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from enrich_assets.engine.answer_schema import batch_schema, schema_of
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.prompts import load_prompt

ASSUMED_FACTOR = 2.0
"""What is assumed holds within this factor, either way, in four cases of five."""
CREATED_FACTOR = 4.0
"""The same for the rows that a source brings: its `max_items` is the most, and few sources reach it."""
OWN_TEXT_FACTOR = 1.3
"""The same for tokens that are counted from the characters of the very prompts that will be sent."""
OTHER_MODEL = 0.25
"""Relative standard deviation of a rate that was seen with another model or with other settings."""
TOKENS_VARY = 0.1
"""Least relative standard deviation of the tokens of a call from one run to the next."""
ROWS_CHANGE = 0.1
"""Standard deviation of the rows that come new to a phase that has its answers, as a share of its rows: where
something before it changed, a few of them are others than before."""
DISPLACED = 3.0
"""How many rows one that is new to a ranking moves: a choice among rows of which a third is new is a new choice."""
SOME_KNOWN, SOME_KNOWN_FACTOR = 0.5, 3.0
"""Share of the calls that a row phase still has to make when its settings changed and a run like it has answers, and
the factor within which that holds."""

SURVIVE = 0.5
"""Share of the rows that a phase with a threshold lets pass."""
CHARACTERS_A_TOKEN = 4.0
"""Of English text and of JSON, as the tokenizers of the common models cut them."""
TEXT_CHARACTERS = 6000
"""Characters of an article's text: about 1,000 words."""
FIELD_CHARACTERS = 80
"""Characters of any other text, such as a headline."""
ANSWER_CHARACTERS = 400
"""Characters of a text in an answer whose schema does not limit it; of a limited one half of the limit is assumed."""
NUMBER_CHARACTERS = 4
"""Characters of a number in an answer."""
LIST_ITEMS = 4
"""Items of a list in an answer."""


def is_sieve(settings: Mapping[str, Any]) -> bool:
    """Whether a phase with these settings lets only some rows pass: it has a threshold, or least values."""
    return any(name.startswith(("threshold", "least")) for name in settings)


def typical_prompt(phase: Phase, columns: Mapping[str, Column], settings: Any, *, batch: int) -> tuple[str, int]:
    """The prompt of an `ask` phase for rows of typical length, and the characters of what is sent with it."""
    assert phase.prompt is not None
    row = {name: _typical_value(name, columns.get(name)) for name in ("row_id", *phase.reads)}
    template = load_prompt(phase.prompt)
    if batch > 1:
        prompt = template.render_batch(rows=[row] * batch, settings=settings)
    else:
        prompt = template.render(row=row, settings=settings)
    answer = phase.answer_for(settings)
    schema = schema_of(answer) if batch == 1 else batch_schema(answer, batch)
    text = f"{prompt.system}\n{prompt.user}"
    return text, len(text) + len(json.dumps(schema))


def answer_characters(schema: Mapping[str, Any]) -> int:
    """Characters of a typical answer to a schema, as JSON."""
    return _characters(schema, schema.get("$defs", {}), 0)


def _typical_value(name: str, column: Column | None) -> Any:
    kind = str if column is None else column.type
    if kind is str:
        return ("word " * (TEXT_CHARACTERS // 5)) if name == "text" else "w" * FIELD_CHARACTERS
    return 1 if kind in (int, float, bool) else []


def _characters(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> int:
    if "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
    if depth > 6:
        return 0
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    if options:
        return _characters(options[0], definitions, depth + 1)
    if "enum" in schema or "const" in schema:
        return 10
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        named = schema.get("properties", {})
        # Its name, two quotation marks, colon, comma and space.
        return 2 + sum(len(name) + 6 + _characters(one, definitions, depth + 1) for name, one in named.items())
    if kind == "array":
        return 2 + LIST_ITEMS * (2 + _characters(schema.get("items", {}), definitions, depth + 1))
    if kind == "string":
        return int(schema["maxLength"]) // 2 if "maxLength" in schema else ANSWER_CHARACTERS
    return NUMBER_CHARACTERS
