"""A real Chromium on Dagster's pages: opened, waited for, photographed, read.

Belongs here: what every page has in common. What a page must show belongs to the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enrich_assets_tests.chromium import CHROMIUM as CHROMIUM
from enrich_assets_tests.chromium import browser

WAIT_SECONDS = 30.0


@dataclass
class Browser:
    """One tab on a webserver; every screenshot goes into `shots`."""

    page: Any
    url: str
    shots: Path

    def open(self, path: str, *texts: str) -> None:
        """Opens a page of the webserver and waits for texts to be on it."""
        self.page.goto(f"{self.url}{path}")
        self.see(*texts)

    def see(self, *texts: str, seconds: float = WAIT_SECONDS) -> None:
        """Waits until each text is visible on the page."""
        for text in texts:
            self.page.get_by_text(text).locator("visible=true").first.wait_for(timeout=seconds * 1000)

    def click(self, words: str) -> None:
        """Presses the last button on the screen that has these words; dialogs come last."""
        self.page.get_by_role("button").filter(has_text=words).locator("visible=true").last.click()

    def text(self) -> str:
        """All that is written on the page."""
        return str(self.page.inner_text("body"))

    def shot(self, name: str, *, whole: bool = False) -> Path:
        """Photographs what is on the screen, or the whole page."""
        self.page.wait_for_timeout(400)  # for what fades in
        file = self.shots / f"{name.replace(' ', '_')}.png"
        assert self.page.screenshot(path=str(file), full_page=whole).startswith(b"\x89PNG")
        return file


@contextmanager
def chromium(url: str, shots: Path) -> Iterator[Browser]:
    """A tab of 1440 × 1000; skips where no Chromium is installed. ENRICH_TEST_SHOTS names a folder that keeps shots."""
    kept = os.environ.get("ENRICH_TEST_SHOTS")
    folder = Path(kept) if kept else shots
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as started:
        page = started.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="light").new_page()
        page.set_default_timeout(WAIT_SECONDS * 1000)
        yield Browser(page, url, folder)
