"""A source that is a sitemap: an index, a set of URLs (also Google News), or lines of text; each also as gzip.

What one document says belongs to `sitemap_document`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from enrich_assets.core.errors import CallError, EndpointError
from enrich_assets.engine.clients import Page, Pages
from enrich_assets.web.sources.entry import Entry, Listing
from enrich_assets.web.sources.listing import wanted_links
from enrich_assets.web.sources.sitemap_document import Located, SitemapDocument, read_sitemap
from enrich_assets.web.sources.source import Source
from enrich_assets.web.urls import canonicalize

DEEPEST = 3
"""Levels of indexes below each other; the protocol allows one."""
MOST_DOCUMENTS = 50
MOST_BYTES = 100_000_000
"""Of all documents of one sitemap together, decompressed."""
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_ONE_DAY = datetime(9999, 1, 1, tzinfo=UTC)


async def entries(source: Source, pages: Pages) -> Listing:
    """The URLs of a sitemap that the source's rules choose, those of an index newest child first.

    Children are read until they can hold nothing newer than what is found, or until a bound is reached, which is a
    warning, as is a child that cannot be read. Raises CallError, and FinalError of the kinds `not_a_sitemap`,
    `too_large`, `xml_bomb` and `external_entity` when the first document cannot be read, or none of an index can.
    """
    first = await pages.get(source.url)
    document = await asyncio.to_thread(read_sitemap, source, first)
    reading = _Reading(source, pages, wanted_links(source, first.final_url))
    reading.add(first, document)
    await reading.children(document, depth=1)
    if document.children and not reading.answered and reading.failure is not None:
        raise reading.failure
    if not reading.found:
        reading.warnings.append("the sitemap has no URL that the source's rules choose.")
    return Listing(tuple(reading.found.values()), tuple(reading.documents), warnings=tuple(reading.warnings))


class _Reading:
    """What was found so far, and what it took."""

    def __init__(self, source: Source, pages: Pages, is_wanted: Callable[[str], bool]) -> None:
        self.found: dict[str, Entry] = {}
        self.documents: list[Page] = []
        self.warnings: list[str] = []
        self.answered = 0
        self.failure: CallError | None = None
        self._source = source
        self._pages = pages
        self._is_wanted = is_wanted
        self._seen: set[str] = set()
        self._bytes = 0

    def add(self, page: Page, document: SitemapDocument) -> None:
        self.documents.append(page)
        self._seen |= {canonicalize(page.url), canonicalize(page.final_url)}
        self._bytes += document.size
        for located in document.pages:
            name = canonicalize(located.url)
            is_fetchable = located.url.startswith(("http://", "https://"))
            if name not in self.found and is_fetchable and self._is_wanted(located.url):
                self.found[name] = _entry(located)
        if document.is_cut:
            self.warnings.append(f"{page.url} is not read to its end: it is broken or has too many URLs.")

    async def children(self, document: SitemapDocument, depth: int) -> None:
        """Reads the documents that an index names, newest first; those without a date before them, in its order."""
        order = sorted(document.children, key=lambda one: one.changed_at or _ONE_DAY, reverse=True)
        for child in order:
            if canonicalize(child.url) in self._seen or not child.url.startswith(("http://", "https://")):
                continue
            if child.changed_at is not None and self._has_enough_newer_than(child.changed_at):
                return
            if depth > DEEPEST or len(self.documents) >= MOST_DOCUMENTS or self._bytes >= MOST_BYTES:
                bound = f"{DEEPEST} levels, {MOST_DOCUMENTS} documents or {MOST_BYTES // 1_000_000} MB"
                self.warnings.append(f"not all of the sitemap is read: it has more than {bound}.")
                return
            self._seen.add(canonicalize(child.url))
            try:
                page = await self._pages.get(child.url)
                read = await asyncio.to_thread(read_sitemap, self._source, page)
            except EndpointError:
                raise
            except CallError as error:
                self.failure = self.failure or error
                self.warnings.append(f"{child.url} cannot be read: {error.what}")
                if len(self.warnings) >= MOST_DOCUMENTS:
                    return
                continue
            self.answered += 1
            self.add(page, read)
            await self.children(read, depth + 1)

    def _has_enough_newer_than(self, moment: datetime) -> bool:
        newer = sum((entry.published_at or entry.updated_at or _LONG_AGO) >= moment for entry in self.found.values())
        return newer >= self._source.max_items


def _entry(located: Located) -> Entry:
    return Entry(
        url=located.url,
        title=located.title,
        published_at=located.published_at,
        updated_at=located.changed_at,
        language=located.language,
    )
