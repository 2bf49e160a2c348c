"""One page in the browser: what it may ask for, when it is finished, and what its end means.

Belongs here: the hooks of crawl4ai that watch a page, and the errors that a visit can end with. The browser's life
belongs to `web.browser`, connections to `web.browser_proxy`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import Any
from urllib.parse import urldefrag, urlsplit

from enrich_assets.core.errors import AddressRefused, CallError, FinalError, TransientError
from enrich_assets.web.browser_proxy import Traffic
from enrich_assets.web.guard import refused
from enrich_assets.web.http import Fetched, HttpClient
from enrich_assets.web.retry import retry_after

MAX_REQUESTS = 300
SETTLE_SECONDS = 8.0
_BLOCKED = {"image", "media", "font", "texttrack", "manifest", "ping", "cspviolationreport"}
_INSIDE = {"about", "blob", "data"}
_HTML = {"text/html", "application/xhtml+xml"}
_WORTH_ANOTHER_TRY = {408, 425, 429}
# Of the body as it came; the rendered one is another, and a secret is nobody's.
_NOT_KEPT = {
    "authorization", "connection", "content-encoding", "content-length", "content-type", "etag", "last-modified",
    "proxy-authorization", "set-cookie", "set-cookie2", "transfer-encoding", "www-authenticate",
}  # fmt: skip
_NO_SERVICE_WORKERS = "if (navigator.serviceWorker) navigator.serviceWorker.register = async () => {};"
_STATE = "[document.contentType, document.documentElement ? document.documentElement.outerHTML.length : 0]"
_NAVIGATING = ("navigating", "context was destroyed", "Cannot find context", "Frame with the given")


class Visit:
    """A visit to `url`, which begins now.

    `answered` is set when a server answered; `stopped` when the visit ended before the page was finished, with `error`
    as the reason.
    """

    def __init__(self, url: str, *, http: HttpClient, traffic: Traffic) -> None:
        self.url = url
        self.address = str(http.guard.checked(url))
        """What the browser is sent to: the URL as it was judged."""
        self.traffic = traffic
        self.context: Any = None
        self.error: CallError | None = None
        self.stopped = asyncio.Event()
        self.answered = asyncio.Event()
        self._http, self._settings, self._guard = http, http.settings, http.guard
        self._started = time.monotonic()
        self._page: Any = None
        self._cdp: Any = None
        self._asked: list[str] = []
        self._permitted: set[str] = set()
        self._answer: tuple[str, int, dict[str, str]] | None = None

    @property
    def seconds_left(self) -> float:
        """Until the page has to be finished."""
        return max(0.0, self._started + self._settings.deadline_seconds - time.monotonic())

    def stop(self, error: CallError) -> None:
        """Ends the visit with an error; the first one counts."""
        self.error = self.error or error
        self.stopped.set()

    async def begin(self, page: Any, context: Any) -> None:
        """Watches a page that is still empty: its requests, answers, bytes and popups."""
        self._page, self.context = page, context
        await context.clear_cookies()
        await context.clear_permissions()
        await context.add_init_script(_NO_SERVICE_WORKERS)
        await context.route("**/*", self._judge)
        context.on("page", lambda popup: None if popup is page else asyncio.ensure_future(_closed(popup)))
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        page.on("download", lambda _: self.stop(self._download()))
        page.on("crash", lambda _: self.stop(self._crashed()))
        self._cdp = await context.new_cdp_session(page)
        self._cdp.on("Network.dataReceived", self._on_data)
        await self._cdp.send("Network.enable")
        await self._cdp.send("Network.setBypassServiceWorker", {"bypass": True})

    async def settle(self, page: Any) -> None:
        """Waits until the page asks for nothing more, at most half of the time that is left; judges what it became."""
        from playwright.async_api import TimeoutError as PlaywrightTimeout

        for url in dict.fromkeys(self._asked):
            if url not in self._permitted:  # a redirect, which cannot be held back
                await self._permit(url)
        with contextlib.suppress(PlaywrightTimeout):
            await page.wait_for_load_state(
                "networkidle", timeout=1000 * min(SETTLE_SECONDS, max(0.1, self.seconds_left / 2))
            )
        kind, length = await self._state()
        if kind not in _HTML:
            raise self._final("not_html", f"the document is {kind or 'of an unknown type'}, not HTML.")
        if length > self._settings.max_bytes:
            raise self.too_large()

    def fetched(self, html: str, final_url: str) -> Fetched:
        """The finished page as a document; raises CallError for what may not be kept."""
        self._raise_for_answer()
        self._guard.checked(final_url)  # it may have become something that is no document of the web
        # Scripts can show any address of the site (history.pushState); only what was asked for was read, and allowed.
        final = self._spelt(self._answer[0] if self._answer else final_url)
        body = html.encode("utf-8", "replace")
        if len(body) > self._settings.max_bytes:
            raise self.too_large()
        _, status, headers = self._answer or ("", 200, {})
        kept = {name: value for name, value in headers.items() if name not in _NOT_KEPT}
        kept["content-type"] = "text/html; charset=utf-8"
        passed = tuple(url for url in dict.fromkeys(map(self._spelt, self._asked)) if url != final)
        return Fetched(self.url, final, status, kept, body, time.monotonic() - self._started, passed)

    def failure(self, error: Exception) -> CallError:
        """What an error of crawl4ai or Playwright means for the page."""
        if self.error is not None:
            return self.error
        if isinstance(error, CallError):
            return error
        try:
            self._raise_for_answer()
        except CallError as answer:
            return answer
        text = str(error)
        code = text.partition("net::")[2].split(" ")[0].strip()
        if code.startswith(("ERR_CERT", "ERR_SSL", "ERR_BAD_SSL")):
            return self._final("certificate", f"no trusted TLS connection ({code}).")
        if code in ("ERR_UNSAFE_REDIRECT", "ERR_UNKNOWN_URL_SCHEME", "ERR_DISALLOWED_URL_SCHEME", "ERR_UNSAFE_PORT"):
            return refused(self.url, f"it leads to an address that no page may lead to ({code})")
        if code == "ERR_TOO_MANY_REDIRECTS":
            return self._too_many_redirects()
        if code == "ERR_ABORTED" or "Download is starting" in text:
            return self._download()
        if "crashed" in text:
            return self._crashed()
        if "Timeout" in type(error).__name__ or "Timeout" in text:
            return self.timeout()
        why = code or _plain(text) or type(error).__name__
        return TransientError(f"the browser could not load it ({why}).", where=self.url[:500], kind="connection")

    def timeout(self) -> TransientError:
        """The page was not finished in time."""
        what = f"no finished page within {self._settings.deadline_seconds:g} s."
        return TransientError(what, where=self.url[:500], kind="timeout")

    def too_large(self) -> FinalError:
        """The page and what it loads are too much."""
        what = f"the page with what it loads is larger than {self._settings.max_bytes:,} bytes."
        return self._final("too_large", what, fix="Raise http.max_bytes.")

    async def _judge(self, route: Any) -> None:
        from playwright.async_api import Error as PlaywrightError

        request = route.request
        is_main = self._is_main(request)
        try:
            if request.resource_type in _BLOCKED:
                raise self._final("blocked", "no text comes of it.")
            if is_main or urlsplit(request.url).scheme not in _INSIDE:
                self.traffic.admit(request.url)
                self._guard.checked(request.url)
            if is_main:
                await self._permit(urldefrag(request.url).url)
        except CallError as error:
            if is_main:
                self.stop(error)
            with contextlib.suppress(PlaywrightError):
                await route.abort("blockedbyclient")
            return
        with contextlib.suppress(PlaywrightError):  # the page is gone
            await route.continue_()

    async def _permit(self, url: str) -> None:
        # The first document was asked about when its turn was taken.
        if self._permitted or self._spelt(url) != self.address:
            await self._http.permit(url)
        self._permitted.add(url)

    def _on_request(self, request: Any) -> None:
        if not self._is_main(request):
            return
        self._asked.append(urldefrag(request.url).url)
        if len(self._asked) > self._settings.max_redirects + 1:
            self.stop(self._too_many_redirects())
        try:
            self._guard.checked(request.url)  # a redirect passes no route
        except CallError as error:
            self.stop(error)

    def _on_response(self, response: Any) -> None:
        if self._is_main(response.request) and not (300 <= response.status < 400 and "location" in response.headers):
            self.answered.set()
            self._answer = (response.url, response.status, dict(response.headers))

    def _on_data(self, event: dict[str, Any]) -> None:
        # What went over the wire is counted by the proxy; this is what decompression added.
        self.traffic.count(max(0, event.get("dataLength", 0) - max(0, event.get("encodedDataLength", 0))))

    def _is_main(self, request: Any) -> bool:
        from playwright.async_api import Error as PlaywrightError

        try:
            return bool(request.is_navigation_request() and request.frame == self._page.main_frame)
        except PlaywrightError:  # the request of a popup that has no frame yet
            return False

    async def _state(self) -> tuple[str, int]:
        """Content type and length of the document, read where the page's own scripts cannot lie about them."""
        from playwright.async_api import Error as PlaywrightError

        while True:
            try:
                tree = await self._cdp.send("Page.getFrameTree")
                frame = {"frameId": tree["frameTree"]["frame"]["id"]}
                world = await self._cdp.send("Page.createIsolatedWorld", frame)
                asked = {"expression": _STATE, "contextId": world["executionContextId"], "returnByValue": True}
                kind, length = (await self._cdp.send("Runtime.evaluate", asked))["result"]["value"]
                return str(kind), int(length)
            except PlaywrightError as error:
                if not any(words in str(error) for words in _NAVIGATING):
                    raise
            await asyncio.sleep(0.1)

    def _raise_for_answer(self) -> None:
        asked = self._asked[-1] if self._asked else self.url
        parts = urlsplit(asked)
        tunnel = f"{parts.hostname}:{parts.port or 443}" if parts.scheme == "https" else ""
        problem = self.traffic.problems.get(asked) or self.traffic.problems.get(tunnel)
        if problem is not None:
            raise _of_page(problem, asked)
        if self._answer is None or 200 <= self._answer[1] < 300:
            return
        status, headers = self._answer[1:]
        what = f"the server answered {status}."
        if status >= 500 or status in _WORTH_ANOTHER_TRY:
            wish = retry_after(headers, self._http.clock())
            raise TransientError(what, where=self.url[:500], kind=f"http_{status}", retry_after=wish)
        raise self._final(f"http_{status}", what, fix="Correct the URL, or remove the source.")

    def _download(self) -> FinalError:
        return self._final("not_html", "it is a download, or leads to one, and no page.")

    def _crashed(self) -> TransientError:
        what = "the page broke down in the browser; it may need more memory than there is."
        return TransientError(what, where=self.url[:500], kind="connection")

    def _spelt(self, url: str) -> str:
        return str(self._guard.checked(url))

    def _too_many_redirects(self) -> FinalError:
        return self._final(
            "too_many_redirects",
            f"more than {self._settings.max_redirects} redirects.",
            fix="Use the final URL, or raise http.max_redirects.",
        )

    def _final(self, kind: str, what: str, *, fix: str = "") -> FinalError:
        return FinalError(what, where=self.url[:500], fix=fix, kind=kind)


def _plain(text: str) -> str:
    """The first line of an error that is about the page, without crawl4ai's heading and Playwright's call."""
    lines = (line.strip() for line in text.splitlines())
    told = next((line for line in lines if line and "ACS-GOTO" not in line), "")
    return re.sub(r"^(?:Error: )?[A-Z]\w+\.\w+: ", "", told)[:200]


def _of_page(problem: CallError, url: str) -> CallError:
    """The same problem, told of the page instead of a host, which several pages may share."""
    if isinstance(problem, AddressRefused):
        return refused(url, problem.what.partition(": ")[2].rstrip("."), fix=problem.fix)
    make = TransientError if isinstance(problem, TransientError) else FinalError
    return make(problem.what, where=url[:500], fix=problem.fix, kind=problem.kind)


async def _closed(popup: Any) -> None:
    from playwright.async_api import Error as PlaywrightError

    with contextlib.suppress(PlaywrightError):
        await popup.close()
