"""Articles out of sources: every entry of every source, fetched and reduced to its text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from enrich_assets.core.errors import CallError, EndpointError, EnrichError, TransientError, is_own_defect
from enrich_assets.core.fingerprint import sha256
from enrich_assets.core.scripts import word_count
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.clients import Clients, Extracted, Page
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Check, Created, Drop, Failed, Row, row
from enrich_assets.graphs.intelligence.source_health import (
    SOURCES,
    before_of,
    dates_can_be_read,
    failed_source,
    most_sources_answered,
    no_source_fails_for_long,
    read_source,
)
from enrich_assets.stats.figures.by_day import ByDay
from enrich_assets.stats.figures.side_bars import SideBars
from enrich_assets.stats.figures.timeline import Timeline
from enrich_assets.web.extract import CONSENT, content_hash, is_html
from enrich_assets.web.forgotten import FORGOTTEN
from enrich_assets.web.language import decided_language
from enrich_assets.web.rendered import RenderedPages
from enrich_assets.web.sources import Entry, entries
from enrich_assets.web.sources.source import Source
from enrich_assets.web.urls import canonicalize


class Settings(SettingsBase):
    """How sources are read."""

    pages_at_once: int = Field(default=4, ge=1, le=64)
    """Pages of one source in flight."""
    least_words: int = Field(default=20, ge=1)
    """A page with fewer words of text has no text (`no_text`)."""


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
        "language": Column(
            str, "ISO 639-1: what the source's settings say, else the text, else page or feed; or empty"
        ),
        "text": Column(str, "text of the article without the page around it"),
        "word_count": Column(
            int,
            "words of the text; where no space parts them, characters by those of an average word",
        ),
        "content_hash": Column(str, "SHA-256 of the normalised text"),
        "extracted_by": Column(str, "what the text comes from: trafilatura, selectors, json-ld …, or a kind of source"),
        "page_sha256": Column(str, "the raw document in the page store", volatile=True),
        "fetched_at": Column(datetime, "when the document was fetched, UTC", volatile=True),
        "fetch_method": Column(
            str, "http, not_modified, browser, file, feed, or stored where the page store replayed it", volatile=True
        ),
        "http_status": Column(int, "status of the answer", volatile=True),
    },
    sides={"sources": SOURCES},
    figures=[
        SideBars("sources", "articles", label="articles per source"),
        ByDay("source_name", "published_at", label="articles per source and day"),
        Timeline("published_at", label="articles by date of publication"),
    ],
    checks=[
        Check("most_sources_answered", most_sources_answered),
        Check("no_source_fails_for_long", no_source_fails_for_long),
        Check("dates_can_be_read", dates_can_be_read),
    ],
)
async def scraped(source: Row, clients: Clients, settings: Settings) -> Created:
    """One row an article: its text and where it came from.

    Reads every source's feed or listing, then each entry's page; an entry whose feed carries the whole text needs no
    page. Pages that this run fetched before are replayed from the page store. A source that is down is counted as
    failed and listed; the run goes on. No model is asked.
    """
    declared = Source.model_validate({k: v for k, v in source.items() if k in Source.model_fields})
    before = before_of(source)
    began = time.monotonic()
    pages = RenderedPages(clients.pages) if declared.javascript == "always" else clients.pages
    try:
        listing = await entries(declared, pages)
    except Exception as error:  # the boundary that records what became of a source
        failure = _failed(error)
        side = failed_source(declared, before, error=str(error) or failure.kind, seconds=time.monotonic() - began)
        if failure.kind == FORGOTTEN:
            named = {"row_id": _row_id(canonicalize(declared.url)), "url": declared.url, "title": ""}
            return Created(dropped=[(named, Drop(FORGOTTEN))], side={"sources": [side]})
        return Created(side={"sources": [side]}, failure=failure)
    room = asyncio.Semaphore(settings.pages_at_once)
    found = await asyncio.gather(*(_article(declared, entry, clients, settings, room) for entry in listing.entries))
    rows = [read.row for read in found if read.without is None]
    dropped = [(read.row, read.without) for read in found if isinstance(read.without, Drop)]
    failed = [(read.row, read.without) for read in found if isinstance(read.without, Failed)]
    side = read_source(
        declared,
        before,
        listing,
        {_row_id(canonicalize(entry.url)): entry.published_at for entry in listing.entries},
        [page for read in found for page in read.pages],
        [failure for _, failure in failed],
        articles=len(rows),
        seconds=time.monotonic() - began,
    )
    return Created(rows=rows, dropped=dropped, failed=failed, side={"sources": [side]})


@dataclass(frozen=True)
class _Read:
    """What became of an entry: `row` is the article, or names the one that there is not and `without` says why.

    `pages` are the documents that were read for it alone.
    """

    row: Row
    without: Drop | Failed | None = None
    pages: Sequence[Page] = ()


async def _article(
    source: Source, entry: Entry, clients: Clients, settings: Settings, room: asyncio.Semaphore
) -> _Read:
    named = {"row_id": _row_id(canonicalize(entry.url)), "url": entry.url, "title": entry.title}
    pages: list[Page] = []
    try:
        clients.pages.refuse_forgotten(entry.url)
        page, text = await _content(source, entry, clients, settings, room, pages)
        words = word_count(text.text)
        if not is_html(page) and not words:
            return _Read(named, Drop("not_html", page.content_type), pages)
        if text.method == CONSENT:
            return _Read(named, Drop("consent_dialogue", words, "it asks for consent and shows no article"), pages)
        if words < settings.least_words:
            return _Read(named, Drop("no_text", words, "fewer words than a text has"), pages)
        canonical = canonicalize(text.canonical_url or page.final_url)
        clients.pages.refuse_forgotten(canonical)
    except Exception as error:  # the boundary that records what became of an entry
        failure = _failed(error)
        if failure.kind == FORGOTTEN:  # not even the headline that a feed gives it stays
            return _Read({**named, "title": ""}, Drop(FORGOTTEN))
        return _Read(named, failure, pages)
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
        "language": source.language or decided_language(text.text, text.language or entry.language),
        "text": text.text,
        "word_count": words,
        "content_hash": content_hash(text.text),
        "extracted_by": text.method,
        "page_sha256": page.sha256,
        "fetched_at": page.fetched_at,
        "fetch_method": page.fetch_method if pages or page.url == entry.url else "feed",
        "http_status": page.http_status,
    }
    return _Read(row, pages=pages)


async def _content(
    source: Source, entry: Entry, clients: Clients, settings: Settings, room: asyncio.Semaphore, read: list[Page]
) -> tuple[Page, Extracted]:
    """The document that an entry's text stands in, and the text. Pages that are fetched for it are added to `read`."""

    async def fetched(*, rendered: bool) -> tuple[Page, Extracted]:
        async with room:
            page = await (clients.pages.get(entry.url, rendered=True) if rendered else clients.pages.get(entry.url))
        read.append(page)
        return page, await _text(page, source, clients)

    # The article's own document where the source brought it, else the one that its text stands in.
    is_own = entry.page is not None and entry.page.url == entry.url
    carried = entry.full_text or ""
    if entry.page is not None and carried and (is_own or word_count(carried) >= settings.least_words):
        about = (entry.title, entry.author, entry.published_at, entry.language)
        return entry.page, Extracted(*about, carried, entry.url, method=source.kind)
    if entry.page is not None and is_own:
        page, text = entry.page, await _text(entry.page, source, clients)
    else:
        page, text = await fetched(rendered=source.javascript == "always")
    is_local = page.url.startswith("file:")  # a browser reads no local document
    if source.javascript == "when_empty" and not is_local and word_count(text.text) < settings.least_words:
        return await fetched(rendered=True)
    return page, text


async def _text(page: Page, source: Source, clients: Clients) -> Extracted:
    if not is_html(page):
        return Extracted("", "", None, "", "", "")
    return await clients.texts.of(page, selectors=source.selectors or None)


def _failed(error: Exception) -> Failed:
    """What `error` means for the one entry or source; raises what concerns every other one too."""
    if isinstance(error, CallError) and not isinstance(error, EndpointError):
        return Failed(error.kind, str(error), waits=isinstance(error, TransientError))
    if isinstance(error, EnrichError) or is_own_defect(error):
        raise error
    return Failed(f"defect: {type(error).__name__}", str(error))


def _row_id(canonical_url: str) -> str:
    return sha256(canonical_url.encode("utf-8", "replace"))[:16]
