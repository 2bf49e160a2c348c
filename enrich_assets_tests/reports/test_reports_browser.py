"""The page in a real browser: silent, self-contained, and as wide as the screen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.reports.render import ReportTables, render_reports

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


def test_the_page_is_silent_self_contained_and_fits_phone_and_desktop(
    build: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    content = build(title=LONG)
    content["articles"][0]["title"] = content["articles"][0]["analysis"] = LONG
    content["articles"][0]["entities"][0]["name"] = content["sources"][0]["name"] = LONG
    file = tmp_path / "report.html"
    file.write_bytes(render_reports(content, tables=ReportTables())["report.html"])
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            for width, scheme in ((390, "light"), (320, "dark"), (1280, "dark")):
                context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 844})
                tab = context.new_page()
                said: list[str] = []
                asked: list[str] = []
                tab.on("console", lambda message, said=said: said.append(message.text))
                tab.on("pageerror", lambda error, said=said: said.append(str(error)))
                tab.on("request", lambda request, asked=asked: asked.append(request.url))
                tab.goto(file.as_uri())
                assert said == []
                assert [url for url in asked if url != "data:,"] == [file.as_uri()]
                assert tab.evaluate("document.documentElement.scrollWidth") <= width
                dark = tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
                assert dark is (scheme == "dark")
                assert tab.screenshot(full_page=True).startswith(b"\x89PNG")
                context.close()
        finally:
            browser.close()
