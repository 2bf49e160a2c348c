"""The one http client: a GET through the address guard, with a deadline, a cap and redirects by hand.

Belongs here: everything between a URL and its decompressed body. Caching belongs to `web.pages`, retries to
`engine.calls`, whose turn it is to `web.politeness`, what a site allows to `web.robots`,
what an answer holds to `web.answers`.
"""

from __future__ import annotations

import time
from asyncio import timeout
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import httpx

from enrich_assets.core.errors import AddressRefused, FinalError, TransientError
from enrich_assets.engine.deadlines import waiting_for_a_turn
from enrich_assets.web.answers import Reading, body_of, final, location_of, readable
from enrich_assets.web.chain_cookies import ChainCookies
from enrich_assets.web.guard import DEFAULT_PORTS, AddressGuard, as_judged, refused
from enrich_assets.web.politeness import Turns
from enrich_assets.web.refresh import sent_on
from enrich_assets.web.refusals import naming, naming_redirect, why_refused
from enrich_assets.web.retry import retry_after
from enrich_assets.web.robots import MOST_BYTES, MOST_REDIRECTS, Answer, RobotsFiles, RulesUnknown, forbidden
from enrich_assets.web.sessions import Sessions
from enrich_assets.web.settings import HttpSettings
from enrich_assets.web.transport import BrokenFields, transport_errors

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
    cookies: Sequence[str] = ()
    """The Set-Cookie headers; they never leave the chain of redirects."""

    def fetched(self, url: str, final_url: httpx.URL, seconds: float, passed: tuple[str, ...] = ()) -> Fetched:
        """What the client gives for `url`."""
        return Fetched(url, str(final_url), self.http_status, self.headers, self.body, seconds, passed)


