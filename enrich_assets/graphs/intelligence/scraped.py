"""Articles out of sources: every entry of every source, fetched and reduced to its text."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field

from enrich_assets.core.errors import CallError, EndpointError, EnrichError
from enrich_assets.core.fingerprint import sha256
from enrich_assets.core.result import PhaseResult
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.clients import Clients, Extracted
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Check, Created, Drop, Failed, Row, row
from enrich_assets.stats.figures import Bars, Timeline
from enrich_assets.web.extract import content_hash, is_html
from enrich_assets.web.sources import Entry, entries
from enrich_assets.web.sources.source import Source
from enrich_assets.web.urls import canonicalize


class Settings(SettingsBase):
    """How sources are read."""

    pages_at_once: int = Field(default=4, ge=1, le=64)
    """Pages of one source in flight."""
    least_words: int = Field(default=20, ge=1)
    """A page with fewer words of text has no text (`no_text`)."""


def most_sources_answered(result: PhaseResult, settings: Settings) -> str | None:
    """At least half of the sources gave articles."""
    counts = result.counts
    if counts.rows_in and counts.kept * 2 < counts.rows_in:
        return f"only {counts.kept} of {counts.rows_in} sources could be read"
    return None


SOURCES = {
    "source_id": Column(str, "the source's id in the settings"),
    "name": Column(str, "name for people"),
    "url": Column(str, "the feed, listing or page"),
    "kind": Column(str, "feed, listing or page"),
    "status": Column(str, "scraped or failed"),
    "error": Column(str, "why it failed, empty otherwise"),
    "entries": Column(int, "entries that it lists"),
    "articles": Column(int, "articles that came of them"),
    "bytes": Column(int, "bytes of its documents, decompressed"),
    "seconds": Column(float, "time it took, seconds", volatile=True),
}


@row(
    creates=True,
    settings=Settings,
    adds={
        "url": Column(str, "address of the article"),
        "canonical_url": Column(str, "address without tracking, as the page itself names it"),
        "source_id": Column(str, "the source's id in the settings"),
        "source_name": Column(str, "name of the source"),
        "source_weight": Column(float, "weight of the source, 0–3"),
        "title": Column(str, "headline"),
        "author": Column(str, "author as the page or the feed names it"),
        "published_at": Column(datetime, "when it was published, UTC; empty where nothing says so"),
        "language": Column(str, "language of the text, ISO 639-1; empty where unknown"),
        "text": Column(str, "text of the article without the page around it"),
        "word_count": Column(int, "words of the text"),
        "content_hash": Column(str, "SHA-256 of the normalised text"),
        "page_sha256": Column(str, "the raw document in the page store"),
        "fetched_at": Column(datetime, "when the document was fetched, UTC", volatile=True),
        "fetch_method": Column(str, "http, or stored where the page store replayed it", volatile=True),
        "http_status": Column(int, "status of the answer", volatile=True),
    },
    sides={"sources": SOURCES},
    figures=[Bars("source_name", label="articles per source"), Timeline("published_at")],
    checks=[Check("most_sources_answered", most_sources_answered)],
)
async def scraped(source: Row, clients: Clients, settings: Settings) -> Created:
    """One row an article: its text and where it came from.

    Reads every source's feed or listing, then each entry's page; an entry whose feed carries the whole text needs no
    page. Pages that this run fetched before are replayed from the page store. A source that is down is counted as
    failed and listed; the run goes on. No model is asked.
    """
    declared = Source.model_validate({k: v for k, v in source.items() if k in Source.model_fields})
    began = time.monotonic()
    try:
        listing = await entries(declared, clients.pages)
    except Exception as error:  # the boundary that records what became of a source
        failure = _failed(error)
        side = _health(declared, began, error=str(error) or failure.kind)
        return Created(side={"sources": [side]}, failure=failure)
    room = asyncio.Semaphore(settings.pages_at_once)
    found = await asyncio.gather(*(_article(declared, entry, clients, settings, room) for entry in listing.entries))
    rows = [read.row for read in found if read.without is None]
    dropped = [(read.row, read.without) for read in found if isinstance(read.without, Drop)]
    failed = [(read.row, read.without) for read in found if isinstance(read.without, Failed)]
    size = listing.size + sum(read.size for read in found)
    side = _health(declared, began, entries=len(listing.entries), articles=len(rows), size=size)
    return Created(rows=rows, dropped=dropped, failed=failed, side={"sources": [side]})


@dataclass(frozen=True)
class _Read:
    """What became of an entry: `row` is the article, or names the one that there is not and `without` says why.

    `size` counts the bytes of a page of its own.
    """

    row: Row
    without: Drop | Failed | None = None
    size: int = 0


async def _article(
    source: Source, entry: Entry, clients: Clients, settings: Settings, room: asyncio.Semaphore
) -> _Read:
    named = {"row_id": _row_id(canonicalize(entry.url)), "url": entry.url, "title": entry.title}
    try:
        return await _read(named, source, entry, clients, settings, room)
    except Exception as error:  # the boundary that records what became of an entry
        return _Read(named, _failed(error))


async def _read(
    named: Row,
    source: Source,
    entry: Entry,
    clients: Clients,
    settings: Settings,
    room: asyncio.Semaphore,
) -> _Read:
    # The article's own document where the source brought it, else the one that its text stands in.
    is_own = entry.page is not None and entry.page.url == entry.url
    page, is_read = entry.page, entry.page is not None
    carries_text = entry.full_text is not None and (is_own or len(entry.full_text.split()) >= settings.least_words)
    if page is not None and entry.full_text is not None and carries_text:
        text = Extracted(entry.title, entry.author, entry.published_at, entry.language, entry.full_text, entry.url)
    else:
        if page is None or not is_own:
            is_read = False
            async with room:
                page = await clients.pages.get(entry.url)
        if not is_html(page):
            return _Read(named, Drop("not_html", page.content_type))
        text = await clients.texts.of(page)
    words = len(text.text.split())
    if words < settings.least_words:
        return _Read(named, Drop("no_text", words, "fewer words than a text has"))
    canonical = canonicalize(text.canonical_url or page.final_url)
    row = {
        "row_id": _row_id(canonical),
        "url": entry.url,
        "canonical_url": canonical,
        "source_id": source.id,
        "source_name": source.name,
        "source_weight": source.weight,
        "title": text.title or entry.title,
        "author": text.author or entry.author,
        "published_at": entry.published_at or text.published_at,
        "language": text.language or entry.language,
        "text": text.text,
        "word_count": words,
        "content_hash": content_hash(text.text),
        "page_sha256": page.sha256,
        "fetched_at": page.fetched_at,
        "fetch_method": "feed" if is_read and not is_own else page.fetch_method,
        "http_status": page.http_status,
    }
    return _Read(row, size=0 if is_read else len(page.body))


def _failed(error: Exception) -> Failed:
    """What `error` means for the one entry or source; raises what concerns every other one too."""
    if isinstance(error, CallError) and not isinstance(error, EndpointError):
        return Failed(error.kind, str(error))
    if isinstance(error, EnrichError):
        raise error
    return Failed(f"defect: {type(error).__name__}", str(error))


def _health(
    source: Source, began: float, *, error: str = "", entries: int = 0, articles: int = 0, size: int = 0
) -> dict[str, Any]:
    return {
        "row_id": source.id,
        "source_id": source.id,
        "name": source.name,
        "url": source.url,
        "kind": source.kind,
        "status": "failed" if error else "scraped",
        "error": error,
        "entries": entries,
        "articles": articles,
        "bytes": size,
        "seconds": round(time.monotonic() - began, 3),
    }


def _row_id(canonical_url: str) -> str:
    return sha256(canonical_url.encode("utf-8", "replace"))[:16]
