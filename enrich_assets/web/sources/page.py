"""A source that is one article: the page itself."""

from __future__ import annotations

from enrich_assets.engine.clients import Page
from enrich_assets.web.sources.entry import Entry
from enrich_assets.web.sources.source import Source


def entries(source: Source, page: Page) -> list[Entry]:
    """The page as its only entry, under the URL it was asked by, so that reading it again costs no request."""
    return [Entry(url=page.url)]
