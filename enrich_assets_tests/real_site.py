"""Real article pages and real feed files, served on loopback as the publishers of a small web.

`with only_loopback(), RealSite.of(articles) as site` gives host names under `.example` that resolve to this server, and
sources in five forms around pages that nobody in this project wrote. Everything else does not resolve, and is counted.
"""

from __future__ import annotations

import gzip
import ipaddress
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from enrich_assets_tests.shared_data import shared_data

PUBLISHERS = {
    "morning_post": "rss",
    "evening_star": "atom",
    "harbour_times": "json",
    "field_report": "listing",
    "city_record": "rdf",
    "weekly_lens": "rss",
    "north_wire": "atom",
    "open_page": "listing",
}
ARCHIVE = "feed-archive.example"


@dataclass(frozen=True)
class RealArticle:
    """A page as its publisher served it. `text` is the ground truth; title and date where it states them."""

    key: str
    file: Path
    path: str
    text: str
    title: str = ""
    published: datetime | None = None

    @property
    def body(self) -> bytes:
        """The page's bytes."""
        return gzip.decompress(self.file.read_bytes())


def real_articles(limit: int | None = None) -> list[RealArticle]:
    """The pages of html/aeb and html/aed424, always in one order that mixes both; the first `limit` of it."""
    found = []
    truth = json.loads(shared_data("html", "aeb", "ground-truth.json").read_text(encoding="utf-8"))
    dated = json.loads(shared_data("html", "aed424", "articles.json").read_text(encoding="utf-8"))
    for folder, entries in (("aeb", truth), ("aed424", dated)):
        for key, entry in entries.items():
            file = shared_data("html", folder, "html") / f"{key}.html.gz"
            parts = urlsplit(str(entry.get("url") or ""))
            path = f"/{key[:12]}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
            date = str(entry.get("date") or "")
            moment = None if date in ("", "NaT") else datetime.fromisoformat(date[:10]).replace(hour=12, tzinfo=UTC)
            found.append(RealArticle(key, file, path, entry["articleBody"], str(entry.get("title") or ""), moment))
    return sorted(found, key=lambda article: article.key)[:limit]


