"""The page of a comparison in a real browser: silent, and as wide as the screen at each width and scheme."""

from __future__ import annotations

from pathlib import Path

import pytest

from enrich_assets.reports.compare.content import PhaseNumbers, PhasePair
from enrich_assets.reports.compare.page import comparison_page
from enrich_assets_tests.reports.compare.test_compare_page import comparison
from enrich_assets_tests.reports.test_reports_browser import CHROMIUM, LONG

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
SCREENS = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]
NUMBERS = PhaseNumbers(rows_in=1_000_000, rows_out=900_000, calls=125_000, reused=0, cost=1234.5, seconds=36_000.0)


def test_the_page_of_a_comparison_is_silent_and_fits_phone_and_desktop(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    phases = [PhasePair(phase="tier2", old=NUMBERS, new=NUMBERS, same_data=True)]
    file = tmp_path / "compare.html"
    found = comparison(f"{LONG} <script>alert(1)</script>", "https://news.example/a").model_copy(
        update={"phases": phases}
    )
    file.write_text(comparison_page(found), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            for width, scheme in SCREENS:
                context = browser.new_context(
                    color_scheme=scheme, viewport={"width": width, "height": 844}, offline=True
                )
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
                # No cell of the numbers wraps: what does not fit is moved sideways within its own frame.
                height, line = tab.evaluate(
                    "(() => { const row = document.querySelector('tbody tr');"
                    " return [row.offsetHeight, parseFloat(getComputedStyle(row).lineHeight)] })()"
                )
                assert height < 2.5 * line
                context.close()
        finally:
            browser.close()
