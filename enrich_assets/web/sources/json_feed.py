"""JSON Feed 1 and 1.1 (jsonfeed.org) as the record of a feed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from enrich_assets.web.sources.feed_bounds import LONGEST_DATE, LONGEST_LINE, MOST_ITEMS, cut_markup
from enrich_assets.web.sources.parsed_feed import Dates, ParsedFeed, ParsedItem, Person

# Some write the bare number for the address of the version.
_VERSION = re.compile(r"(?:https?://)?(?:www\.)?jsonfeed\.org/version/|1(?:\.[01])?\Z")
_DATES = ("date_published", "date_modified")
_MOST_PEOPLE = 100


def parsed_json_feed(body: bytes, *, read_at: datetime | None = None) -> ParsedFeed:
    """A JSON Feed as a record, within the bounds of `feed_bounds`; its date is that of its newest item.

    Raises ValueError that says what is wrong with a document that is none.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the document looks like JSON and cannot be read ({error}).") from None
    items = data.get("items") if isinstance(data, dict) else None
    if not isinstance(items, list) or not _VERSION.match(_text(data, "version")):
        raise ValueError("the document is JSON, but no JSON Feed with a version and items.")
    listed = [item for item in items[:MOST_ITEMS] if isinstance(item, dict)]
    dates = Dates([_date(item, key) for item in listed for key in _DATES], _text(data, "language"), read_at)
    read = tuple(_item(item, dates) for item in listed)
    return ParsedFeed(
        title=_text(data, "title"),
        link=_text(data, "home_page_url"),
        authors=_people(data),
        published_at=max((item.published_at for item in read if item.published_at), default=None),
        language=_text(data, "language"),
        items=read,
        is_plain=True,
    )


def _item(item: Mapping[str, Any], dates: Dates) -> ParsedItem:
    identifier = _text(item, "id")
    stated = [_date(item, key) for key in _DATES]
    published, updated = (dates.moment(text) for text in stated)
    return ParsedItem(
        title=_text(item, "title"),
        link=_text(item, "url") or _text(item, "external_url") or (identifier if "://" in identifier else ""),
        authors=_people(item),
        published_at=published or updated,
        updated_at=updated,
        content=_markup(item, "content_html")
        or _markup(item, "content_text").replace("&", "&amp;").replace("<", "&lt;"),
        summary=_markup(item, "summary"),
        language=_text(item, "language"),
        unreadable_date="" if published or updated else next(filter(None, stated), ""),
    )


def _date(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    # Unix time is a number in some feeds.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value)[:LONGEST_DATE] if is_number else _text(item, key)[:LONGEST_DATE]


def _people(item: Mapping[str, Any]) -> tuple[Person, ...]:
    authors = item.get("authors") or [item.get("author")]
    listed = authors if isinstance(authors, list) else [authors]
    people = [
        Person(_text(one, "name"), "", _text(one, "url")) for one in listed[:_MOST_PEOPLE] if isinstance(one, dict)
    ]
    return tuple(person for person in people if str(person))


def _markup(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return cut_markup(value.strip()) if isinstance(value, str) else ""


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or (len(value) > LONGEST_LINE and "url" in key):
        return ""  # half an address is another one
    return value.strip()[:LONGEST_LINE]
