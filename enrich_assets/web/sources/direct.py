"""Pages that nothing keeps: for a look at sources without a run, a ledger or a page store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from enrich_assets.core.fingerprint import sha256
from enrich_assets.engine.clients import Page
from enrich_assets.web.fetch_records import fetch_record, page_of
from enrich_assets.web.forgotten import Forgotten
from enrich_assets.web.http import Fetched, HttpClient


class DirectPages:
    """The page client (`engine.clients.Pages`) of one look: each URL is asked for once, and remembered till the end."""

    def __init__(self, http: HttpClient, forgotten: Forgotten | None = None) -> None:
        self._http = http
        self._forgotten = forgotten or Forgotten()
        self._asked: dict[str, asyncio.Task[Page]] = {}

    async def get(self, url: str) -> Page:
        """The document at `url`; raises CallError."""
        self.refuse_forgotten(url)
        if url not in self._asked:
            self._asked[url] = asyncio.create_task(self._fetched(url))
        return await self._asked[url]

    async def keep(self, url: str, body: bytes, content_type: str) -> Page:
        """A local document as a page (fetch_method `file`)."""
        self.refuse_forgotten(url)
        return _page(Fetched(url, url, 200, {"content-type": content_type}, body, 0.0), url, "file")

    def refuse_forgotten(self, url: str) -> None:
        """Raises FinalError of kind `forgotten` for a URL that people wanted forgotten."""
        self._forgotten.refuse(url)

    async def _fetched(self, url: str) -> Page:
        return _page(await self._http.get(url), url, "http")


def _page(fetched: Fetched, url: str, method: str) -> Page:
    moment = datetime.now(UTC)
    record = fetch_record(fetched, url=url, sha256=sha256(fetched.body), moment=moment, fetch_method=method)
    return page_of(url, record, fetched.body, method)
