"""The page store, and the page client that replays it.

Belongs here: raw documents by content hash, and which stored document answers a URL. What a document says belongs to
`web.extract`.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from email.message import Message
from typing import Any
from urllib.parse import urldefrag

from upath import UPath

from enrich_assets.core.errors import AddressRefused, ArtifactDamaged, ArtifactError, FinalError, StorageError
from enrich_assets.core.files import is_local, names_in, read_bytes, write_atomic
from enrich_assets.core.fingerprint import sha256
from enrich_assets.engine.calls import Calls
from enrich_assets.engine.clients import Page
from enrich_assets.engine.requests import Reply, Request
from enrich_assets.web.http import ACCEPT, Fetched, HttpClient

_HEADERS_OF_INTEREST = ("etag", "last-modified")


class PageStore:
    """Raw documents below `root`, compressed, each under the SHA-256 of its bytes."""

    def __init__(self, root: UPath) -> None:
        self._root = root

    def path(self, key: str) -> UPath:
        """Where the document with that hash stands: `pages/<2 hex>/<sha256>.gz`."""
        return self._root / "pages" / key[:2] / f"{key}.gz"

    def put(self, body: bytes) -> str:
        """Keeps `body` and gives its hash; a whole copy stays, a damaged one is replaced. Raises StorageError."""
        key = sha256(body)
        if not self.verify(key):
            write_atomic(self.path(key), gzip.compress(body, compresslevel=6, mtime=0))
        return key

    def get(self, key: str) -> bytes:
        """The document with that hash.

        Raises ArtifactMissing, ArtifactDamaged when its bytes do not match, and StorageError when it cannot be read.
        """
        path = self.path(key)
        packed = read_bytes(path)
        try:
            body = gzip.decompress(packed)
        except (OSError, EOFError, zlib.error):
            body = None
        if body is None or sha256(body) != key:
            raise ArtifactDamaged(
                "the stored page does not match its hash.",
                where=str(path),
                fix="The page is fetched again when it is needed.",
            )
        return body

    def verify(self, key: str) -> bool:
        """Whether the document with that hash is there and whole; raises StorageError when it cannot be read."""
        try:
            self.get(key)
        except ArtifactError:
            return False
        except StorageError as error:
            if isinstance(error.__cause__, IsADirectoryError):
                return False
            raise
        return True

    def damaged(self) -> Iterator[str]:
        """Paths of page files whose content does not match their name, sorted, and of what stands in their way.

        Reads every page; raises StorageError. Symbolic links and temporary files are left out.
        """
        root = self._root / "pages"
        if is_local(root) and root.is_file():
            yield str(root)
        for prefix in names_in(root):
            for name in names_in(root / prefix):
                path, key = root / prefix / name, name.removesuffix(".gz")
                if name.endswith(".gz") and not (prefix == key[:2] and self.verify(key)):
                    yield str(path)


class StoredPages:
    """Pages through the ledger and the page store: the page client of phases.

    A page counts when it was fetched after the run began, or at most `max_age` before.
    """

    def __init__(self, http: HttpClient, store: PageStore, calls: Calls, *, max_age: timedelta = timedelta(0)) -> None:
        self._http = http
        self._store = store
        self._calls = calls
        self._max_age = max_age

    async def get(self, url: str) -> Page:
        """The document at `url`, fetched now or replayed, and fetched again where the stored copy is lost or damaged.

        Raises CallError, and StorageError when the page store cannot be used.
        """
        lost: list[str] = []
        while True:
            record, body = await self._record(url, lost)
            fetch_method = "stored" if body is None else "http"
            if body is None:
                try:
                    body = await asyncio.to_thread(self._store.get, record["sha256"])
                except ArtifactError:
                    # The ledger answers with what it knows for ever: a fetch in place of the lost body is another
                    # request, so that it is found the next time; one lost a second time is yet another.
                    lost.append(record["sha256"])
                    continue
            return _page(url, record, body, fetch_method)

    async def _record(self, url: str, lost: Sequence[str]) -> tuple[Mapping[str, Any], bytes | None]:
        address = urldefrag(url).url
        content = {"url": address, "accept": ACCEPT}
        if lost:
            content["instead_of"] = " ".join(lost)
        fetched_now: list[bytes] = []

        async def send() -> Reply:
            try:
                fetched = await self._http.get(address)
            except FinalError as error:
                if error.kind.startswith("http_"):
                    raise
                raise _NotKept(error) from None  # decided by our settings, which may change
            key = await asyncio.to_thread(self._store.put, fetched.body)
            fetched_now.append(fetched.body)
            return Reply(_fetch_record(fetched, key, self._http.clock()), seconds=fetched.seconds)

        try:
            reply = await self._calls.make(Request(kind="page", content=content, max_age=self._max_age), send)
        except _NotKept as wrapped:
            raise wrapped.error from None
        return reply.content, fetched_now[0] if fetched_now else None


class _NotKept(Exception):
    """Carries an error past the ledger, which remembers final errors."""

    def __init__(self, error: FinalError | AddressRefused) -> None:
        self.error = error
        super().__init__(str(error))


def _fetch_record(fetched: Fetched, key: str, moment: datetime) -> dict[str, Any]:
    content_type, charset = _content_type(fetched.headers.get("content-type", ""))
    return {
        "final_url": fetched.final_url,
        "http_status": fetched.http_status,
        "content_type": content_type,
        "charset": charset,
        "sha256": key,
        "fetched_at": moment.isoformat(),
        "headers": {name: fetched.headers[name] for name in _HEADERS_OF_INTEREST if name in fetched.headers},
    }


def _content_type(value: str) -> tuple[str, str]:
    if not value:
        return "", ""
    message = Message()
    message["content-type"] = value
    charset = message.get_param("charset", "")
    return message.get_content_type(), charset.lower() if isinstance(charset, str) else ""


def _page(url: str, record: Mapping[str, Any], body: bytes, fetch_method: str) -> Page:
    return Page(
        url=url,
        final_url=record["final_url"],
        http_status=record["http_status"],
        content_type=record["content_type"],
        charset=record["charset"],
        body=body,
        sha256=record["sha256"],
        fetched_at=datetime.fromisoformat(record["fetched_at"]),
        fetch_method=fetch_method,
    )
