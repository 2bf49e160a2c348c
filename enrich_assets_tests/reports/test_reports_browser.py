"""The page in a real browser: silent, self-contained, and as wide as the screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.reports.render import ReportTables, render_reports
from enrich_assets_tests.chromium import on_each_screen

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3

pytestmark = pytest.mark.browser


def test_the_page_is_silent_self_contained_and_fits_phone_and_desktop(
    build: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    content = build(title=LONG)
    content["articles"][0]["title"] = content["articles"][0]["analysis"] = LONG
    content["articles"][0]["entities"][0]["name"] = content["sources"][0]["name"] = LONG
    file = tmp_path / "report.html"
    file.write_bytes(render_reports(content, tables=ReportTables())["report.html"])
    for opened in on_each_screen(file, ((390, "light"), (320, "dark"), (1280, "dark"))):
        assert opened.screenshot(full_page=True).startswith(b"\x89PNG")
