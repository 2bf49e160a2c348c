"""Keywords of a JSON schema that an endpoint refuses: recognised in its words, and left out of what is sent.

Which keywords an endpoint's decoding knows differs, and is told by its first refusal. What is left out on the wire is
still checked: an answer is validated as ever. Whether a refusal is remembered belongs to `models.adapting`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

# Who refuses one of a family refuses the others: Anthropic all bounds of numbers, OpenAI both lengths, Gemini (older
# versions) additionalProperties. So one refusal tells all of it.
_FAMILIES = (
    frozenset(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    frozenset(["minLength", "maxLength", "pattern", "format"]),
    frozenset(["minItems", "maxItems", "uniqueItems"]),
    frozenset(["enum", "const"]),
    frozenset(["additionalProperties"]),
    frozenset(["anyOf"]),
    frozenset(["$ref", "$defs"]),
    frozenset(["title"]),
)
_KEYWORDS = frozenset().union(*_FAMILIES)
_PLAIN = sorted(keyword for keyword in _KEYWORDS if keyword.islower())
_MARKED = sorted(_KEYWORDS.difference(_PLAIN), key=len, reverse=True)
# No word of English: wherever it is, the keyword is meant.
_MARKED_NAME = re.compile(rf"(?<![\w$])(?:{'|'.join(map(re.escape, _MARKED))})(?!\w)")
# Words of English too: the keyword is meant in quotes, or in a list that says what it lists.
_QUOTED_NAME = re.compile(rf"(?<!type)['\"`”“‘’]({'|'.join(_PLAIN)})['\"`”“‘’](?!\s*:)")
_LIST = re.compile(
    r"\b(?:propert(?:y|ies)|keywords?|constraints?|fields?)\b:?\s+((?:[\w$]+(?:,\s*| and | or )?)+)", re.I
)
_SCHEMA = re.compile(r"schema|response_?format|grammar|structured[ _]output|propert(?:y|ies)", re.I)
_MOST_FOUND = 256
_FOUND: dict[int, tuple[Mapping[str, Any], frozenset[str]]] = {}
_TYPE_OF_ERROR = re.compile(r"""["']type["']\s*:\s*["']\w+["']""")


def keywords_in(words: str) -> frozenset[str]:
    """The keywords that the words of a refusal name, each with its family; empty where they are about no schema."""
    words = _TYPE_OF_ERROR.sub("", words)  # {"type": "enum"} is pydantic's name of an error
    if not _SCHEMA.search(words):
        return frozenset()
    named = {*_MARKED_NAME.findall(words), *_QUOTED_NAME.findall(words)}
    for listed in _LIST.findall(words):
        named.update(name for name in re.findall(r"[\w$]+", listed) if name in _KEYWORDS)
    return frozenset().union(*(family for family in _FAMILIES if not family.isdisjoint(named)))


def keywords_of(schema: Mapping[str, Any]) -> frozenset[str]:
    """The keywords of a schema that an endpoint may refuse; a schema is not changed after its first use."""
    # By its identity, and held: looking through it would take as long as the rest of a request.
    known = _FOUND.get(id(schema))
    if known is None or known[0] is not schema:
        if len(_FOUND) >= _MOST_FOUND:
            _FOUND.clear()
        known = _FOUND[id(schema)] = (schema, frozenset(_used(schema)) & _KEYWORDS)
    return known[1]


def _used(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _used(one)
    elif isinstance(node, Mapping):
        for name, value in node.items():
            yield name
            if name not in ("enum", "const", "required"):
                yield from _used(list(value.values()) if name in ("properties", "$defs") else value)


def without_keywords(schema: Mapping[str, Any], keywords: Collection[str]) -> dict[str, Any]:
    """The schema without these keywords: of alternatives the first is left, and definitions stand where they are used.

    Names of properties are no keywords.
    """
    return _without(schema, frozenset(keywords), schema.get("$defs", {})) if keywords else dict(schema)


def _without(node: Any, keywords: frozenset[str], definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_without(one, keywords, definitions) for one in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node and "$ref" in keywords:
        named = definitions.get(str(node["$ref"]).rsplit("/", 1)[-1], {})
        node = {**named, **{name: value for name, value in node.items() if name != "$ref"}}
    if node.get("anyOf") and "anyOf" in keywords:
        node = {**node["anyOf"][0], **{name: value for name, value in node.items() if name != "anyOf"}}
    found: dict[str, Any] = {}
    for name, value in node.items():
        if name in keywords:
            continue
        if name in ("properties", "$defs"):
            found[name] = {key: _without(one, keywords, definitions) for key, one in value.items()}
        elif name in ("enum", "const", "required"):
            found[name] = value
        else:
            found[name] = _without(value, keywords, definitions)
    return found
