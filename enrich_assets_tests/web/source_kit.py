"""Sources without a network: pages out of a mapping, and the listing of one document."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from enrich_assets.core.errors import FinalError
from enrich_assets.engine.clients import Page
from enrich_assets.web.sources import Listing, entries
from enrich_assets.web.sources.source import Source
from enrich_assets_tests.web.web_samples import page_of


class WrittenPages:
    """The page client of phases over documents that a test wrote; `asked` are the URLs in the order of asking."""

    def __init__(self, documents: Mapping[str, Page | Exception]) -> None:
        self.documents = dict(documents)
        self.asked: list[str] = []
        self.kept: dict[str, Page] = {}

    async def get(self, url: str) -> Page:
        self.asked.append(url)
        found = self.documents.get(url)
        if found is None:
            raise FinalError("the server answered 404.", where=url, kind="http_404")
        if isinstance(found, Exception):
            raise found
        return found

    async def keep(self, url: str, body: bytes, content_type: str) -> Page:
        self.kept[url] = page_of(body, url=url, type=content_type)
        return self.kept[url]

    def refuse_forgotten(self, url: str) -> None:
        """Nothing is forgotten."""


def source(kind: str = "feed", *, url: str = "http://site.example/feed", **more: object) -> Source:
    return Source(id="s", name="S", url=url, kind=kind, **more)


def listing_of(
    body: bytes | str,
    kind: str = "feed",
    *,
    url: str = "http://site.example/feed",
    type: str = "application/xml",
    charset: str = "",
    **more: object,
) -> Listing:
    """What a source of that kind lists, which is that one document."""
    pages = WrittenPages({url: page_of(body, url=url, type=type, charset=charset)})
    return asyncio.run(entries(source(kind, url=url, **more), pages))
