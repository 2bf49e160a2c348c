"""The one http client: a GET through the address guard, with a deadline, a cap and redirects by hand.

Belongs here: everything between a URL and its decompressed body. Caching belongs to `web.pages`, retries to
`engine.calls`.
"""

from __future__ import annotations

import asyncio
import http.cookiejar
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from enrich_assets.core.errors import AddressRefused, FinalError, TransientError
from enrich_assets.web.guard import DEFAULT_PORTS, AddressGuard, GuardedResolver, refused
from enrich_assets.web.retry import retry_after
from enrich_assets.web.settings import HttpSettings

ACCEPT = "text/html,application/xhtml+xml,application/feed+json,application/xml;q=0.9,*/*;q=0.8"
_REDIRECTS = {301, 302, 303, 307, 308}
_WORTH_ANOTHER_TRY = {408, 425, 429}
_VALIDATORS = {"if-none-match", "if-modified-since"}
_FOR_ANY_HOST = {"accept"}
"""What is sent to another scheme, host or port than the one that was asked for."""
_NOT_KEPT = {"set-cookie", "set-cookie2", "authorization", "proxy-authorization", "www-authenticate"}


@dataclass(frozen=True)
class Fetched:
    """A document as it came. `body` is decompressed; `headers` have lower-case names and no secrets."""

    url: str
    final_url: str
    http_status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    redirects: tuple[str, ...] = ()
    """The URLs that were asked on the way, `final_url` excluded."""


