"""A source that is a feed: RSS, Atom and RDF through feedparser, JSON Feed by its own few fields."""

from __future__ import annotations

import io
import json
import re
from calendar import timegm
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from enrich_assets.core.errors import FinalError
from enrich_assets.engine.clients import Page
from enrich_assets.web.dates import as_moment, believable
from enrich_assets.web.extract import text_of_html
from enrich_assets.web.language import language_code
from enrich_assets.web.sources.entry import Entry
from enrich_assets.web.sources.source import Source
from enrich_assets.web.urls import joined

FULL_TEXT_WORDS = 120
_MOST_ENTITY_BYTES = 1_000_000
_ENTITY_USE = re.compile(rb"&([^\s;&]{1,200});")
_ENTITY = re.compile(rb"<!ENTITY\s+(?:%\s+)?([^\s\"'>]+)\s+(?:\"([^\"]*)\"|'([^']*)')")


def entries(source: Source, page: Page) -> list[Entry]:
    """The entries of a feed that have an http link, in the feed's order.

    Raises FinalError of kind `not_a_feed`, saying what the document looks like, or `xml_bomb`.
    """
    body = page.body.lstrip()
    if body[:1] in (b"{", b"["):
        return _json_entries(source, page)
    import feedparser

    _refuse_entity_bomb(source, page.body)
    charset = f"; charset={page.charset}" if page.charset else ""
    # As a stream: bytes by themselves are tried as the name of a local file first. The type says XML whatever the
    # server said, because servers say text/html or text/plain of feeds.
    parsed = feedparser.parse(
        io.BytesIO(page.body),
        response_headers={"content-type": f"application/xml{charset}", "content-location": page.final_url},
    )
    if not parsed.get("version") and (not parsed.entries or _looks_like(page) == "an HTML page"):
        raise _failure("not_a_feed", source, f"the document is {_looks_like(page)}, not a feed.")
    language = language_code(parsed.feed.get("language") or "")
    found = [_entry(item, page.final_url, language) for item in parsed.entries]
    return [entry for entry in found if entry.url.startswith(("http://", "https://"))]


def _entry(item: dict[str, Any], base: str, language: str) -> Entry:
    contents = [part.get("value") or "" for part in item.get("content", [])]
    summary = item.get("summary") or ""
    return Entry(
        url=_url(base, item.get("link") or ""),
        title=_title(item.get("title") or ""),
        author=" ".join(str(item.get("author") or "").split()),
        # dict.get: feedparser's own get gives a date of publication for a missing date of update, with a warning.
        published_at=_moment(dict.get(item, "published_parsed")) or _moment(dict.get(item, "updated_parsed")),
        summary=text_of_html(summary),
        full_text=_full_text(max([*contents, summary], key=len)),
        language=language_code(item.get("language") or "") or language,
    )


def _json_entries(source: Source, page: Page) -> list[Entry]:
    """JSON Feed 1 and 1.1 (jsonfeed.org)."""
    try:
        data = json.loads(page.body)
    except (ValueError, RecursionError) as error:
        raise _failure("not_a_feed", source, f"the document looks like JSON and cannot be read ({error}).") from None
    items = data.get("items") if isinstance(data, dict) else None
    if not isinstance(items, list) or "jsonfeed.org/version/" not in str(data.get("version", "")):
        raise _failure("not_a_feed", source, "the document is JSON, but no JSON Feed with a version and items.")
    language = language_code(_text(data, "language"))
    authors = _names(data)
    found = [_json_entry(item, page.final_url, language, authors) for item in items if isinstance(item, dict)]
    return [entry for entry in found if entry.url.startswith(("http://", "https://"))]


def _json_entry(item: Mapping[str, Any], base: str, language: str, authors: str) -> Entry:
    html = _text(item, "content_html")
    text = _text(item, "content_text")
    identifier = _text(item, "id")
    url = _text(item, "url") or _text(item, "external_url")
    return Entry(
        url=_url(base, url or (identifier if identifier.startswith("http") else "")),
        title=_title(_text(item, "title")),
        author=_names(item) or authors,
        published_at=as_moment(_text(item, "date_published") or _text(item, "date_modified")),
        summary=text_of_html(_text(item, "summary")) or (text if not html else ""),
        full_text=_full_text(html) if html else _full_text(text),
        language=language_code(_text(item, "language")) or language,
    )


def _names(item: Mapping[str, Any]) -> str:
    authors = item.get("authors") or [item.get("author")]
    listed = authors if isinstance(authors, list) else [authors]
    return "; ".join(name for author in listed if isinstance(author, dict) and (name := _text(author, "name")))


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _title(title: str) -> str:
    return " ".join(text_of_html(title).split())


def _full_text(html: str) -> str | None:
    if html.count(" ") < FULL_TEXT_WORDS - 1 and html.count("\n") < FULL_TEXT_WORDS - 1:
        return None
    text = text_of_html(html)
    return text if len(text.split()) >= FULL_TEXT_WORDS else None


def _moment(parts: Any) -> datetime | None:
    try:
        return believable(datetime.fromtimestamp(timegm(parts), UTC)) if parts else None
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _url(base: str, link: str) -> str:
    return joined(base, link) if link.strip() else ""


def _refuse_entity_bomb(source: Source, body: bytes) -> None:
    """Raises FinalError when declared entities would expand to more than a megabyte.

    feedparser drops entities that refer to others, and expands the rest without a limit (quadratic blow-up).
    """
    if b"ENTITY" not in (flat := body.replace(b"\x00", b"")):  # UTF-16 and UTF-32 reduced to their ASCII
        return
    uses = Counter(_ENTITY_USE.findall(flat))
    expanded = 0
    for name, double, single in _ENTITY.findall(flat):
        expanded += len(double or single) * uses[name]
        if expanded > _MOST_ENTITY_BYTES:
            raise _failure("xml_bomb", source, "the document declares entities that expand to more than a megabyte.")


def _looks_like(page: Page) -> str:
    begin = page.body[:2000].lstrip().lower()
    if not begin:
        return "empty"
    if begin.startswith((b"<!doctype html", b"<html")) or b"<html" in begin:
        return "an HTML page"
    if begin.startswith(b"%pdf"):
        return "a PDF"
    if begin.startswith((b"<?xml", b"<")):
        return "XML of another kind"
    return page.content_type or "of an unknown type"


def _failure(kind: str, source: Source, what: str) -> FinalError:
    fix = "Give the URL of its feed, or another kind of source."
    return FinalError(what, where=f"source {source.id} ({source.url})", fix=fix, kind=kind)
