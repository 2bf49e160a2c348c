"""A source that is one article: the page itself."""

from __future__ import annotations

from enrich_assets.engine.clients import Pages
from enrich_assets.web.sources.entry import Entry, Listing
from enrich_assets.web.sources.source import Source


async def entries(source: Source, pages: Pages) -> Listing:
    """The page as its only entry."""
    page = await pages.get(source.url)
    return Listing((Entry(url=page.url, page=page),), (page,))
