"""What a page says of itself in JSON-LD (https://schema.org, https://www.w3.org/TR/json-ld11/)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_DEPTH = 8
_ITEMS = 50
_ARTICLES = ("Article", "Posting", "Report")


def linked_data(tree: Any) -> list[dict[str, Any]]:
    """Every thing that the page describes, outer ones first; what cannot be read is left out."""
    found: list[dict[str, Any]] = []
    for script in tree.xpath("//script[@type='application/ld+json']"):
        try:
            data = json.loads(script.text or "", strict=False)
        except (ValueError, RecursionError):
            continue
        found.extend(_things(data, _DEPTH))
    return found


def is_article(thing: dict[str, Any]) -> bool:
    """Whether the thing is an article, a posting or a report of any kind."""
    return any(name.endswith(_ARTICLES) for name in kinds_of(thing))


def kinds_of(thing: dict[str, Any]) -> list[str]:
    """The types of the thing, as `NewsArticle`."""
    kinds = thing.get("@type")
    return [name for name in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(name, str)]


def _things(data: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth == 0:
        return
    if isinstance(data, list):
        for item in data[:_ITEMS]:
            yield from _things(item, depth - 1)
    elif isinstance(data, dict):
        yield data
        for key in ("@graph", "mainEntity", "mainEntityOfPage"):
            if key in data:
                yield from _things(data[key], depth - 1)
