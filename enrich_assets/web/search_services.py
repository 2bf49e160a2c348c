"""The search services that come along: Serper and SearXNG over their own protocols, through the one http client.

Answers are kept and priced in `search`, which also chooses between them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from enrich_assets.core.errors import AddressRefused, EndpointError, FinalError, SettingsError, TransientError
from enrich_assets.engine.clients import Hit
from enrich_assets.web.http import Fetched, HttpClient
from enrich_assets.web.retry import retry_after
from enrich_assets.web.settings import SearchSettings

SERPER = "https://google.serper.dev"
_ENDPOINT_STATUS = {401, 402, 403, 404, 405}


class Serper:
    """Google's results by serper.dev: POST /search with the key in X-API-KEY. The settings know its price."""

    def __init__(self, http: HttpClient, settings: SearchSettings) -> None:
        if settings.api_key is None:
            raise SettingsError(
                "the search provider serper has no key.",
                where="search.api_key",
                fix="Write api_key: {env: SERPER_API_KEY}, or choose the provider 'embedded'.",
            )
        self._key = settings.api_key.read("the search provider serper")
        self._http = http
        self._url = f"{(settings.base_url or SERPER).rstrip('/')}/search"

    async def search(self, query: str, *, limit: int) -> list[Hit]:
        """Up to `limit` hits in the service's order; raises CallError."""
        sent = {"q": query, "num": limit}
        fetched = await self._http.post_json(self._url, sent, headers={"X-API-KEY": self._key})
        self._check_status(fetched)
        # Hits are kept and shown: none of them may hold the key, whatever the service echoes.
        fetched = replace(fetched, body=fetched.body.replace(self._key.encode(), b"***"))
        return _hits(_document(fetched).get("organic"), url="link", snippet="snippet")

    def _check_status(self, fetched: Fetched) -> None:
        status = fetched.http_status
        if 200 <= status < 300:
            return
        what = f"the search service answered {status}."
        # Serper says 400 both for a query it cannot read and for an account without credits.
        if status in _ENDPOINT_STATUS or b"credit" in fetched.body.lower():
            raise _endpoint(fetched.url, what)
        if status == 429 or status >= 500:
            wait = retry_after(fetched.headers, self._http.clock())
            raise TransientError(what, where=fetched.url, kind=f"http_{status}", retry_after=wait)
        raise FinalError(what, where=fetched.url)


class SearXNG:
    """A SearXNG instance: GET /search with format=json, which the instance must allow."""

    def __init__(self, http: HttpClient, settings: SearchSettings) -> None:
        if not settings.base_url:
            raise SettingsError(
                "the search provider searxng has no address.",
                where="search.base_url",
                fix="Write the instance's address, or choose the provider 'embedded'.",
            )
        self._http = http
        self._url = f"{settings.base_url.rstrip('/')}/search"

    async def search(self, query: str, *, limit: int) -> list[Hit]:
        """Up to `limit` hits in the service's order; raises CallError."""
        url = f"{self._url}?{urlencode({'q': query, 'format': 'json'})}"
        try:
            fetched = await self._http.get(url, accept="application/json", robots=False)
        except AddressRefused:
            raise
        except FinalError as error:
            raise _endpoint(self._url, error.what) from None
        return _hits(_document(fetched).get("results"), url="url", snippet="content")


def _document(fetched: Fetched) -> dict[str, Any]:
    try:
        document = json.loads(fetched.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _endpoint(urlsplit(fetched.url)._replace(query="").geturl(), "the answer is not a JSON object.")
    return document


def _hits(results: Any, *, url: str, snippet: str) -> list[Hit]:
    hits: list[Hit] = []
    for result in results if isinstance(results, list) else []:
        address = result.get(url) if isinstance(result, dict) else None
        if isinstance(address, str) and _is_of_the_web(address):
            title, part = (str(result.get(name) or "") for name in ("title", snippet))
            hits.append(Hit(address, title, part, 1 / (len(hits) + 1)))
    return hits


def _is_of_the_web(address: str) -> bool:
    try:
        return urlsplit(address).scheme in ("http", "https")
    except ValueError:
        return False


def _endpoint(url: str, what: str) -> EndpointError:
    return EndpointError(what, where=url, fix="Check the search service's address, key, credit and JSON format.")
