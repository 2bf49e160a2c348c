"""Generated articles of a news site on several loopback hosts, for crawls that come again.

Each article is about a company of its own, in sentences that no other article has, inside a page of some 50 KB with
scripts, styles, menus and teasers around it. The server counts what it is asked and the bodies that it sends.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

Validator = Literal["etag", "last-modified", "none"]
BYTES = 50_000
_MODIFIED = datetime(2024, 1, 10, 8, 0, tzinfo=UTC)
_STARTS = ("Bright", "Cold", "Elder", "Fern", "Grey", "High", "Iron", "Jade", "Kings", "Long", "Marsh", "North",
           "Oak", "Pine", "Quill", "Red", "Silver", "Thorn", "Under", "West")  # fmt: skip
_ENDS = ("brook", "cliff", "dale", "field", "gate", "haven", "lake", "moor", "port", "ridge", "stone", "vale", "wick")
_TRADES = ("Motors", "Software", "Hospitals", "Airlines", "Pharma", "Energy", "Bank", "Telescopes")
_PEOPLE = ("doctors", "voters", "engineers", "drivers", "patients", "researchers", "farmers", "teachers", "customers")
_VERBS = ("expect", "question", "welcome", "compare", "delay", "measure", "repair", "discuss", "finance", "postpone")
_THINGS = ("the election campaign", "climate research", "a software market", "hospital treatment", "new batteries",
           "bank loans", "flood barriers", "railway bridges", "vaccine trials", "school dinners", "harbour fees",
           "wind turbines", "television licences", "weather satellites", "wage talks", "court rulings")  # fmt: skip
_PLACES = ("the northern valleys", "three coastal towns", "the old capital", "both river ports", "the hill farms",
           "every second district", "the eastern suburbs", "small island villages", "the mining region")  # fmt: skip
_WHEN = ("before the summer", "after long debates", "within two years", "at twice the price", "without much noise",
         "against all advice", "with borrowed money", "for the third time", "under new rules")  # fmt: skip


class ManyPages:
    """`with ManyPages(60) as site`: the articles, behind one feed a host.

    `asked` counts the requests by URL, `bodies` the answers that carried a body.
    """

    def __init__(self, articles: int, *, hosts: int = 5, validator: Validator = "etag") -> None:
        self.validator = validator
        self.port = 0
        self.asked: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        self._count = articles
        self._hosts = [f"127.0.0.{number + 1}" for number in range(hosts)]
        self._documents: dict[str, tuple[str, bytes]] = {}
        self._changed: Counter[str] = Counter()
        self._servers: list[ThreadingHTTPServer] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> ManyPages:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                site._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        for host in self._hosts:
            server = ThreadingHTTPServer((host, self.port), Handler)
            server.daemon_threads = True
            self.port = server.server_address[1]
            self._servers.append(server)
            self._threads.append(threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True))
            self._threads[-1].start()
        for number in range(self._count):
            self._documents[self.url(number)] = ("text/html; charset=utf-8", page(number))
        for place, host in enumerate(self._hosts):
            self._documents[f"http://{host}:{self.port}/feed"] = ("application/rss+xml", self._feed(place))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join(10)
            server.server_close()

    @property
    def allow_hosts(self) -> list[str]:
        """The exceptions to the address guard that this site needs."""
        return [f"{host}:{self.port}" for host in self._hosts]

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The hosts as the settings' sources."""
        return [
            {"id": f"host_{n}", "name": f"Host {n}", "url": f"http://{host}:{self.port}/feed", "max_items": self._count}
            for n, host in enumerate(self._hosts)
        ]

    def url(self, number: int) -> str:
        """Where an article stands."""
        return f"http://{self._hosts[number % len(self._hosts)]}:{self.port}/article-{number}"

    def change(self, number: int) -> None:
        """Another sentence at an article's beginning, and another validator of its page."""
        url = self.url(number)
        content_type, body = self._documents[url]
        changed = body.replace(b"</h1><p>", f"</h1><p>{company(number)} took a part of it back on Friday. ".encode())
        assert changed != body
        self._documents[url] = (content_type, changed)
        self._changed[url] += 1

    def forget_counts(self) -> None:
        """Begins to count anew."""
        self.asked.clear()
        self.bodies.clear()

    def _feed(self, place: int) -> bytes:
        items = "".join(
            f"<item><title>{escape(title(number))}</title><link>{self.url(number)}</link>"
            f"<pubDate>{format_datetime(_MODIFIED - timedelta(minutes=number))}</pubDate></item>"
            for number in range(place, self._count, len(self._hosts))
        )
        return f'<rss version="2.0"><channel><title>Host {place}</title>{items}</channel></rss>'.encode()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        url = f"http://{request.headers.get('Host', '')}{request.path}"
        self.asked[url] += 1
        content_type, body = self._documents.get(url, ("", b""))
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        modified = format_datetime(_MODIFIED + timedelta(hours=self._changed[url]), usegmt=True)
        is_known = (self.validator == "etag" and request.headers.get("If-None-Match") == etag) or (
            self.validator == "last-modified" and request.headers.get("If-Modified-Since") == modified
        )
        status = 404 if not content_type else 304 if is_known else 200
        request.send_response(status)
        if status != 404:
            if self.validator == "etag":
                request.send_header("ETag", etag)
            elif self.validator == "last-modified":
                request.send_header("Last-Modified", modified)
        if status == 200:
            request.send_header("Content-Type", content_type)
        if status != 304:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if status == 200:
            self.bodies[url] += 1
            request.wfile.write(body)


