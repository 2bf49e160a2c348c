"""Pages as a browser shows them: JavaScript run by a Chromium of our own through crawl4ai.

Belongs here: one browser for all pages of a phase, the time of a page, tidying up. The program belongs to
`web.chromium`, what leaves it to `web.browser_proxy`, one page to `web.browser_visit`.

Of crawl4ai its browser strategy is used, not the crawler around it, which would make Markdown of every page.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from enrich_assets.core.errors import FinalError
from enrich_assets.engine.deadlines import waiting_for_a_turn
from enrich_assets.web.browser_proxy import USER, BrowserProxy
from enrich_assets.web.browser_visit import MAX_REQUESTS, Permission, Visit
from enrich_assets.web.chromium import Chromium, find_chromium
from enrich_assets.web.guard import AddressGuard
from enrich_assets.web.http import Fetched
from enrich_assets.web.settings import HttpSettings

TABS = 4
"""Pages that are open at once; each is a process of 50 to 300 MB."""
_TIDY_SECONDS = 5.0


class Browser:
    """Renders pages; an async context manager. Chromium starts with the first page and ends with the context.

    Every connection goes through `guard`. `permission` is asked for every document that a page itself becomes, and
    raises CallError for one that may not be read (robots.txt). No cookie outlives its page.
    """

    def __init__(
        self,
        settings: HttpSettings,
        guard: AddressGuard,
        *,
        permission: Permission | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._guard, self._permission, self._clock = settings, guard, permission, clock
        self._slots = asyncio.Semaphore(min(TABS, settings.concurrency))
        self._starting = asyncio.Lock()
        self._session: _Session | None = None
        self._refusal: FinalError | None = None
        self._tidying: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._tidying, return_exceptions=True)
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def render(self, url: str) -> Fetched:
        """The page at `url` after its scripts ran: status and headers of its document, its DOM as HTML in UTF-8.

        Raises like `HttpClient.get`, the whole page with everything that it loads within http.deadline_seconds and
        http.max_bytes; and FinalError of kinds `not_html` (a download, a picture) and `no_browser`.
        """
        self._guard.checked(url)
        with waiting_for_a_turn():
            await self._slots.acquire()
        try:
            with waiting_for_a_turn():
                session = await self._running()
            return await self._visit(session, url)
        finally:
            self._slots.release()

    async def _visit(self, session: _Session, url: str) -> Fetched:
        traffic = session.proxy.open(max_bytes=self._settings.max_bytes, max_requests=MAX_REQUESTS)
        visit = Visit(
            url,
            settings=self._settings,
            guard=self._guard,
            traffic=traffic,
            permission=self._permission,
            clock=self._clock,
        )
        started = time.monotonic()
        work = asyncio.create_task(session.crawl(visit))
        try:
            html, final_url = await self._first_end(visit, work)
            return visit.fetched(html, final_url, time.monotonic() - started)
        finally:
            tidying = asyncio.create_task(self._tidy(session, visit, work))
            self._tidying.add(tidying)
            tidying.add_done_callback(self._tidying.discard)

    async def _first_end(self, visit: Visit, work: asyncio.Task[tuple[str, str]]) -> tuple[str, str]:
        ends = [work, asyncio.create_task(visit.stopped.wait()), asyncio.create_task(visit.traffic.is_too_large.wait())]
        try:
            done, _ = await asyncio.wait(
                ends, timeout=self._settings.deadline_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for watch in ends[1:]:
                watch.cancel()
        if visit.error is not None:
            raise visit.error
        if visit.traffic.is_too_large.is_set():
            raise visit.too_large()
        if not done:
            raise visit.timeout()
        try:
            return work.result()
        except Exception as error:  # crawl4ai raises RuntimeError, Playwright errors of its own
            raise visit.failure(error) from None

    async def _running(self) -> _Session:
        async with self._starting:
            if self._refusal is not None:
                raise copy.copy(self._refusal)
            if self._session is not None and not self._session.is_usable:
                session, self._session = self._session, None
                await session.close()
            if self._session is None:
                try:
                    self._session = await _Session.open(self._settings, self._guard)
                except FinalError as error:
                    self._refusal = error  # the next page would find no other browser
                    raise
            return self._session

    async def _tidy(self, session: _Session, visit: Visit, work: asyncio.Task[tuple[str, str]]) -> None:
        """Closes what the page leaves behind; a browser that does not let go of a page is not used again."""
        await session.proxy.shut(visit.traffic)
        try:
            async with asyncio.timeout(_TIDY_SECONDS):
                if visit.context is not None:
                    await visit.context.close()
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        except Exception:  # whatever it is, the browser did not do as it was told
            session.is_usable = False


class _Session:
    """One Chromium with its proxy and crawl4ai's connection to it."""

    def __init__(self, proxy: BrowserProxy, chromium: Chromium, strategy: Any) -> None:
        self.proxy, self._chromium, self._strategy = proxy, chromium, strategy
        self._visits: dict[str, Visit] = {}
        self._usable = True

    @property
    def is_usable(self) -> bool:
        """Whether the next page can be opened in it."""
        return self._usable and self._chromium.is_running and self._strategy.browser_manager.browser.is_connected()

    @is_usable.setter
    def is_usable(self, value: bool) -> None:
        self._usable = value

    @classmethod
    async def open(cls, settings: HttpSettings, guard: AddressGuard) -> _Session:
        """Starts proxy and browser and connects; raises FinalError of kind `no_browser`."""
        find_chromium()
        crawl4ai = await asyncio.to_thread(_crawl4ai)
        async with contextlib.AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(BrowserProxy(guard))
            chromium = await Chromium.start(proxy.url)
            stack.push_async_callback(chromium.close)
            strategy = crawl4ai.async_crawler_strategy.AsyncPlaywrightCrawlerStrategy(
                browser_config=crawl4ai.BrowserConfig(
                    browser_mode="custom",
                    cdp_url=chromium.cdp_url,
                    cdp_cleanup_on_close=True,
                    cdp_close_delay=0,
                    create_isolated_context=True,
                    accept_downloads=False,
                    ignore_https_errors=False,
                    user_agent=settings.user_agent,
                    verbose=False,
                ),
                logger=_Quiet(),
            )
            session = cls(proxy, chromium, strategy)
            strategy.set_hook("on_page_context_created", session._begin)
            strategy.set_hook("before_retrieve_html", session._settle)
            try:
                await strategy.start()
            except Exception as error:  # Playwright's errors, and those of starting its driver
                raise FinalError(
                    f"Chromium started, and cannot be spoken to ({error}).".replace(chromium.cdp_url, "its address"),
                    where="javascript",
                    fix="Reinstall the extra: pip install --force-reinstall 'enrich-assets[browser]'.",
                    kind="no_browser",
                ) from None
            stack.pop_all()
        return session

    async def crawl(self, visit: Visit) -> tuple[str, str]:
        """The DOM's HTML and the URL that the page ended at; raises whatever crawl4ai and the hooks raise."""
        import crawl4ai

        # The page's own way through the proxy also gives it a browser context of its own.
        way = crawl4ai.ProxyConfig(server=self.proxy.url, username=USER, password=visit.traffic.password)
        config = crawl4ai.CrawlerRunConfig(
            cache_mode=crawl4ai.CacheMode.BYPASS,
            proxy_config=way,
            wait_until="domcontentloaded",
            page_timeout=3_600_000,  # the visit has one deadline over everything
            body_visibility_timeout=100,
            verbose=False,
        )
        self._visits[visit.traffic.password] = visit
        try:
            response = await self._strategy.crawl(visit.url, config=config)
        finally:
            del self._visits[visit.traffic.password]
        return response.html, response.redirected_url

    async def close(self) -> None:
        """Ends the connection, the browser and the proxy, whatever state they are in."""
        try:
            async with asyncio.timeout(_TIDY_SECONDS):
                await self._strategy.close()
        except Exception:  # the browser is killed next
            pass
        finally:
            await self._chromium.close()
            await self.proxy.__aexit__()

    async def _begin(self, page: Any, *, context: Any, config: Any, **_: Any) -> None:
        await self._visits[config.proxy_config.password].begin(page, context)

    async def _settle(self, page: Any, *, config: Any, **_: Any) -> None:
        await self._visits[config.proxy_config.password].settle(page)


