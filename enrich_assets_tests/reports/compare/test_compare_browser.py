"""The page of a comparison in a real browser: silent, and as wide as the screen at each width and scheme."""

from __future__ import annotations

from pathlib import Path

import pytest

from enrich_assets.reports.compare.content import PhaseNumbers, PhasePair
from enrich_assets.reports.compare.page import comparison_page
from enrich_assets_tests.chromium import on_each_screen
from enrich_assets_tests.reports.compare.test_compare_page import comparison
from enrich_assets_tests.reports.test_reports_browser import LONG

pytestmark = pytest.mark.browser
SCREENS = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]
NUMBERS = PhaseNumbers(rows_in=1_000_000, rows_out=900_000, calls=125_000, reused=0, cost=1234.5, seconds=36_000.0)


def test_the_page_of_a_comparison_is_silent_and_fits_phone_and_desktop(tmp_path: Path) -> None:
    phases = [PhasePair(phase="tier2", old=NUMBERS, new=NUMBERS, same_data=True)]
    file = tmp_path / "compare.html"
    found = comparison(f"{LONG} <script>alert(1)</script>", "https://news.example/a").model_copy(
        update={"phases": phases}
    )
    file.write_text(comparison_page(found), encoding="utf-8")
    for opened in on_each_screen(file, SCREENS):
        # No cell of the numbers wraps: what does not fit is moved sideways within its own frame.
        height, line = opened.evaluate(
            "(() => { const row = document.querySelector('tbody tr');"
            " return [row.offsetHeight, parseFloat(getComputedStyle(row).lineHeight)] })()"
        )
        assert height < 2.5 * line
