"""The connections of the http client: one pool for most servers, one that repairs what the others send.

Who is asked, when and how often belongs to `web.http`.
"""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from functools import cache

import aiohttp
import httpx

from enrich_assets.web.answers import Reading
from enrich_assets.web.connector import GuardedConnector
from enrich_assets.web.guard import AddressGuard, on_the_wire
from enrich_assets.web.lenient import lenient_connector
from enrich_assets.web.transport import LONGEST_FIELD, MOST_FIELDS


class Sessions:
    """Open connections, each to an address that the guard has judged; made within a running event loop."""

    def __init__(self, guard: AddressGuard, identity: str) -> None:
        # Turns count requests; a second limit in the pool would only hide who waits.
        self._strict = _session(GuardedConnector(guard, ssl=_tls()), identity)
        self._lenient = _session(lenient_connector(guard, ssl=_tls()), identity)

    def sending(
        self, target: httpx.URL, reading: Reading, *, leniently: bool
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The answer to a request; `leniently`: for a server that breaks the grammar of HTTP (`web.lenient`)."""
        session, url = self._lenient if leniently else self._strict, on_the_wire(target)
        if reading.posts is not None:
            return session.post(url, json=dict(reading.posts), headers=reading.sent, allow_redirects=False)
        return session.get(url, headers=reading.sent, allow_redirects=False)

    async def close(self) -> None:
        """Closes every connection."""
        await self._strict.close()
        await self._lenient.close()


def _session(connector: aiohttp.TCPConnector, identity: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": identity, "Accept-Encoding": "gzip, deflate"},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),  # one deadline over everything, kept by the client
        auto_decompress=False,
        trust_env=False,
        max_line_size=LONGEST_FIELD,
        max_field_size=LONGEST_FIELD,
        max_headers=MOST_FIELDS,
    )


@cache
def _tls() -> ssl.SSLContext:
    # Reading the certificates of all authorities takes as long as twenty pages.
    return httpx.create_ssl_context()
