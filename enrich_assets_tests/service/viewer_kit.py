"""The viewer on a port of its own, over a storage that a test made: real uvicorn, real HTTP, real Chromium."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from enrich_assets.engine.ledger import Ledger
from enrich_assets.service.app import create_app
from enrich_assets.store.store import Store
from enrich_assets_tests.chromium import browser


@dataclass(frozen=True)
class Served:
    """A viewer that answers at `url`."""

    url: str
    store: Store
    ledger: Ledger

    def get(self, path: str, status: int = 200, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """The answer to a path, which must have that status."""
        answer = httpx.get(f"{self.url}{path}", headers=headers, timeout=60)
        assert answer.status_code == status, answer.text[:2000]
        return answer


@contextmanager
def served(storage: Path) -> Iterator[Served]:
    """The viewer over a storage, until the block ends."""
    with Ledger.for_storage(str(storage)) as ledger, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        store = Store(storage)
        config = uvicorn.Config(create_app(store, ledger), log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", store, ledger)
        finally:
            server.should_exit = True
            thread.join(20)


@dataclass
class Tab:
    """A tab of Chromium; what its console said, and what it asked for elsewhere than at the viewer."""

    page: Any
    url: str
    said: list[str]
    elsewhere: list[str]

    def open(self, path: str) -> None:
        """Opens a page of the viewer and waits until nothing moves."""
        self.page.goto(f"{self.url}{path}")
        self.page.wait_for_load_state("networkidle")

    def width(self) -> int:
        """Width of the page, which may be more than that of the screen."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


@contextmanager
def tab(url: str, *, width: int = 1280, scheme: str = "light") -> Iterator[Tab]:
    """A tab of that width and colour scheme; skips where there is no Chromium."""
    with browser() as started:
        context = started.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        opened = Tab(context.new_page(), url, [], [])
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.on(
            "request", lambda asked: None if asked.url.startswith(url) else opened.elsewhere.append(asked.url)
        )
        yield opened


def shots(folder: Path) -> Path:
    """Where screenshots go: ENRICH_TEST_SHOTS, else a folder of the test."""
    kept = Path(os.environ.get("ENRICH_TEST_SHOTS") or folder)
    kept.mkdir(parents=True, exist_ok=True)
    return kept
