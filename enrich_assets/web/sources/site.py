"""A source that is a site's home page: its feed or sitemap is found and read.

In this order: the page itself when it is a feed, the feeds that its head names, the paths where feeds commonly stand,
the sitemaps that its robots.txt names, the path where sitemaps commonly stand.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

from enrich_assets.core.errors import CallError, EndpointError
from enrich_assets.engine.clients import Page, Pages
from enrich_assets.web.extract import decoded, parsed_html
from enrich_assets.web.sources import feed, sitemap
from enrich_assets.web.sources.entry import Listing
from enrich_assets.web.sources.kind import source_error
from enrich_assets.web.sources.listing import wanted_links
from enrich_assets.web.sources.source import Source
from enrich_assets.web.urls import canonicalize, joined

FEED_PATHS = ("/feed", "/rss.xml", "/atom.xml", "/feed.xml", "/rss", "/index.xml", "/feed.json")
SITEMAP_PATH = "/sitemap.xml"
MOST_CANDIDATES = 20
_FEED_TYPES = ("application/rss+xml", "application/atom+xml", "application/feed+json", "application/rdf+xml")
_SITEMAP_LINE = re.compile(r"^[ \t]*sitemap[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Candidate:
    """Where entries may be, what kind of document it is meant to be, and who says so."""

    url: str
    kind: str
    why: str


async def entries(source: Source, pages: Pages) -> Listing:
    """The entries of the first of the site's feeds and sitemaps that has any; `taken` and a warning say which.

    Raises CallError when the home page cannot be read, and FinalError of kind `no_feed_found`.
    """
    candidate, found = await discovered(source, pages)
    if candidate is None:
        return found
    note = f"reads the {candidate.kind} {candidate.url}, {candidate.why}."
    return replace(found, taken=candidate.url, warnings=(note, *found.warnings))


async def discovered(source: Source, pages: Pages) -> tuple[Candidate | None, Listing]:
    """What the site's entries are read from, None for the page itself, and what it lists; raises as `entries` does."""
    home = await pages.get(source.url)
    if await asyncio.to_thread(feed.is_feed, source, home):
        found = await asyncio.to_thread(feed.listing_of, source, home)
        return None, await asyncio.to_thread(_chosen, source, found, home.final_url)
    documents = [home]
    empty: tuple[Candidate, Listing] | None = None
    tried: set[str] = {canonicalize(home.final_url)}
    async for candidate in _candidates(home, pages, documents):
        name = canonicalize(candidate.url)
        if name in tried or not name.startswith(("http://", "https://")):
            continue
        if len(tried) > MOST_CANDIDATES:
            break
        tried.add(name)
        named = source.model_copy(update={"url": candidate.url, "kind": candidate.kind})
        try:
            found = await (feed if candidate.kind == "feed" else sitemap).entries(named, pages)
        except EndpointError:
            raise
        except CallError:
            continue
        documents += found.documents
        found = replace(_chosen(source, found, home.final_url), documents=tuple(documents))
        if found.entries:
            return candidate, found
        empty = empty or (candidate, found)
    if empty is not None:
        return empty[0], replace(empty[1], documents=tuple(documents))
    raise source_error(
        source,
        "no_feed_found",
        f"no feed and no sitemap was found on the site, at {len(tried) - 1} places.",
        "Use kind 'listing' with a link_pattern, or give the URL of its feed.",
    )


def advertised(page: Page) -> tuple[Candidate, ...]:
    """The feeds that the head of an HTML page names, those of comments last."""
    tree = parsed_html(page)
    if tree is None:
        return ()
    bases = tree.xpath("//base/@href")
    base = joined(page.final_url, bases[0]) if bases else page.final_url
    found: list[tuple[bool, Candidate]] = []
    for link in tree.xpath("//link[@rel and @href]"):
        type = (link.get("type") or "").partition(";")[0].strip().lower()
        if "alternate" in link.get("rel").lower().split() and type in _FEED_TYPES:
            url = joined(base or page.final_url, link.get("href"))
            is_of_comments = "comment" in f"{url} {link.get('title') or ''}".lower()
            found.append((is_of_comments, Candidate(url, "feed", "which the page names")))
    return tuple(candidate for _, candidate in sorted(found, key=lambda one: one[0]))


async def _candidates(home: Page, pages: Pages, documents: list[Page]) -> AsyncIterator[Candidate]:
    for candidate in await asyncio.to_thread(advertised, home):
        yield candidate
    for path in FEED_PATHS:
        yield Candidate(joined(home.final_url, path), "feed", "where feeds commonly stand")
    try:
        robots = await pages.get(joined(home.final_url, "/robots.txt"))
    except EndpointError:
        raise
    except CallError:
        robots = None
    if robots is not None:
        documents.append(robots)
        for url in _sitemaps(robots):
            yield Candidate(url, "sitemap", "which robots.txt names")
    yield Candidate(joined(home.final_url, SITEMAP_PATH), "sitemap", "where sitemaps commonly stand")


def _sitemaps(robots: Page) -> Iterator[str]:
    for found in _SITEMAP_LINE.finditer(decoded(robots)[:500_000]):
        yield joined(robots.final_url, found.group(1))


def _chosen(source: Source, found: Listing, base: str) -> Listing:
    """The entries that the source's pattern chooses; a feed without a pattern may link to other sites."""
    if not source.link_pattern:
        return found
    is_wanted = wanted_links(source, base)
    return replace(found, entries=tuple(entry for entry in found.entries if is_wanted(entry.url)))
