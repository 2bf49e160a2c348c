"""Search services: Serper and SearXNG over their own protocols, through the one http client and the ledger.

The embedded index, and the choice between them all, are in `search`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from enrich_assets.core.errors import AddressRefused, EndpointError, FinalError, SettingsError, TransientError
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import Hit, Weight
from enrich_assets.engine.requests import Reply, Request
from enrich_assets.web.http import Fetched, HttpClient
from enrich_assets.web.settings import SearchSettings

SERPER = "https://google.serper.dev"
_ENDPOINT_STATUS = {401, 402, 403, 404, 405}


class Serper:
    """Google's results by serper.dev: POST /search with the key in X-API-KEY. The settings know its price."""

    def __init__(self, http: HttpClient, calls: Calls, settings: SearchSettings) -> None:
        if settings.api_key is None:
            raise SettingsError(
                "the search provider serper has no key.",
                where="search.api_key",
                fix="Write api_key: {env: SERPER_API_KEY}, or choose the provider 'embedded'.",
            )
        self._key = settings.api_key.read("the search provider serper")
        self._http, self._calls, self._settings = http, calls, settings
        self._url = f"{(settings.base_url or SERPER).rstrip('/')}/search"

    async def find(self, query: str, *, limit: int = 5) -> list[Hit]:
        """Up to `limit` hits in the service's order; raises CallError."""
        price = self._settings.usd_per_search

        async def send() -> Reply:
            fetched = await self._http.post_json(
                self._url, {"q": query, "num": limit}, headers={"X-API-KEY": self._key}
            )
            _check_status(fetched)
            hits = _hits(_document(fetched).get("organic"), url="link", snippet="snippet")
            return Reply({"hits": hits[:limit]}, cost=price, seconds=fetched.seconds)

        return await _found(self._calls, self._settings, "serper", query, limit, send, price)


class SearXNG:
    """A SearXNG instance: GET /search with format=json, which the instance must allow."""

    def __init__(self, http: HttpClient, calls: Calls, settings: SearchSettings) -> None:
        if not settings.base_url:
            raise SettingsError(
                "the search provider searxng has no address.",
                where="search.base_url",
                fix="Write the instance's address, or choose the provider 'embedded'.",
            )
        self._http, self._calls, self._settings = http, calls, settings
        self._url = f"{settings.base_url.rstrip('/')}/search"

    async def find(self, query: str, *, limit: int = 5) -> list[Hit]:
        """Up to `limit` hits in the service's order; raises CallError."""

        async def send() -> Reply:
            url = f"{self._url}?{urlencode({'q': query, 'format': 'json'})}"
            try:
                fetched = await self._http.get(url, accept="application/json")
            except AddressRefused:
                raise
            except FinalError as error:
                raise _endpoint(self._url, error.what) from None
            hits = _hits(_document(fetched).get("results"), url="url", snippet="content")
            return Reply({"hits": hits[:limit]}, seconds=fetched.seconds)

        return await _found(self._calls, self._settings, "searxng", query, limit, send, 0.0)


async def _found(
    calls: Calls,
    settings: SearchSettings,
    provider: str,
    query: str,
    limit: int,
    send: Callable[[], Awaitable[Reply]],
    price: float | None,
) -> list[Hit]:
    request = Request(
        kind="search",
        content={"provider": provider, "query": query, "limit": limit},
        max_age=timedelta(hours=settings.max_age_hours),
    )
    reply = await calls.make(request, send, endpoint=provider, weigh=lambda: Weight(0, price))
    return [
        Hit(hit["url"], hit["title"], hit["snippet"], 1 / rank) for rank, hit in enumerate(reply.content["hits"], 1)
    ]


def _check_status(fetched: Fetched) -> None:
    status = fetched.http_status
    if 200 <= status < 300:
        return
    what = f"the search service answered {status}."
    if status == 429 or status >= 500:
        raise TransientError(what, where=fetched.url)
    # Serper says 400 both for a query it cannot read and for an account without credits.
    if status in _ENDPOINT_STATUS or b"credit" in fetched.body.lower():
        raise _endpoint(fetched.url, what)
    raise FinalError(what, where=fetched.url)


def _document(fetched: Fetched) -> dict[str, Any]:
    try:
        document = json.loads(fetched.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _endpoint(urlsplit(fetched.url)._replace(query="").geturl(), "the answer is not a JSON object.")
    return document


def _hits(results: Any, *, url: str, snippet: str) -> list[dict[str, str]]:
    hits = []
    for result in results if isinstance(results, list) else []:
        address = result.get(url) if isinstance(result, dict) else None
        if isinstance(address, str) and urlsplit(address).scheme in ("http", "https"):
            texts = {"title": result.get("title"), "snippet": result.get(snippet)}
            hits.append({"url": address, **{name: str(text or "") for name, text in texts.items()}})
    return hits


def _endpoint(url: str, what: str) -> EndpointError:
    return EndpointError(what, where=url, fix="Check the search service's address, key, credit and JSON format.")
