"""The viewer in a real browser: silent, asking nobody else, as wide as the screen, and live while a run works."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from enrich_assets.engine.ledger import Ledger
from enrich_assets_tests.service.test_service_pages import ROW
from enrich_assets_tests.service.viewer_kit import Served, served, shots, tab

pytestmark = pytest.mark.browser

PAGES = {
    "runs": "/runs",
    "run": "/runs/Stored",
    "phase": "/runs/Stored/phases/tier1",
    "table": "/runs/Stored/phases/scraped/table",
    "dropped": "/runs/Stored/phases/tier1/side/dropped",
    "article": f"/runs/Stored/row?id={quote(ROW)}",
    "figures": "/runs/Stored/figures",
    "report": "/runs/Stored/reports/report.html",
    "compare": "/compare",
}


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        (1280, "light"),
        pytest.param(390, "light", marks=pytest.mark.long),
        pytest.param(1280, "dark", marks=pytest.mark.long),
    ],
)
def test_every_page_is_silent_and_fits_the_screen(stored: Served, tmp_path: Path, width: int, scheme: str) -> None:
    with tab(stored.url, width=width, scheme=scheme) as opened:
        for name, path in PAGES.items():
            opened.open(path)
            assert opened.width() <= width, name
            dark = opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
            assert dark is (scheme == "dark"), name
            file = shots(tmp_path) / f"viewer_{name}_{width}_{scheme}.png"
            assert opened.page.screenshot(path=str(file), full_page=True).startswith(b"\x89PNG")
        assert (opened.said, opened.elsewhere) == ([], [])


def test_figures_are_drawn_and_findings_arrive(stored: Served) -> None:
    with tab(stored.url) as opened:
        opened.open("/runs/Stored")
        opened.page.locator("[data-part] ul.findings, [data-part] p:has-text('Nothing stands out')").first.wait_for()
        widths = opened.page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
        assert len(widths) >= 4
        assert all(widths)
        assert (opened.said, opened.elsewhere) == ([], [])


def test_a_filter_is_typed_and_a_row_is_opened(stored: Served) -> None:
    with tab(stored.url, width=390) as opened:
        opened.open("/runs/Stored/phases/scraped/table")
        opened.page.get_by_label("Text in any column").fill("proof of end use from")
        opened.page.get_by_role("button", name="Filter").click()
        opened.page.get_by_text("1–1 of 1 row").wait_for()
        opened.page.get_by_role("link", name="Accelerator exports will need proof").click()
        opened.page.get_by_role("heading", name="Its way through the phases").wait_for()
        assert (opened.said, opened.elsewhere) == ([], [])


def test_a_page_follows_a_run_while_it_works_and_ends_with_it(tmp_path: Path) -> None:
    storage = tmp_path / "data"
    storage.mkdir()
    with Ledger.for_storage(str(storage)) as ledger, served(storage) as viewer:
        run_id = ledger.claim_run("intelligence", {"title": "At work"})
        ledger.phase_started(run_id, "initialized", 1, 0)
        ledger.phase_ended(run_id, "initialized", "complete", rows_out=0)
        ledger.phase_started(run_id, "scraped", 2, 400)
        ledger.phase_progress(run_id, "scraped", rows_done=100)
        with tab(viewer.url, width=390) as opened:
            opened.open(f"/runs/{run_id}")
            opened.page.get_by_text("100 of 400").first.wait_for()
            opened.page.evaluate("window.stays = true")
            ledger.phase_progress(run_id, "scraped", rows_done=250)
            opened.page.get_by_text("250 of 400").first.wait_for(timeout=15_000)
            assert opened.page.evaluate("window.stays"), "it was not loaded anew"
            ledger.phase_ended(run_id, "scraped", "failed", message="The feed is gone.")
            opened.page.get_by_text("scraped: The feed is gone.").wait_for(timeout=15_000)
            opened.page.wait_for_function("window.stays === undefined", timeout=15_000)
            assert (opened.said, opened.elsewhere) == ([], [])


def test_a_figure_keeps_its_place_before_it_is_drawn(stored: Served) -> None:
    heights = "all => all.map(one => one.offsetHeight)"
    with tab(stored.url) as opened:
        opened.page.route("**/eda/**", lambda route: route.abort())
        opened.open("/runs/Stored/figures")
        assert min(opened.page.eval_on_selector_all(".plot img", heights)) > 100
