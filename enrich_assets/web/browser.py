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
from typing import Any

from enrich_assets.core.errors import FinalError
from enrich_assets.engine.deadlines import waiting_for_a_turn
from enrich_assets.web.browser_proxy import USER, BrowserProxy
from enrich_assets.web.browser_visit import MAX_REQUESTS, Visit
from enrich_assets.web.chromium import Chromium, find_chromium
from enrich_assets.web.http import Fetched, HttpClient

TABS = 4
"""Pages that are open at once; each is a process of 50 to 300 MB."""
_TIDY_SECONDS = 5.0


class Browser:
    """Renders pages; an async context manager. Chromium starts with the first page and ends with the context.

    It is as polite and as careful as `http`: every connection goes through the same guard, robots.txt is asked about
    every document that a page becomes, and pages keep the spacing of their hosts. No cookie outlives its page.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http, self._settings = http, http.settings
        self._slots = asyncio.Semaphore(min(TABS, http.settings.concurrency))
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
        self._http.guard.checked(url)
        with waiting_for_a_turn():
            await self._slots.acquire()
        try:
            with waiting_for_a_turn():
                session = await self._running()
            return await self._visit(session, url)
        finally:
            self._slots.release()

    async def _visit(self, session: _Session, url: str) -> Fetched:
        with contextlib.ExitStack() as after:
            # The host's turn ends with its answer: what the page does then, nobody else has to wait for.
            async with self._http.turn(url):
                traffic = session.proxy.open(max_bytes=self._settings.max_bytes, max_requests=MAX_REQUESTS)
                visit = Visit(url, http=self._http, traffic=traffic)
                work = asyncio.create_task(session.crawl(visit))
                after.callback(self._tidy_later, session, visit, work)
                await _first(visit.seconds_left, work, visit.answered, visit.stopped, traffic.is_too_large)
            await self._ended(visit, work)
            return visit.fetched(*work.result())

    async def _ended(self, visit: Visit, work: asyncio.Task[tuple[str, str]]) -> None:
        """Waits until the page is finished; raises what it ended with otherwise."""
        await _first(visit.seconds_left, work, visit.stopped, visit.traffic.is_too_large)
        if visit.error is not None:
            raise visit.error
        if visit.traffic.is_too_large.is_set():
            raise visit.too_large()
        if not work.done():
            raise visit.timeout()
        error = work.exception()
        if isinstance(error, Exception):  # crawl4ai raises RuntimeError, Playwright errors of its own
            raise visit.failure(error)

    async def _running(self) -> _Session:
        async with self._starting:
            if self._refusal is not None:
                raise copy.copy(self._refusal)
            if self._session is not None and not self._session.is_usable:
                session, self._session = self._session, None
                await session.close()
            if self._session is None:
                try:
                    self._session = await _Session.open(self._http)
                except FinalError as error:
                    self._refusal = error  # the next page would find no other browser
                    raise
            return self._session

    def _tidy_later(self, session: _Session, visit: Visit, work: asyncio.Task[tuple[str, str]]) -> None:
        tidying = asyncio.create_task(self._tidy(session, visit, work))
        self._tidying.add(tidying)
        tidying.add_done_callback(self._tidying.discard)

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
    async def open(cls, http: HttpClient) -> _Session:
        """Starts proxy and browser and connects; raises FinalError of kind `no_browser`."""
        find_chromium()
        crawl4ai = await asyncio.to_thread(_crawl4ai)
        async with contextlib.AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(BrowserProxy(http.guard))
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
                    user_agent=http.settings.identity,
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
            response = await self._strategy.crawl(visit.address, config=config)
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


async def _first(seconds: float, work: asyncio.Task[tuple[str, str]], *events: asyncio.Event) -> None:
    """Waits for the work or one of the events, at most so many seconds."""
    watches = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait([work, *watches], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for watch in watches:
            watch.cancel()


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