class _Quiet:
    """crawl4ai's logger without a voice: its messages carry URLs and page errors, which the visit reports itself."""

    verbose = False

    def debug(self, *_: Any, **__: Any) -> None:
        """Says nothing."""

    info = success = warning = error = url_status = error_status = debug


def _crawl4ai() -> Any:
    """The module; raises FinalError of kind `no_browser` where it is not installed.

    Its import makes folders below CRAWL4_AI_BASE_DIRECTORY, by default the home folder, and reads an .env file.
    """
    if os.environ.get("PLAYWRIGHT_DISABLE_FORCED_CHROMIUM_PROXIED_LOOPBACK"):
        raise FinalError(
            "PLAYWRIGHT_DISABLE_FORCED_CHROMIUM_PROXIED_LOOPBACK would let pages reach this machine past the guard.",
            where="javascript",
            fix="Unset it.",
            kind="no_browser",
        )
    before = {name: os.environ.get(name) for name in ("CRAWL4_AI_BASE_DIRECTORY", "PYTHON_DOTENV_DISABLED")}
    with tempfile.TemporaryDirectory(prefix="enrich-crawl4ai-") as folder:
        os.environ.update(CRAWL4_AI_BASE_DIRECTORY=folder, PYTHON_DOTENV_DISABLED="1")
        try:
            import crawl4ai
            import crawl4ai.async_crawler_strategy
        except ImportError as error:
            raise FinalError(
                f"JavaScript needs crawl4ai, which cannot be imported ({error}).",
                where="javascript",
                fix="Install the extra: pip install 'enrich-assets[browser]'.",
                kind="no_browser",
            ) from None
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
    return crawl4ai
