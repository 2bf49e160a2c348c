"""Articles that a page carries as data for its own scripts: JSON-LD's articleBody, and the state of Next.js.

For pages that show no text without JavaScript. What else JSON-LD says belongs to `web.linked_data`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from enrich_assets.web.linked_data import is_article
from enrich_assets.web.markup import text_of_html

_LEAST_SPACES = 40
"""Of a text that may be an article."""
_LEAST_SPACES_OF_A_PART = 5
_MOST_VALUES = 20_000
_DEPTH = 25


def embedded_text(tree: Any, things: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """The article that the page carries as data, and where (`json-ld`, `next-data`); two empty strings for none."""
    bodies = [str(thing["articleBody"]) for thing in things if is_article(thing) and thing.get("articleBody")]
    stated = text_of_html(max(bodies, key=len, default=""))
    if stated.count(" ") + stated.count("\n") >= _LEAST_SPACES:
        return stated, "json-ld"
    for script in tree.xpath("//script[@id='__NEXT_DATA__']"):
        try:
            data = json.loads(script.text or "", strict=False)
        except (ValueError, RecursionError):
            continue
        found = text_of_html(max(_texts(data), key=len, default=""))
        if found.count(" ") + found.count("\n") >= _LEAST_SPACES:
            return found, "next-data"
    return "", ""


def _texts(data: Any) -> Iterator[str]:
    """Every string in `data`, and every list of parts as one text; breadth first, up to a bound."""
    level, seen = [data], 0
    for _ in range(_DEPTH):
        following: list[Any] = []
        for value in level:
            seen += 1
            if seen > _MOST_VALUES:
                return
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                following.extend(value.values())
            elif isinstance(value, list):
                parts = [
                    part for item in value for part in _strings(item) if part.count(" ") >= _LEAST_SPACES_OF_A_PART
                ]
                if len(parts) > 1:
                    yield "<p>".join(parts)
                following.extend(value)
        level = following


def _strings(item: Any) -> list[str]:
    """The strings of a part of a list: itself, or what stands directly in it."""
    if isinstance(item, str):
        return [item]
    return [value for value in item.values() if isinstance(value, str)] if isinstance(item, dict) else []
