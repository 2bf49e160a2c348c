"""The demo site: a server on loopback that answers for every host of the demo's sources.

Hosts are told apart by the Host header, as a shared web server does it. Texts belong to `content`, pages and feeds
to `markup`; no settings and no dagster here.
"""

from __future__ import annotations

import hashlib
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

from enrich_assets.graphs.intelligence.demo import markup
from enrich_assets.graphs.intelligence.demo.content import SOURCES, Article, DemoSource, read_articles

MISSING_URL = "http://signal-review.example/articles/withdrawn-lattice-preprint.html"
"""Listed by a feed, answered 404."""
PDF_URL = "http://policy-desk.example/files/guidance-self-evolving-behaviour.pdf"
"""Listed by a feed, a PDF."""
GALLERY_URL = "http://open-circuit.example/articles/cleanroom-at-night.html"
"""Listed by a feed, a page without text."""

_HTML = "text/html; charset=utf-8"
_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


@dataclass(frozen=True)
class Document:
    """What one URL answers."""

    content_type: str
    body: bytes
    modified: datetime
    location: str = ""
    """Where it redirects to; empty for a document."""

    @property
    def etag(self) -> str:
        """A strong validator made of the body."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:20]}"'


@dataclass(frozen=True)
class DemoSite:
    """The running site."""

    routes: dict[str, tuple[str, int]]
    """Host of a source → the address and port that answer for it."""
    requests: Counter[str] = field(default_factory=Counter)
    """Requests answered, by host."""


@contextmanager
def demo_site() -> Iterator[DemoSite]:
    """Serves the demo's sources on a free port of loopback until the block ends. No thread and no socket is left."""
    documents = site_documents(read_articles())
    with _Server(documents) as server:
        port = int(server.server_address[1])
        site = DemoSite(routes={source.host: ("127.0.0.1", port) for source in SOURCES.values()})
        server.requests = site.requests
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="demo-site")
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
            server.hang_up()


def site_documents(articles: list[Article]) -> dict[tuple[str, str], Document]:
    """Everything that the site answers, by host and path. A host that is down has no document."""
    documents: dict[tuple[str, str], Document] = {}
    by_name = {article.name: article for article in articles}
    for source in SOURCES.values():
        if source.kind == "down":
            continue
        own = [article for article in articles if article.source == source]
        newest = max((article.published for article in own), default=datetime(2026, 11, 1, tzinfo=UTC))

        def add(
            path: str, body: str | bytes, kind: str = _HTML, at: datetime = newest, host: str = source.host
        ) -> None:
            documents[host, path] = Document(kind, body.encode("utf-8") if isinstance(body, str) else body, at)

        add("/robots.txt", "User-agent: *\nDisallow: /search\n", "text/plain; charset=utf-8")
        add("/", markup.listing_page(source, own))
        for path, title in _other_pages(source).items():
            add(path, markup.plain_page(source, title))
        for position, article in enumerate(own):
            related = [own[(position + step) % len(own)] for step in (1, 2, 3) if step < len(own)]
            add(article.path, markup.article_page(article, by_name, related), at=article.published)
            link = urlsplit(article.feed_link)
            if link.path and link.path != article.path:
                redirect = Document(_HTML, b"", article.published, location=article.url)
                documents[link.hostname or source.host, link.path] = redirect
        if source.feed:
            kind, body = _feed(source, articles)
            add(urlsplit(source.feed).path, body, kind)
    pdf, gallery = urlsplit(PDF_URL), urlsplit(GALLERY_URL)
    moment = datetime(2026, 10, 30, tzinfo=UTC)
    documents[str(pdf.hostname), pdf.path] = Document("application/pdf", _PDF, moment)
    page = markup.gallery_page("The cleanroom at night, in pictures", 9).encode("utf-8")
    documents[str(gallery.hostname), gallery.path] = Document(_HTML, page, moment)
    return documents


def _other_pages(source: DemoSource) -> dict[str, str]:
    pages = {"/about.html": "About", "/privacy.html": "Privacy", "/archive/2026-09.html": "September 2026"}
    return pages | {f"/topics/{name.lower()}.html": name for name in source.sections}


def _feed(source: DemoSource, articles: list[Article]) -> tuple[str, str]:
    """Content type and body of a source's feed, the newest entry first."""
    items = [
        markup.feed_item(article, foreign=article.source != source)
        for article in articles
        if source.id in (article.source.id, article.also_in)
    ]
    planted = {
        "signal_review": (MISSING_URL, "Withdrawn: a language model for lattice gauge theory", "Withdrawn."),
        "policy_desk": (PDF_URL, "Guidance on self-evolving behaviour of machinery, full text", "38 pages."),
        "open_circuit": (GALLERY_URL, "The cleanroom at night, in pictures", ""),
    }
    if source.id in planted:
        url, title, summary = planted[source.id]
        items.append(markup.FeedItem(url, title, source.name, datetime(2026, 10, 30, 4, tzinfo=UTC), summary))
    items.sort(key=lambda item: item.published, reverse=True)
    match source.kind:
        case "atom":
            return "application/atom+xml; charset=utf-8", markup.atom(source, items)
        case "json":
            return "application/feed+json; charset=utf-8", markup.json_feed(source, items)
        case _:
            return "application/rss+xml; charset=utf-8", markup.rss(source, items)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them
    request_queue_size = 128

    def __init__(self, documents: Mapping[tuple[str, str], Document]) -> None:
        self.documents = documents
        self.requests: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """Binds without asking a resolver for the machine's name, which HTTPServer does."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def count(self, host: str) -> None:
        with self.lock:
            self.requests[host] += 1

    def hang_up(self) -> None:
        """Ends connections that clients keep open; their threads would wait for a next request for ever."""
        with self.lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no error of the site."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "demo-site"
    sys_version = ""
    wbufsize = -1  # headers and body leave in one packet

    def do_GET(self) -> None:
        server = cast(_Server, self.server)
        host = self.headers.get("Host", "").rsplit(":", 1)[0].lower()
        server.count(host)
        if host == SOURCES["quiet_mirror"].host:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"out of service\n", {"Content-Type": "text/plain"})
            return
        document = server.documents.get((host, urlsplit(self.path).path))
        if document is None:
            self._answer(HTTPStatus.NOT_FOUND, b"<!DOCTYPE html><title>Not found</title>\n", {"Content-Type": _HTML})
        elif document.location:
            self._answer(HTTPStatus.MOVED_PERMANENTLY, b"", {"Location": document.location})
        else:
            modified = format_datetime(document.modified, usegmt=True)
            headers = {"ETag": document.etag, "Last-Modified": modified, "Content-Type": document.content_type}
            if self._is_fresh(document):
                self._answer(HTTPStatus.NOT_MODIFIED, b"", headers)
            else:
                self._answer(HTTPStatus.OK, document.body, headers)

    do_HEAD = do_GET

    def _is_fresh(self, document: Document) -> bool:
        """Whether the client has this version (RFC 9110, 13.2.2: If-None-Match goes before If-Modified-Since)."""
        tags = self.headers.get("If-None-Match")
        if tags is not None:
            return tags.strip() == "*" or document.etag in (tag.strip().removeprefix("W/") for tag in tags.split(","))
        try:
            return document.modified <= parsedate_to_datetime(self.headers.get("If-Modified-Since", ""))
        except (ValueError, TypeError):
            return False

    def _answer(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status is not HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: `DemoSite.requests` counts what was asked."""
