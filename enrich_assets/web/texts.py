"""What pages hold, for phases: kept results first, then extraction away from the event loop.

What is extracted and how belongs to `web.extract`, the processes to `web.extraction_pool`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Self

from enrich_assets.engine.clients import Extracted, Page, PageSelectors
from enrich_assets.web.extract import extract
from enrich_assets.web.extraction_pool import ExtractionPool
from enrich_assets.web.text_store import TextStore

_SMALL_BYTES = 100_000
_SMALL_TAGS = 2_000
"""Pages within both are harmless in this process: the worst of them takes a second."""
_WORTH_SECONDS = 1.0
_WORTH_PAGES = 24
"""Processes take about a second to start. They begin when as much was spent here, or when so many pages wait."""


class ExtractedTexts:
    """The texts client of phases (`engine.clients.Texts`).

    With a `store`, what was extracted once is read there. With a `pool`, pages are extracted in its processes as soon
    as there is enough to do, and large pages always. `extracted` and `reused` count pages.
    """

    def __init__(self, store: TextStore | None = None, pool: ExtractionPool | None = None) -> None:
        self._store = store
        self._pool = pool
        self._spent = 0.0
        self._waiting = 0
        self._began = False
        self.extracted = 0
        self.reused = 0

    async def of(self, page: Page, *, selectors: PageSelectors | None = None) -> Extracted:
        """Text and metadata of an HTML page.

        Raises FinalError of kind `not_html`, or of kind `extraction` where a page takes too much time or memory, and
        StorageError.
        """
        if self._store is not None:
            kept = await asyncio.to_thread(self._store.get, page, selectors)
            if kept is not None:
                self.reused += 1
                return kept
        self._waiting += 1
        try:
            found = await self._extract(page, selectors)
        finally:
            self._waiting -= 1
        self.extracted += 1
        if self._store is not None:
            await asyncio.to_thread(self._store.put, page, selectors, found)
        return found

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends the processes; pages that wait are given up."""
        if self._pool is not None:
            await asyncio.to_thread(self._pool.close)

    async def _extract(self, page: Page, selectors: PageSelectors | None) -> Extracted:
        if self._pool is None or (not self._pool.ready and _is_small(page)):
            found, seconds = await asyncio.to_thread(_timed, page, selectors)
            self._spent += seconds
            if self._pool is not None and (self._spent > _WORTH_SECONDS or self._waiting > _WORTH_PAGES):
                self._begin(self._pool)
            return found
        self._begin(self._pool)
        return await asyncio.wrap_future(self._pool.submit(page, selectors))

    def _begin(self, pool: ExtractionPool) -> None:
        if not self._began:
            self._began = True
            pool.start()


def _timed(page: Page, selectors: PageSelectors | None) -> tuple[Extracted, float]:
    """What the page holds, and the seconds of processor time that it took."""
    began = time.thread_time()
    return extract(page, selectors=selectors), time.thread_time() - began


def _is_small(page: Page) -> bool:
    return len(page.body) <= _SMALL_BYTES and page.body.count(b"<") <= _SMALL_TAGS
