"""A small press of our own writing for tests about what may be kept: two publishers, one of which is to be forgotten.

The gone publisher's articles each carry a sentence that stands nowhere else; one article of the other publisher names
a company that only the gone publisher explains.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from enrich_assets_tests.newsroom import newsroom_answer, schema_title

GONE, STAYS = "evening-star.example", "morning-post.example"
CANARY = "quicksilver herons count the lanterns of the ninth harbour"
"""Stands in every article of the gone publisher, with a number behind it."""
EXPLAINED = "Brightvale Motors is a company in Graz that builds electric tractors for vineyards on steep hills."
"""The one sentence that says what a company is; only the gone publisher has it."""


class Press:
    """Serves feeds and articles by the Host header; `fetched` counts the requests by URL."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.fetched: Counter[str] = Counter()
        self.documents: dict[str, tuple[str, bytes]] = {}

    def __enter__(self) -> Press:
        press = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                url = f"http://{self.headers.get('Host', '')}{self.path}"
                press.fetched[url] += 1
                content_type, body = press.documents.get(url, ("", b""))
                self.send_response(200 if content_type else 404)
                self.send_header("Content-Type", content_type or "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

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
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    @property
    def allow_hosts(self) -> list[str]:
        """The exceptions to the address guard that this press needs."""
        return [f"{host}:{self.port}" for host in (GONE, STAYS)]

    @property
    def sources(self) -> list[dict[str, Any]]:
        """Both publishers as the settings' sources."""
        return [
            {"id": host.partition("-")[0], "name": host, "url": f"http://{host}:{self.port}/feed"}
            for host in (GONE, STAYS)
        ]

    def url(self, host: str, number: int) -> str:
        """Where an article stands."""
        return f"http://{host}:{self.port}/article-{number}"

    def _publish(self) -> None:
        for host in (GONE, STAYS):
            items = []
            for number in range(4):
                title, text = _article(host, number)
                self.documents[self.url(host, number)] = ("text/html; charset=utf-8", _page(title, text))
                items.append(
                    f"<item><title>{escape(title)}</title><link>{self.url(host, number)}</link>"
                    f"<description>{escape(text[:200])}</description>"
                    f"<pubDate>Mon, {8 + number:02d} Jan 2024 09:00:00 GMT</pubDate></item>"
                )
            feed = f'<rss version="2.0"><channel><title>{host}</title>{"".join(items)}</channel></rss>'
            self.documents[f"http://{host}:{self.port}/feed"] = ("application/rss+xml", feed.encode())


def press_answer(body: Mapping[str, Any]) -> str:
    """What a model would answer about these articles: an analysis in their own words, the rest as for any news."""
    if schema_title(body) != "Analysis":
        return newsroom_answer(body)
    user = str(body["messages"][1]["content"])
    begins = re.search(f"{CANARY.capitalize()}|Brightvale Motors said", user)
    assert begins is not None, user
    return json.dumps({"analysis": user[begins.start() :][:560].rpartition(" ")[0].rstrip(".,") + "."})


_SUBJECTS = ("election campaign", "climate research", "software market", "hospital treatment")


def _article(host: str, number: int) -> tuple[str, str]:
    subject = _SUBJECTS[number]
    if host == GONE:
        title = f"Lanterns and the {subject} in the {number + 2}nd district"
        lead = f"{CANARY.capitalize()} {number}, said the keeper of the pier on {subject} night. {EXPLAINED}"
    else:
        title = f"What the {subject} means for {number + 3} valleys"
        lead = f"Brightvale Motors said on Monday that the {subject} in valley {number} would go on for months."
    rest = " ".join(
        f"Paragraph {part} of {host} about the {subject} tells how the {word} of region {number} changed its plans, "
        f"why {word}s in {part + 3} towns disagree, and what the government and researchers expect of it."
        for part, word in enumerate(("council", "laboratory", "ministry", "clinic", "union", "harbour"))
    )
    return title, f"{lead} {rest}"


def _page(title: str, text: str) -> bytes:
    paragraphs = "".join(f"<p>{escape(part)}.</p>" for part in text.split(". "))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head><body>'
        f"<nav><a href='/'>Home</a></nav><main><article><h1>{escape(title)}</h1>{paragraphs}"
        "</article></main></body></html>"
    ).encode()
