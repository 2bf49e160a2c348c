"""A news agency on loopback with as many articles as a test needs, and the settings of a run over it.

Articles are made of the demo site's sentences, drawn anew for each, so that all are English, near no other, and about
something that the categories know.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from enrich_assets.graphs.intelligence.demo.content import read_articles
from enrich_assets.graphs.presets import load_preset
from enrich_assets.models.text import sentences

_SENTENCES = 14
_FIRST = datetime(2026, 11, 1, 6, tzinfo=UTC)


class NewsWire:
    """The server, in a thread of its own; `articles` is how many there are."""

    def __init__(self, articles: int) -> None:
        self.documents = {f"/{number:03}.html": _page(number) for number in range(articles)}
        self._server: ThreadingHTTPServer | None = None

    @property
    def host(self) -> str:
        """Where it listens, as `allow_hosts` names it."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.server_address[1]}"

    def settings(self, title: str, **further: Any) -> dict[str, Any]:
        """Settings of a run over all of it, every article kept by every phase; further ones as they stand."""
        subjects = load_preset("intelligence", "demo")
        return {
            "title": title,
            "as_of": "2026-11-02T09:00:00Z",
            "compare_with": 0,
            "first_delay_seconds": 0,
            "company": subjects["company"],
            "categories": subjects["categories"],
            "sources": [
                {"id": "wire", "name": "The Wire", "url": f"http://{self.host}/feed", "max_items": len(self.documents)}
            ],
            "http": {"allow_hosts": [self.host], "seconds_between_requests": 0},
            "tier1": {"least_score": 0},
            "tier2": {"threshold": 0},
            "tier3": {"threshold": 0, "keep": len(self.documents)},
            **further,
        }

    def __enter__(self) -> NewsWire:
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                wire._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = self._feed() if request.path == "/feed" else self.documents.get(request.path, "")
        request.send_response(200 if body else 404)
        request.send_header("Content-Type", "application/xml" if request.path == "/feed" else "text/html")
        request.send_header("Content-Length", str(len(body.encode())))
        request.end_headers()
        request.wfile.write(body.encode())

    def _feed(self) -> str:
        items = "".join(
            f"<item><title>{escape(_title(number))}</title><link>http://{self.host}{path}</link>"
            f"<pubDate>{format_datetime(_FIRST + timedelta(minutes=number))}</pubDate></item>"
            for number, path in enumerate(self.documents)
        )
        return f'<?xml version="1.0"?><rss version="2.0"><channel><title>The Wire</title>{items}</channel></rss>'


def endpoint(base_url: str, **further: Any) -> Mapping[str, Any]:
    """The settings that let every phase ask the loopback model server."""
    priced = {"usd_per_million_input": 1.0, "usd_per_million_output": 2.0}
    own = {"model": "openai/loopback", "base_url": base_url, "path": "direct", **priced, **further}
    return {"models": {"own": own}}


def _title(number: int) -> str:
    drawn = _drawn(number)
    return f"{' '.join(drawn[0].split()[:8])} ({number + 1})"


def _page(number: int) -> str:
    drawn = _drawn(number)
    paragraphs = "".join(f"<p>{escape(' '.join(drawn[at : at + 4]))}</p>" for at in range(0, _SENTENCES, 4))
    title = escape(_title(number))
    return (
        f'<!doctype html><html lang="en"><head><title>{title}</title></head>'
        f"<body><main><article><h1>{title}</h1>{paragraphs}</article></main></body></html>"
    )


def _drawn(number: int) -> list[str]:
    return random.Random(number).sample(_pool(), _SENTENCES)


def _pool() -> list[str]:
    if not _POOL:
        english = [article for article in read_articles() if article.lang == "en" and not article.case]
        found = (sentence for article in english for text in article.paragraphs for sentence in sentences(text))
        _POOL.extend(sorted({sentence for sentence in found if 40 < len(sentence) < 250}))
    return _POOL


_POOL: list[str] = []