class HttpClient:
    """Reads documents; an async context manager. No cookies, no proxies of the environment.

    `routes` sends a host name to a fixed (address, port), past the guard; the Host header keeps the name.
    """

    def __init__(
        self,
        settings: HttpSettings,
        *,
        routes: Mapping[str, tuple[str, int]] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.guard = AddressGuard(settings.allow_hosts, routes)
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(settings.concurrency)

    async def __aenter__(self) -> HttpClient:
        tls = httpx.create_ssl_context()
        session = aiohttp.ClientSession(
            # The semaphore counts requests; a second limit in the pool would only hide who waits.
            connector=aiohttp.TCPConnector(resolver=GuardedResolver(self.guard), ssl=tls, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(client=session, verify=tls),
            headers={"user-agent": self.settings.user_agent, "accept-encoding": "gzip, deflate"},
            cookies=no_cookies,
            timeout=None,  # one deadline over everything, set in get
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def get(self, url: str, *, accept: str = ACCEPT, validators: Mapping[str, str] | None = None) -> Fetched:
        """The document at `url`, redirects followed.

        `validators` (If-None-Match, If-Modified-Since) ask for it only where it changed: an unchanged one comes with
        the status 304 and no body. They go along with redirects that keep scheme, host and port.

        Raises TransientError (kinds http_429, http_5xx, timeout, dns, connection), FinalError (http_4xx, too_large,
        too_many_redirects, bad_url, bad_encoding, certificate, dns: there is no such name) and AddressRefused, each
        naming the URL.
        """
        return await self._bounded(
            url, lambda started: self._follow(url, {"accept": accept, **(validators or {})}, started)
        )

    async def post_json(self, url: str, content: Mapping[str, Any], *, headers: Mapping[str, str]) -> Fetched:
        """The answer to JSON sent to `url`, whatever its status; raises like `get` for everything else.

        No redirect is followed: `headers` may carry a key that is meant for this address alone.
        """
        return await self._bounded(url, lambda started: self._post(url, content, headers, started))

    async def _bounded(self, url: str, work: Callable[[float], Awaitable[Fetched]]) -> Fetched:
        async with self._slots:
            started = time.monotonic()
            try:
                async with asyncio.timeout(self.settings.deadline_seconds):
                    return await work(started)
            except TimeoutError:
                raise _transient(
                    "timeout", url, f"no complete document within {self.settings.deadline_seconds:g} s."
                ) from None
            except AddressRefused as error:
                if error.where.startswith(("http://", "https://")):
                    raise
                # Raised by the resolver, which knows only the host; several requests may share that error.
                raise refused(url, error.what.partition(": ")[2].rstrip("."), fix=error.fix) from None
            except (TransientError, FinalError) as error:
                if error.kind != "dns":
                    raise
                make = _transient if isinstance(error, TransientError) else _final
                raise make("dns", url, error.what, fix=error.fix) from None
            except aiohttp.ClientConnectorCertificateError as error:
                raise _final("certificate", url, f"the server's certificate is not valid ({error}).") from None
            except (httpx.TransportError, aiohttp.ClientError, OSError) as error:
                if isinstance(error.__cause__, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)):
                    raise _final("certificate", url, f"no trusted TLS connection ({error}).") from None
                what = f"the connection failed ({str(error) or type(error).__name__})."
                raise _transient("connection", url, what) from None

    async def _follow(self, url: str, sent: Mapping[str, str], started: float) -> Fetched:
        if self._client is None:
            raise RuntimeError("HttpClient is used outside its context")
        current = self.guard.checked(url)
        passed: list[str] = []
        while True:
            async with self._client.stream("GET", current, headers=dict(sent)) as response:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or not location:
                    is_unchanged = response.status_code == 304 and any(name.lower() in _VALIDATORS for name in sent)
                    if not is_unchanged:
                        self._raise_for_status(response, url)
                    body = b"" if is_unchanged else await self._body(response, url)
                    headers = {k.lower(): v for k, v in response.headers.items() if k.lower() not in _NOT_KEPT}
                    seconds = time.monotonic() - started
                    return Fetched(url, str(current), response.status_code, headers, body, seconds, tuple(passed))
            passed.append(str(current))
            if len(passed) > self.settings.max_redirects:
                raise _final(
                    "too_many_redirects",
                    url,
                    f"more than {self.settings.max_redirects} redirects.",
                    fix="Use the final URL, or raise http.max_redirects.",
                )
            try:
                target = urljoin(str(current), location)
            except ValueError:
                raise _final("bad_url", url, f"it redirects to no usable URL ({location[:200]!r}).") from None
            previous, current = current, self.guard.checked(target)
            if _origin(current) != _origin(previous):
                sent = {name: value for name, value in sent.items() if name.lower() in _FOR_ANY_HOST}

    async def _post(self, url: str, content: Mapping[str, Any], headers: Mapping[str, str], started: float) -> Fetched:
        if self._client is None:
            raise RuntimeError("HttpClient is used outside its context")
        target = self.guard.checked(url)
        sent = {"accept": "application/json", **headers}
        async with self._client.stream("POST", target, json=dict(content), headers=sent) as response:
            body = await self._body(response, url)
            kept = {k.lower(): v for k, v in response.headers.items() if k.lower() not in _NOT_KEPT}
            return Fetched(url, str(target), response.status_code, kept, body, time.monotonic() - started)

    def _raise_for_status(self, response: httpx.Response, url: str) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        what = f"the server answered {status} {response.reason_phrase}".rstrip() + "."
        if status >= 500 or status in _WORTH_ANOTHER_TRY:
            raise _transient(f"http_{status}", url, what, retry_after=retry_after(response.headers, self.clock()))
        raise _final(f"http_{status}", url, what, fix="Correct the URL, or remove the source.")

    async def _body(self, response: httpx.Response, url: str) -> bytes:
        limit = self.settings.max_bytes
        coding = response.headers.get("content-encoding", "").strip().lower()
        body = bytearray()
        try:
            async for piece in _decoded(response.aiter_raw(), coding, limit):
                body += piece
                if len(body) > limit:
                    raise _final(
                        "too_large", url, f"the document is larger than {limit:,} bytes.", fix="Raise http.max_bytes."
                    )
        except zlib.error as error:
            raise _final("bad_encoding", url, f"its content coding {coding!r} cannot be read ({error}).") from None
        return bytes(body)


async def _decoded(pieces: AsyncIterator[bytes], coding: str, limit: int) -> AsyncIterator[bytes]:
    """The decompressed pieces, each at most `limit` + 1 bytes, so that no bomb is ever unpacked.

    Only gzip and deflate, one layer, as asked for; raises zlib.error for anything else.
    """
    if coding in ("", "identity"):
        async for piece in pieces:
            yield piece
        return
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise zlib.error("only gzip and deflate were asked for")
    inflater, begun = None, False
    async for piece in pieces:
        while piece:
            if inflater is None:
                # "deflate" means zlib, but some servers send it without the header (RFC 9110, 8.4.1.2).
                is_raw = coding == "deflate" and (piece[0] & 0x0F) != 8
                inflater = zlib.decompressobj(-15 if is_raw else 47)
            try:
                yield inflater.decompress(piece, limit + 1)
            except zlib.error:
                if begun:  # padding after a complete gzip member
                    return
                raise
            piece = inflater.unconsumed_tail
            if inflater.eof:
                piece, inflater, begun = inflater.unused_data, None, True
                if coding == "deflate":
                    return
    if inflater is not None:
        yield inflater.flush()
        if not inflater.eof:
            raise zlib.error("it ends too early")


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, url.port or DEFAULT_PORTS[url.scheme]


def _final(kind: str, url: str, what: str, *, fix: str = "") -> FinalError:
    return FinalError(what, where=url[:500], fix=fix, kind=kind)


def _transient(kind: str, url: str, what: str, *, fix: str = "", retry_after: float | None = None) -> TransientError:
    return TransientError(what, where=url[:500], fix=fix, kind=kind, retry_after=retry_after)
