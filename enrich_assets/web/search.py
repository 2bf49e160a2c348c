"""Search as phases get it: the choice of the settings, and every service's answers through the ledger.

The embedded index stands in `search_index`, the services that come along in `search_services`. What is chosen from the
hits and read is decided in `evidence`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Protocol, cast
from urllib.parse import urlsplit

from enrich_assets.core.entry_points import load_registered
from enrich_assets.core.errors import SettingsError
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import Hit, Search, Weight
from enrich_assets.engine.requests import Reply, Request
from enrich_assets.web.http import HttpClient
from enrich_assets.web.search_index import EmbeddedSearch, IndexedPage
from enrich_assets.web.search_services import SearXNG, Serper
from enrich_assets.web.settings import FREE_PROVIDERS, SEARCH_GROUP, SearchSettings


class SearchService(Protocol):
    """A search service, one's own too: registered in `enrich_assets.search` as a function that makes one.

    `(http: HttpClient, settings: SearchSettings) -> SearchService`; it is called once a phase that searches.
    """

    async def search(self, query: str, *, limit: int) -> Sequence[Hit]:
        """Up to `limit` hits, best first. It neither caches nor retries.

        Raises TransientError for what another attempt may mend, with `retry_after` where the service says so,
        EndpointError for what concerns every search (key, credit), FinalError for a query that it does not take.
        """
        ...


class ServiceSearch:
    """A search service as the search client of phases: asked once a query, kept in the ledger, priced."""

    def __init__(self, service: SearchService, calls: Calls, settings: SearchSettings) -> None:
        self._service, self._calls = service, calls
        self._provider = settings.provider
        self._price = 0.0 if settings.provider in FREE_PROVIDERS else settings.usd_per_search
        self._max_age = timedelta(hours=settings.max_age_hours)

    async def find(self, query: str, *, limit: int = 5) -> list[Hit]:
        """Up to `limit` hits in the service's order, web pages only; raises CallError."""

        async def send() -> Reply:
            started = time.monotonic()
            hits = await self._service.search(query, limit=limit)
            kept = [
                {"url": hit.url, "title": hit.title, "snippet": hit.snippet}
                for hit in hits
                if urlsplit(hit.url).scheme in ("http", "https")
            ]
            return Reply({"hits": kept[:limit]}, cost=self._price, seconds=time.monotonic() - started)

        request = Request(
            kind="search",
            content={"provider": self._provider, "query": query, "limit": limit},
            max_age=self._max_age,
        )
        reply = await self._calls.make(request, send, endpoint=self._provider, weigh=lambda: Weight(0, self._price))
        return [
            Hit(hit["url"], hit["title"], hit["snippet"], 1 / rank) for rank, hit in enumerate(reply.content["hits"], 1)
        ]


def open_search(
    settings: SearchSettings, *, http: HttpClient, calls: Calls, documents: Callable[[], Iterable[IndexedPage]]
) -> Search:
    """The search client that the settings name. `documents` is read for the embedded index only, when it is asked.

    Raises SettingsError where a service lacks its key or address, or cannot be imported.
    """
    if settings.provider == "embedded":
        return EmbeddedSearch(documents)
    return ServiceSearch(_service(settings, http), calls, settings)


def _service(settings: SearchSettings, http: HttpClient) -> SearchService:
    if settings.provider == "serper":
        return Serper(http, settings)
    if settings.provider == "searxng":
        return SearXNG(http, settings)
    made = load_registered(settings.provider, SEARCH_GROUP)(http, settings)
    if not callable(getattr(made, "search", None)):
        raise SettingsError(
            f"what is registered as {settings.provider!r} makes no search service.",
            where="search.provider",
            fix="Register a function of (http, settings) that gives an object with `async def search`.",
        )
    return cast(SearchService, made)
