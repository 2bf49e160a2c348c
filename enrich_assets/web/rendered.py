"""The pages client of a source all of whose pages are made by scripts."""

from __future__ import annotations

from enrich_assets.engine.clients import Page, Pages


class RenderedPages:
    """Renders every page that is asked for."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def get(self, url: str, *, rendered: bool = True) -> Page:
        """The rendered document; raises CallError."""
        return await self._pages.get(url, rendered=True)

    async def keep(self, url: str, body: bytes, content_type: str) -> Page:
        """Keeps a document that was read from a local file."""
        return await self._pages.keep(url, body, content_type)

    def refuse_forgotten(self, url: str) -> None:
        """Raises FinalError for what must not be read any more."""
        self._pages.refuse_forgotten(url)