class HttpClient:
    """Reads documents; an async context manager. No cookies beyond a chain of redirects, no proxies of the environment.

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
        self._sessions: Sessions | None = None
        self._broken_hosts: set[str] = set()
        self._turns = Turns(settings.concurrency, settings.concurrency_per_host)
        self._robots = RobotsFiles(self._robots_file, clock, settings.user_agent)

    async def __aenter__(self) -> HttpClient:
        self._sessions = Sessions(self.guard, self.settings.identity)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._robots.close()
        self._turns.close()
        if self._sessions is not None:
            await self._sessions.close()
            self._sessions = None

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
        with naming(url):
            sent = {"accept": accept, **(validators or {})}
            reading = Reading(sent, self.settings.max_bytes, is_crawling=robots, spares_host=robots)
            return await self._follow(url, reading, self.settings.max_redirects)

    async def post_json(self, url: str, content: Mapping[str, Any], *, headers: Mapping[str, str]) -> Fetched:
        """The answer to JSON sent to `url`, whatever its status; raises like `get` for everything else.

        No redirect is followed: `headers` may carry a key that is meant for this address alone. A service is called,
        not crawled: robots.txt and spacing are not for it.
        """
        sent = {"accept": "application/json", **headers}
        with naming(url):
            target = self.guard.checked(url)
            reading = Reading(sent, self.settings.max_bytes, whatever_status=True, posts=content)
            hop = await self._hop(url, target, reading, self.settings.deadline_seconds)
            return hop.fetched(url, target, hop.seconds)

    async def permit(self, url: str) -> None:
        """Asks whether a browser may read `url`, which fetches by itself; raises like `get` where it may not."""
        with naming(url):
            await self._permission(self.guard.checked(url))

    @asynccontextmanager
    async def turn(self, url: str) -> AsyncIterator[None]:
        """A turn at the host of `url`, with the spacing that it asks for, for a reader that fetches by itself.

        Raises like `get` for what robots.txt forbids, and for a host that rests.
        """
        with naming(url):
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
        cookies = ChainCookies()
        allowed = left = self.settings.deadline_seconds
        while True:
            with naming_redirect(url, str(current) if passed else ""):
                if reading.is_crawling:
                    crawl_delay, waited = await self._permission(current)
                    left -= waited
                    reading = replace(reading, spacing=max(self.settings.seconds_between_requests, crawl_delay))
                hop = await self._hop(url, current, cookies.added_to(reading, current), left)
            left -= hop.seconds
            is_renewed = cookies.take(hop.cookies, current)
            following = self._following(url, current, hop, reading)
            if following is None or (not hop.location and not is_renewed and str(following) in (*passed, str(current))):
                return hop.fetched(url, current, allowed - left, tuple(passed))
            passed.append(str(current))
            if len(passed) > max_redirects:
                raise final(
                    "too_many_redirects",
                    url,
                    f"more than {max_redirects} redirects.",
                    fix="Use the final URL, or raise http.max_redirects.",
                )
            previous, current = current, following
            if _origin(current) != _origin(previous):
                sent = {name: value for name, value in reading.sent.items() if name.lower() in _FOR_ANY_HOST}
                reading = replace(reading, sent=sent)

    def _following(self, url: str, current: httpx.URL, hop: _Hop, reading: Reading) -> httpx.URL | None:
        """Where an answer leads: by its status, or as a page that sends on; None for an answer to stay at."""
        target = hop.location
        if not target and reading.is_crawling:
            target = sent_on(str(current), hop.headers, hop.body)
        if not target:
            return None
        try:
            target = urljoin(str(current), target)
        except ValueError:
            raise final("bad_url", url, f"it redirects to no usable URL ({target[:200]!r}).") from None
        with naming_redirect(url, target):
            return self.guard.checked(target)

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
            why = f"its site's rules for readers, {origin}/robots.txt, are not read: {why_refused(error)}"
            raise refused(str(url), why, fix="Leave the page out, or tell the site.") from None
        if not rules.allows(as_judged(url)):
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
        """One request for `target` on the way of `url`, within so many seconds from when its turn has come.

        A server whose header fields break the grammar is asked a second time, and from then on, with a lenient reader.
        """
        if _place(target) not in self._broken_hosts:
            try:
                return await self._asked(url, target, reading, seconds)
            except BrokenFields:
                if reading.posts is not None:
                    raise  # it may have been paid for
                self._broken_hosts.add(_place(target))
        return await self._asked(url, target, reading, seconds, leniently=True)

    async def _asked(
        self, url: str, target: httpx.URL, reading: Reading, seconds: float, *, leniently: bool = False
    ) -> _Hop:
        if self._sessions is None:
            raise RuntimeError("HttpClient is used outside its context")
        host = _place(target)
        with waiting_for_a_turn():
            turn = await self._turns.take(host if reading.spares_host else "", reading.spacing)
        started = time.monotonic()
        try:
            with transport_errors(url, self.settings.deadline_seconds):
                sending = self._sessions.sending(target, reading, leniently=leniently)
                async with timeout(max(0.0, seconds)), sending as response:
                    status, headers = response.status, readable(response.headers)
                    location = location_of(response.headers) if status in _REDIRECTS else ""
                    rest = retry_after(headers, self.clock()) if status in _ASKS_FOR_REST else None
                    if reading.spares_host and rest:
                        self._turns.rest(host, rest)
                    body = b"" if location else await body_of(response, headers, url, reading, self.clock())
                    cookies = response.headers.getall("Set-Cookie", ())
                    return _Hop(status, headers, location, body, time.monotonic() - started, cookies)
        finally:
            self._turns.give_back(turn)


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, url.port or DEFAULT_PORTS[url.scheme]


def _host_and_port(url: httpx.URL) -> str:
    return f"{url.raw_host.decode('ascii')}:{url.port or DEFAULT_PORTS[url.scheme]}"


def _place(url: httpx.URL) -> str:
    """Whose turn a URL needs: that of its host, and on a port of its own that of another server than the host's."""
    host = url.raw_host.decode("ascii")
    return host if url.port is None or url.port in DEFAULT_PORTS.values() else f"{host}:{url.port}"
