"""The page client of phases: which document answers a URL, out of the ledger and the page store, or fetched now.

What a document says belongs to `web.extract`, how documents are stored to `web.page_store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urldefrag

from enrich_assets.core.errors import AddressRefused, ArtifactError, FinalError
from enrich_assets.core.fingerprint import sha256
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import Page
from enrich_assets.engine.requests import Reply, Request
from enrich_assets.web.fetch_records import fetch_record, page_of, unchanged_record, validators_of
from enrich_assets.web.forgotten import Forgotten
from enrich_assets.web.http import ACCEPT, Fetched, HttpClient
from enrich_assets.web.page_store import PageStore as PageStore


class Renderer(Protocol):
    """Reads a document as a browser shows it."""

    async def render(self, url: str) -> Fetched:
        """The document after its scripts ran; raises CallError."""
        ...


class StoredPages:
    """Pages through the ledger and the page store: the page client of phases.

    A page counts when it was fetched after the run began, or at most `max_age` before. One that is older is asked for
    with its validators, so that it comes again only where it changed. What is `forgotten` is refused.
    """

    def __init__(
        self,
        http: HttpClient,
        store: PageStore,
        calls: Calls,
        *,
        max_age: timedelta = timedelta(0),
        renderer: Renderer | None = None,
        forgotten: Forgotten | None = None,
    ) -> None:
        self._http = http
        self._store = store
        self._calls = calls
        self._max_age = max_age
        self._renderer = renderer
        self._forgotten = forgotten or Forgotten()

    async def get(self, url: str, *, rendered: bool = False) -> Page:
        """The document at `url`, fetched now or replayed, and fetched again where the stored copy is lost or damaged.

        `rendered`: as a browser shows it, once its scripts ran. Raises CallError (kind `forgotten` for what people
        wanted forgotten, `no_browser` where there is none to render with), and StorageError when the page store
        cannot be used.
        """
        self._forgotten.refuse(url)
        lost: list[str] = []
        while True:
            record, body = await self._record(url, lost, rendered)
            self._forgotten.refuse(*_addresses(record))
            if body is not None:
                fetch_method = "not_modified" if record.get("not_modified") else record.get("fetch_method", "http")
                return page_of(url, record, body, fetch_method)
            try:
                return page_of(url, record, await asyncio.to_thread(self._store.get, record["sha256"]), "stored")
            except ArtifactError:
                # The ledger answers with what it knows for ever: a fetch in place of the lost body is another
                # request, so that it is found the next time; one lost a second time is yet another.
                lost.append(record["sha256"])

    async def keep(self, url: str, body: bytes, content_type: str) -> Page:
        """Keeps a document that was read from a local file, and gives it as a page (fetch_method `file`).

        Raises FinalError of kind `forgotten`, and StorageError.
        """
        self.refuse_forgotten(url)
        read = Fetched(url, url, 200, {"content-type": content_type}, body, 0.0)
        record = fetch_record(read, url=url, sha256=sha256(body), moment=self._http.clock(), fetch_method="file")
        await asyncio.to_thread(self._store.put, body, record)
        return page_of(url, record, body, "file")

    def refuse_forgotten(self, url: str) -> None:
        """Raises FinalError of kind `forgotten` for a URL that people wanted forgotten."""
        self._forgotten.refuse(url)

    async def _record(self, url: str, lost: Sequence[str], rendered: bool) -> tuple[Mapping[str, Any], bytes | None]:
        address = urldefrag(url).url
        content: dict[str, Any] = {"url": address, "accept": ACCEPT}
        if rendered:
            content["rendered"] = True
        if lost:
            content["instead_of"] = " ".join(lost)
        request = Request(kind="page", content=content, max_age=self._max_age)
        fetched_now: list[bytes] = []

        async def send() -> Reply:
            try:
                if rendered:
                    fetched = await self._rendered(address)
                else:
                    earlier = None if lost else await self._earlier(request)
                    fetched = await self._fetched(address, earlier)
                    if fetched.http_status == 304 and earlier is not None:
                        record, body = earlier
                        fetched_now.append(body)
                        return Reply(unchanged_record(record, fetched, self._http.clock()), seconds=fetched.seconds)
                self._forgotten.refuse(*fetched.redirects, fetched.final_url)
            except FinalError as error:
                if error.kind.startswith("http_"):
                    raise
                raise _NotKept(error) from None  # decided by our settings, which may change
            found = fetch_record(
                fetched,
                url=address,
                sha256=sha256(fetched.body),
                moment=self._http.clock(),
                fetch_method="browser" if rendered else "http",
            )
            await asyncio.to_thread(self._store.put, fetched.body, found)
            fetched_now.append(fetched.body)
            return Reply(found, seconds=fetched.seconds)

        try:
            reply = await self._calls.make(request, send)
        except _NotKept as wrapped:
            raise wrapped.error from None
        return reply.content, fetched_now[0] if fetched_now else None

    async def _fetched(self, address: str, earlier: tuple[Mapping[str, Any], bytes] | None) -> Fetched:
        if earlier is None:
            return await self._http.get(address)
        record, _ = earlier
        fetched = await self._http.get(address, validators=validators_of(record))
        if fetched.http_status == 304 and fetched.final_url != record["final_url"]:
            # It leads elsewhere now; that another document has the same validator says nothing about this one.
            return await self._http.get(address)
        return fetched

    async def _rendered(self, address: str) -> Fetched:
        if self._renderer is None:
            raise FinalError(
                "it is to be read with a browser, and there is none.",
                where=address[:500],
                fix="pip install 'enrich-assets[browser]', and a Chromium; or do not ask for JavaScript there.",
                kind="no_browser",
            )
        return await self._renderer.render(address)

    async def _earlier(self, request: Request) -> tuple[Mapping[str, Any], bytes] | None:
        """The newest earlier document of a request, if it is whole and its server said how to ask for changes."""
        stored = self._calls.newest(request)
        if stored is None or not validators_of(stored.reply.content):
            return None
        try:
            return stored.reply.content, await asyncio.to_thread(self._store.get, stored.reply.content["sha256"])
        except ArtifactError:
            return None


class _NotKept(Exception):
    """Carries an error past the ledger, which remembers final errors."""

    def __init__(self, error: FinalError | AddressRefused) -> None:
        self.error = error
        super().__init__(str(error))


def _addresses(record: Mapping[str, Any]) -> list[str]:
    """Every URL under which a stored document is known; records of before know its final URL alone."""
    return [*record.get("redirects", ()), record["final_url"]]
