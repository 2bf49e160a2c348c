"""The one http client: a GET through the address guard, with a deadline, a cap and redirects by hand.

Belongs here: everything between a URL and its decompressed body. Caching belongs to `web.pages`, retries to
`engine.calls`, whose turn it is to `web.politeness`, what a site allows to `web.robots`,
what an answer holds to `web.answers`.
"""

from __future__ import annotations

import ssl
import time
from asyncio import timeout
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import aiohttp
import httpx

from enrich_assets.core.errors import AddressRefused, FinalError, TransientError
from enrich_assets.engine.deadlines import waiting_for_a_turn
from enrich_assets.web.answers import Reading, body_of, final, readable, transient
from enrich_assets.web.guard import DEFAULT_PORTS, AddressGuard, GuardedResolver, on_the_wire, refused
from enrich_assets.web.politeness import Turns
from enrich_assets.web.retry import retry_after
from enrich_assets.web.robots import MOST_BYTES, MOST_REDIRECTS, Answer, RobotsFiles, RulesUnknown, forbidden
from enrich_assets.web.settings import HttpSettings
from enrich_assets.web.transport import transport_errors

ACCEPT = "text/html,application/xhtml+xml,application/feed+json,application/xml;q=0.9,*/*;q=0.8"
_REDIRECTS = {301, 302, 303, 307, 308}
_ASKS_FOR_REST = {429, 503}
_FOR_ANY_HOST = {"accept"}
"""What is sent to another scheme, host or port than the one that was asked for."""


@dataclass(frozen=True)
class Fetched:
    """A document as it came. `body` is decompressed; `headers` have lower-case names and no secrets."""

    url: str
    final_url: str
    http_status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    """How long the requests took, without what was waited for their turns."""
    redirects: tuple[str, ...] = ()
    """The URLs that were asked on the way, `final_url` excluded."""


