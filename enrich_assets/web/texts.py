"""What pages hold, for phases: extraction away from the event loop.

What is extracted and how belongs to `web.extract`.
"""

from __future__ import annotations

import asyncio

from enrich_assets.engine.clients import Extracted, Page, PageSelectors
from enrich_assets.web.extract import extract


class ExtractedTexts:
    """The texts client of phases (`engine.clients.Texts`)."""

    async def of(self, page: Page, *, selectors: PageSelectors | None = None) -> Extracted:
        """Text and metadata of an HTML page; raises FinalError of kind `not_html`."""
        return await asyncio.to_thread(extract, page, selectors=selectors)