def company(number: int) -> str:
    """The company that an article is about, and no other one."""
    place, start = divmod(number, len(_STARTS))
    end, trade = place % len(_ENDS), place // len(_ENDS)
    return f"{_STARTS[start]}{_ENDS[end]} {_TRADES[trade]}"


def title(number: int) -> str:
    """The headline of an article."""
    draw = random.Random(f"title {number}")
    return f"{company(number)} and {draw.choice(_THINGS)}: what {draw.choice(_PEOPLE)} {draw.choice(_VERBS)} now"


def page(number: int) -> bytes:
    """The page of an article, of `BYTES` bytes."""
    draw = random.Random(f"page {number}")
    name = company(number)
    lead = f"{name} is a company in {draw.choice(_PLACES)} that works on {draw.choice(_THINGS)}."
    paragraphs = [lead] + [" ".join(_sentence(draw, name) for _ in range(4)) for _ in range(9)]
    text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    teasers = "".join(f'<li><a href="/t/{n}">{draw.choice(_THINGS).title()}</a></li>' for n in range(40))
    styles = "".join(f".c{n}{{margin:{n}px;padding:{n % 7}px;color:#{n:06x}}}" for n in range(300))
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title(number))}</title>'
        f"<style>{styles}</style></head><body><nav><a href='/'>Home</a><a href='/about'>About us</a></nav>"
        f"<main><article><h1>{escape(title(number))}</h1>{text}</article></main><aside><ul>{teasers}</ul></aside>"
    )
    begun = f"{head}<script>var data='"
    end = "';</script></body></html>"
    return f"{begun}{'x' * (BYTES - len(begun.encode()) - len(end))}{end}".encode()


def _sentence(draw: random.Random, name: str) -> str:
    who = draw.choice((f"The {draw.choice(_PEOPLE)} of {name}", f"Many {draw.choice(_PEOPLE)}", name))
    return (
        f"{who} will {draw.choice(_VERBS)} {draw.choice(_THINGS)} in {draw.choice(_PLACES)} {draw.choice(_WHEN)}, "
        f"while {draw.randint(12, 980)} {draw.choice(_PEOPLE)} {draw.choice(_VERBS)} {draw.choice(_THINGS)}."
    )