@dataclass(frozen=True)
class _Hop:
    """One answer. `location` is where it redirects to; the body is empty unless it was worth reading."""

    http_status: int
    headers: Mapping[str, str]
    location: str
    body: bytes
    seconds: float

    def fetched(self, url: str, final_url: httpx.URL, seconds: float, passed: tuple[str, ...] = ()) -> Fetched:
        """What the client gives for `url`."""
        return Fetched(url, str(final_url), self.http_status, self.headers, self.body, seconds, passed)


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
        self._session: aiohttp.ClientSession | None = None
        self._turns = Turns(settings.concurrency, settings.concurrency_per_host)
        self._robots = RobotsFiles(self._robots_file, clock, settings.user_agent)

    async def __aenter__(self) -> HttpClient:
        self._session = aiohttp.ClientSession(
            # Turns count requests; a second limit in the pool would only hide who waits.
            connector=aiohttp.TCPConnector(resolver=GuardedResolver(self.guard), ssl=_tls(), limit=0),
            headers={"User-Agent": self.settings.identity, "Accept-Encoding": "gzip, deflate"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),  # one deadline over everything, kept here
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._robots.close()
        self._turns.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self,
        url: str,
        *,
        accept: str = ACCEPT,
        validators: Mapping[str, str] | None = None,
        robots: bool = True,
    ) -> Fetched:
        """The document at `url`, redirects followed.

        `validators` (If-None-Match, If-Modified-Since) ask for it only where it changed: an unchanged one comes with
        the status 304 and no body. They go along with redirects that keep scheme, host and port. `robots=False` is for
        a service that is there to be called: it has neither a robots.txt nor spacing.

        Raises TransientError (kinds http_429, http_5xx, timeout, dns, connection, resting; robots: the site's
        robots.txt cannot be had), FinalError (http_4xx, too_large, too_many_redirects, bad_url, bad_encoding,
        bad_http, certificate, content_type, robots; dns: there is no such name) and AddressRefused, each naming the
        URL. What is waited for a turn counts neither against the deadline nor against the row's time.
        """
        with _named(url):
            sent = {"accept": accept, **(validators or {})}
            reading = Reading(sent, self.settings.max_bytes, is_crawling=robots, spares_host=robots)
            return await self._follow(url, reading, self.settings.max_redirects)

    async def post_json(self, url: str, content: Mapping[str, Any], *, headers: Mapping[str, str]) -> Fetched:
        """The answer to JSON sent to `url`, whatever its status; raises like `get` for everything else.

        No redirect is followed: `headers` may carry a key that is meant for this address alone. A service is called,
        not crawled: robots.txt and spacing are not for it.
        """
        sent = {"accept": "application/json", **headers}
        with _named(url):
            target = self.guard.checked(url)
            reading = Reading(sent, self.settings.max_bytes, whatever_status=True, posts=content)
            hop = await self._hop(url, target, reading, self.settings.deadline_seconds)
            return hop.fetched(url, target, hop.seconds)

    async def permit(self, url: str) -> None:
        """Asks whether a browser may read `url`, which fetches by itself; raises like `get` where it may not."""
        with _named(url):
            await self._permission(self.guard.checked(url))

    @asynccontextmanager
    async def turn(self, url: str) -> AsyncIterator[None]:
        """A turn at the host of `url`, with the spacing that it asks for, for a reader that fetches by itself.

        Raises like `get` for what robots.txt forbids, and for a host that rests.
        """
        with _named(url):
            target = self.guard.checked(url)
            crawl_delay, _ = await self._permission(target)
            spacing = max(self.settings.seconds_between_requests, crawl_delay)
            with waiting_for_a_turn():
                turn = await self._turns.take(_place(target), spacing)
        try:
            yield
        finally:
            self._turns.give_back(turn)

    async def _follow(self, url: str, reading: Reading, max_redirects: int) -> Fetched:
        current = self.guard.checked(url)
        passed: list[str] = []
        allowed = left = self.settings.deadline_seconds
        while True:
            if reading.is_crawling:
                crawl_delay, waited = await self._permission(current)
                left -= waited
                reading = replace(reading, spacing=max(self.settings.seconds_between_requests, crawl_delay))
            hop = await self._hop(url, current, reading, left)
            left -= hop.seconds
            if not hop.location:
                return hop.fetched(url, current, allowed - left, tuple(passed))
            passed.append(str(current))
            if len(passed) > max_redirects:
                raise final(
                    "too_many_redirects",
                    url,
                    f"more than {max_redirects} redirects.",
                    fix="Use the final URL, or raise http.max_redirects.",
                )
            try:
                target = urljoin(str(current), hop.location)
            except ValueError:
                raise final("bad_url", url, f"it redirects to no usable URL ({hop.location[:200]!r}).") from None
            previous, current = current, self.guard.checked(target)
            if _origin(current) != _origin(previous):
                sent = {name: value for name, value in reading.sent.items() if name.lower() in _FOR_ANY_HOST}
                reading = replace(reading, sent=sent)

    async def _permission(self, url: httpx.URL) -> tuple[float, float]:
        """The Crawl-delay to keep, and the seconds that fetching robots.txt took; raises where it forbids the URL."""
        if not self.settings.robots:
            return 0.0, 0.0
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        try:
            with waiting_for_a_turn():
                rules, waited = await self._robots.rules(origin)
        except TransientError as error:
            raise RulesUnknown(
                error.what, where=str(url)[:500], fix=error.fix, kind=error.kind, retry_after=error.retry_after
            ) from None
        except AddressRefused as error:
            if error.where == _host_and_port(url):
                raise  # the page's own server, which is named as such
            why = f"{origin}/robots.txt, its site's rules for readers, leads to {error.where}: {_why_refused(error)}"
            raise refused(str(url), why, fix="Leave the page out, or tell the site.") from None
        if not rules.allows(str(url)):
            raise forbidden(str(url), origin)
        return min(rules.crawl_delay, self.settings.longest_crawl_delay_seconds), waited

    async def _robots_file(self, url: str) -> Answer:
        reading = Reading(
            {"accept": "text/plain,*/*;q=0.8"},
            MOST_BYTES,
            spares_host=True,
            spacing=self.settings.seconds_between_requests,
            is_cut=True,
        )
        try:
            found = await self._follow(url, reading, MOST_REDIRECTS)
        except FinalError as error:
            status = error.kind.removeprefix("http_")
            if not status.isdecimal():
                raise
            return Answer(int(status), b"", 0.0)
        return Answer(found.http_status, found.body, found.seconds)

    async def _hop(self, url: str, target: httpx.URL, reading: Reading, seconds: float) -> _Hop:
        """One request for `target` on the way of `url`, within so many seconds from when its turn has come."""
        if self._session is None:
            raise RuntimeError("HttpClient is used outside its context")
        host = _place(target)
        with waiting_for_a_turn():
            turn = await self._turns.take(host if reading.spares_host else "", reading.spacing)
        started = time.monotonic()
        try:
            with transport_errors(url, self.settings.deadline_seconds):
                async with timeout(max(0.0, seconds)), _asked(self._session, target, reading) as response:
                    status, headers = response.status, readable(response.headers)
                    location = headers.get("location", "") if status in _REDIRECTS else ""
                    rest = retry_after(headers, self.clock()) if status in _ASKS_FOR_REST else None
                    if reading.spares_host and rest:
                        self._turns.rest(host, rest)
                    body = b"" if location else await body_of(response, headers, url, reading, self.clock())
                    return _Hop(status, headers, location, body, time.monotonic() - started)
        finally:
            self._turns.give_back(turn)


@cache
def _tls() -> ssl.SSLContext:
    # Reading the certificates of all authorities takes as long as twenty pages.
    return httpx.create_ssl_context()


def _asked(
    session: aiohttp.ClientSession, target: httpx.URL, reading: Reading
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    if reading.posts is not None:
        return session.post(on_the_wire(target), json=dict(reading.posts), headers=reading.sent, allow_redirects=False)
    return session.get(on_the_wire(target), headers=reading.sent, allow_redirects=False)


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Names the URL in errors of the resolver and of the turns, which know only the host; several may share one."""
    try:
        yield
    except AddressRefused as error:
        if error.where.startswith(("http://", "https://")):
            raise
        raise refused(url, _why_refused(error), fix=error.fix) from None
    except TransientError as error:
        if isinstance(error, RulesUnknown) or error.kind not in ("dns", "resting"):
            raise
        raise transient(error.kind, url, error.what, fix=error.fix, retry_after=error.retry_after) from None
    except FinalError as error:
        if error.kind != "dns":
            raise
        raise final("dns", url, error.what, fix=error.fix) from None


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, url.port or DEFAULT_PORTS[url.scheme]


def _host_and_port(url: httpx.URL) -> str:
    return f"{url.raw_host.decode('ascii')}:{url.port or DEFAULT_PORTS[url.scheme]}"


def _why_refused(error: AddressRefused) -> str:
    return error.what.partition(": ")[2].rstrip(".")


def _place(url: httpx.URL) -> str:
    """Whose turn a URL needs: that of its host, and on a port of its own that of another server than the host's."""
    host = url.raw_host.decode("ascii")
    return host if url.port is None or url.port in DEFAULT_PORTS.values() else f"{host}:{url.port}"