def real_feeds(limit: int = 20) -> list[Path]:
    """Feed files of feed-rs, gofeed and feedparser: the largest of each, 3 to 1 to 1."""
    shares = (("feeds/feed-rs", 3 * limit // 5), ("feeds/gofeed/testdata/parser", limit // 5), ("feeds/feedparser", 0))
    chosen: list[Path] = []
    for folder, share in shares:
        files = [
            file
            for file in shared_data(*folder.split("/")).rglob("*")
            if file.suffix in (".xml", ".json")
            and "serde" not in file.name
            and file.stat().st_size > 300
            and not (file.suffix == ".json" and file.with_suffix(".xml").exists())
        ]
        chosen += sorted(files, key=lambda f: (-f.stat().st_size, f.name))[: share or limit - len(chosen)]
    return chosen


@dataclass
class RealSite:
    """One server for all publishers; the Host header decides. `fetched` counts the requests by URL."""

    articles: Sequence[RealArticle]
    feeds: Sequence[Path] = ()
    port: int = 0
    fetched: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._documents: dict[str, tuple[str, bytes]] = {}
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RealSite:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                site._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._publish()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None and self._thread is not None
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    @property
    def allow_hosts(self) -> list[str]:
        """The exceptions to the address guard that this site needs."""
        return [f"{_host(name)}:{self.port}" for name in PUBLISHERS] + [f"{ARCHIVE}:{self.port}"]

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The publishers, and the feed files, as the settings' sources."""
        own = [
            {
                "id": name,
                "name": name.replace("_", " ").title(),
                "url": f"http://{_host(name)}:{self.port}/{form}",
                "kind": "listing" if form == "listing" else "feed",
                **({"link_pattern": r"/[0-9a-f]{12}/"} if form == "listing" else {}),
            }
            for name, form in PUBLISHERS.items()
        ]
        archive = [
            {
                "id": f"archive_{number}",
                "name": file.name,
                "url": f"http://{ARCHIVE}:{self.port}/{number}/{file.name}",
            }
            for number, file in enumerate(self.feeds)
        ]
        return [*own, *archive]

    def url_of(self, article: RealArticle) -> str:
        """Where the article stands."""
        names = list(PUBLISHERS)
        return f"http://{_host(names[self.articles.index(article) % len(names)])}:{self.port}{article.path}"

    def swap(self, one: str, other: str) -> None:
        """Serves each of two URLs the document of the other."""
        documents = self._documents
        documents[one], documents[other] = documents[other], documents[one]

    def _publish(self) -> None:
        for number, (name, form) in enumerate(PUBLISHERS.items()):
            own = list(self.articles[number :: len(PUBLISHERS)])
            links = [(self.url_of(article), article) for article in own]
            self._documents[f"http://{_host(name)}:{self.port}/{form}"] = _FORMS[form](name, links)
        for article in self.articles:
            self._documents[self.url_of(article)] = ("text/html", article.body)
        for number, file in enumerate(self.feeds):
            self._documents[f"http://{ARCHIVE}:{self.port}/{number}/{file.name}"] = (
                "application/json" if file.suffix == ".json" else "application/xml",
                file.read_bytes(),
            )

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        url = f"http://{request.headers.get('Host', '')}{request.path}"
        self.fetched[url] += 1
        content_type, body = self._documents.get(url, ("", b""))
        request.send_response(200 if content_type else 404)
        request.send_header("Content-Type", content_type or "text/plain")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def _host(name: str) -> str:
    return f"{name.replace('_', '-')}.example"


def _rss(name: str, links: Sequence[tuple[str, RealArticle]]) -> tuple[str, bytes]:
    items = "".join(
        f"<item>{_element('title', article.title)}<link>{escape(url)}</link>"
        + (f"<pubDate>{format_datetime(article.published)}</pubDate>" if article.published else "")
        + "</item>"
        for url, article in links
    )
    return "application/rss+xml", f'<rss version="2.0"><channel><title>{name}</title>{items}</channel></rss>'.encode()


def _atom(name: str, links: Sequence[tuple[str, RealArticle]]) -> tuple[str, bytes]:
    items = "".join(
        f'<entry>{_element("title", article.title)}<link href="{escape(url)}"/><id>{escape(url)}</id>'
        + _element("published", article.published.isoformat() if article.published else "")
        + "</entry>"
        for url, article in links
    )
    text = f'<feed xmlns="http://www.w3.org/2005/Atom"><title>{name}</title>{items}</feed>'
    return "application/atom+xml", text.encode()


def _rdf(name: str, links: Sequence[tuple[str, RealArticle]]) -> tuple[str, bytes]:
    items = "".join(
        f'<item rdf:about="{escape(url)}">{_element("title", article.title)}<link>{escape(url)}</link>'
        + _element("dc:date", article.published.isoformat() if article.published else "")
        + "</item>"
        for url, article in links
    )
    text = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>{name}</title></channel>{items}</rdf:RDF>'
    )
    return "application/rdf+xml", text.encode()


def _json(name: str, links: Sequence[tuple[str, RealArticle]]) -> tuple[str, bytes]:
    items = [
        {"id": url, "url": url}
        | ({"title": article.title} if article.title else {})
        | ({"date_published": article.published.isoformat()} if article.published else {})
        for url, article in links
    ]
    feed = {"version": "https://jsonfeed.org/version/1.1", "title": name, "items": items}
    return "application/feed+json", json.dumps(feed).encode()


def _listing(name: str, links: Sequence[tuple[str, RealArticle]]) -> tuple[str, bytes]:
    items = "".join(f'<li><a href="{escape(url)}">{escape(a.title or "Read on")}</a></li>' for url, a in links)
    page = f'<!doctype html><title>{name}</title><a href="/about">About us</a><ul>{items}</ul>'
    return "text/html; charset=utf-8", page.encode()


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>" if text else ""


_FORMS = {"rss": _rss, "atom": _atom, "rdf": _rdf, "json": _json, "listing": _listing}


@dataclass
class Traffic:
    """What tried to leave: names that were asked for and do not resolve here, addresses that were connected to."""

    names: Counter[str] = field(default_factory=Counter)
    addresses: list[str] = field(default_factory=list)


_watching: list[Traffic] = []
_is_hooked = False


@contextmanager
def only_loopback() -> Iterator[Traffic]:
    """Names under `.example` that the site uses resolve to 127.0.0.1, others not at all; no connection leaves."""
    global _is_hooked
    traffic = Traffic()
    hosts = {_host(name) for name in PUBLISHERS} | {ARCHIVE}
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in hosts:
            return real("127.0.0.1", *args, **named)
        if name is None or _is_local(str(name)):
            return real(host, *args, **named)
        traffic.names[str(name)] += 1
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if not _is_hooked:
        sys.addaudithook(_refuse_connections)  # cannot be taken off again, so there is one that looks who watches
        _is_hooked = True
    _watching.append(traffic)
    socket.getaddrinfo = resolve
    try:
        yield traffic
    finally:
        socket.getaddrinfo = real
        _watching.remove(traffic)


def _refuse_connections(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching or event not in ("socket.connect", "socket.sendto"):
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_local(str(address[0])):
        for traffic in _watching:
            traffic.addresses.append(f"{address[0]}:{address[1]}")
        raise ConnectionRefusedError(f"the tests connect to loopback only, not to {address[0]}")


def _is_local(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
