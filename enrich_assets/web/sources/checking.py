"""How a source does right now, in words and numbers, and what to do about it.

Nothing is kept and nothing is paid. How sources did in the runs of the past belongs to the phase that reads them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from enrich_assets.core.errors import CallError, EndpointError, TransientError
from enrich_assets.engine.clients import Page, Pages
from enrich_assets.web.extract import is_html
from enrich_assets.web.robots import RulesUnknown
from enrich_assets.web.sources import entries, feed, site, sitemap_document
from enrich_assets.web.sources.entry import Listing
from enrich_assets.web.sources.source import Source
from enrich_assets.web.urls import canonicalize

SILENT_DAYS = 30
"""Days without a new item after which a source is called silent."""
LOCAL = ("file", "folder")
_NOT_ASKED = ("dns", "connection", "timeout", "bad_url", "address_refused")
"""Kinds of errors after which it is not known what robots.txt says."""


@dataclass(frozen=True)
class Checked:
    """What one look at a source found."""

    source: Source
    status: Literal["ok", "empty", "failed"]
    error: str = ""
    """Why it failed; empty otherwise."""
    error_kind: str = ""
    entries: int = 0
    newest: datetime | None = None
    """Date of its newest entry, UTC."""
    robots: Literal["allows", "forbids", "unreadable", "ignored", "–"] = "allows"
    """What robots.txt says of the source's own URL: unreadable where it cannot be had now, ignored where the settings
    say so, – for local files, and where the site was not asked."""
    taken: str = ""
    """What its entries were read from, where that is another URL than its own."""
    documents: int = 0
    bytes: int = 0
    """Of the documents, decompressed."""
    seconds: float = 0.0
    advice: tuple[str, ...] = ()
    """Sentences: what to know, and what to change."""


async def checked(source: Source, pages: Pages, now: datetime, *, robots: bool = True) -> Checked:
    """Reads what `source` lists, at `now`; `robots`: whether robots.txt is followed. Raises EndpointError."""
    began = time.monotonic()
    said = "–" if source.kind in LOCAL else "allows" if robots else "ignored"
    try:
        listing = await entries(source, pages)
    except EndpointError:
        raise
    except CallError as error:
        if source.kind not in LOCAL and error.kind in _NOT_ASKED:
            said = "–"
        elif isinstance(error, RulesUnknown):
            said = "unreadable"
        elif error.kind == "robots":
            said = "forbids"
        return Checked(
            source,
            "failed",
            error=f"{error.what}",
            error_kind=error.kind,
            robots=said,  # type: ignore[arg-type]
            seconds=time.monotonic() - began,
            advice=tuple(filter(None, [await _what_to_do(source, pages, error)])),
        )
    dates = [date for one in listing.entries if (date := one.published_at or one.updated_at) is not None]
    newest = max(dates, default=None)
    return Checked(
        source,
        "ok" if listing.entries else "empty",
        entries=len(listing.entries),
        newest=newest,
        robots=said,  # type: ignore[arg-type]
        taken=listing.taken,
        documents=len(listing.documents),
        bytes=listing.size,
        seconds=time.monotonic() - began,
        advice=tuple(_advice(source, listing, newest, now)),
    )


def _advice(source: Source, listing: Listing, newest: datetime | None, now: datetime) -> list[str]:
    advice = list(listing.warnings)
    if not listing.entries and not advice:
        advice.append("it lists nothing.")
    if newest is not None and (days := (now - newest).days) > SILENT_DAYS and source.kind not in LOCAL:
        advice.append(f"no item for {days:,} days.")
    if newest is not None and (newest - now).days >= 1:
        advice.append(f"its newest item is dated {newest:%Y-%m-%d}, which is to come.")
    own = next((page for page in listing.documents if page.url == source.url), None)
    if own is not None and canonicalize(own.final_url) != canonicalize(own.url):
        advice.append(f"it redirects to {own.final_url}: write that URL.")
    return advice


async def _what_to_do(source: Source, pages: Pages, error: CallError) -> str:
    if isinstance(error, TransientError):
        return "try again later: it may pass."
    return await _what_it_is(source, pages) or error.fix


async def _what_it_is(source: Source, pages: Pages) -> str:
    """What to write instead, where the document is there and of another kind than the settings say."""
    if source.kind not in ("feed", "sitemap", "listing"):
        return ""
    try:
        page = await pages.get(source.url)
    except CallError:
        return ""
    kind = await asyncio.to_thread(kind_of, source, page)
    if kind in ("feed", "sitemap"):
        return f"it is a {kind}: write kind: {kind}." if kind != source.kind else ""
    if kind != "page":
        return ""
    named = await asyncio.to_thread(site.advertised, page)
    if named:
        return f"this is a page; its feed is {named[0].url}: write that URL with kind: feed."
    return "this is a page that names no feed: kind: site looks for one, kind: listing reads its links."


def kind_of(source: Source, page: Page) -> Literal["feed", "sitemap", "page", ""]:
    """What the document is by its content; '' for what no kind of source reads."""
    if feed.is_feed(source, page):
        return "feed"
    try:
        sitemap_document.read_sitemap(source, page)
    except CallError:
        return "page" if is_html(page) else ""
    return "sitemap"
