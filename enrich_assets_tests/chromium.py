"""A real Chromium for tests that look at pages. What a page must show belongs to the tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def browser() -> Iterator[Any]:
    """A browser, as playwright gives it; skips where there is no Chromium or no playwright."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()


def on_each_screen(file: Path, screens: Iterable[tuple[int, str]]) -> Iterator[Any]:
    """A page at each width and colour scheme, without a network: silent, asking for nothing but itself, no wider than
    the screen, and in the colours of the scheme."""
    with browser() as opened:
        for width, scheme in screens:
            context = opened.new_context(color_scheme=scheme, viewport={"width": width, "height": 844}, offline=True)
            page = context.new_page()
            said: list[str] = []
            asked: list[str] = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(file.as_uri())
            assert said == []
            assert [url for url in asked if url != "data:,"] == [file.as_uri()]
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
            assert dark is (scheme == "dark")
            yield page
            context.close()
