"""Two runs beside each other, and an archived run, as pages of the viewer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from enrich_assets.engine.connection import utc_now
from enrich_assets.engine.ledger import Ledger
from enrich_assets.store.archive import ArchivedRun, clear_folder, pack
from enrich_assets.store.layout import RunFolder
from enrich_assets.store.store import Store
from enrich_assets.web.forgotten import ForgottenFile, pattern_of
from enrich_assets_tests.service.synthetic import publish
from enrich_assets_tests.service.test_service_pages import ROW, TITLE, folder_of
from enrich_assets_tests.service.viewer_kit import Served, served, tab

BEFORE, AFTER = "20260101_060000", "20260102_060000"


def articles(*names: str) -> pa.Table:
    return pa.table({"row_id": list(names), "title": [f"About {name}" for name in names], "url": [""] * len(names)})


@pytest.mark.browser
def test_two_runs_are_compared_in_the_frame_of_the_viewer(tmp_path: Path) -> None:
    storage = tmp_path / "data"
    storage.mkdir()
    with Ledger.for_storage(str(storage)) as ledger:
        for run_id, names, threshold in ((BEFORE, "abc", 4.0), (AFTER, "acd", 6.0)):
            ledger.claim_run("intelligence", {"title": ""}, run_id=run_id)
            settings = {"tier3": {"threshold": threshold}}
            document = {"title": "", "preset": "demo", "as_of": "2026-01-01T06:00:00+00:00", "settings": settings}
            publish(Store(storage), ledger, run_id, "initialized", document=document)
            publish(Store(storage), ledger, run_id, "scraped", articles(*names))
    with served(storage) as viewer, tab(viewer.url, width=390) as opened:
        opened.open(f"/runs/{AFTER}")
        opened.page.get_by_role("button", name="Compare").click()
        opened.page.get_by_text("About d").first.wait_for()
        shown = opened.page.inner_text("body")
        for text in (BEFORE, AFTER, "About b", "tier3.threshold"):
            assert text in shown
        assert opened.width() <= 390
        assert (opened.said, opened.elsewhere) == ([], [])


def test_the_form_offers_the_newest_two_runs_and_not_one_twice(tmp_path: Path) -> None:
    storage = tmp_path / "data"
    storage.mkdir()
    with Ledger.for_storage(str(storage)) as ledger:
        for run_id in (BEFORE, AFTER):
            ledger.claim_run("intelligence", {"title": ""}, run_id=run_id)
    with served(storage) as viewer:
        page = viewer.get("/compare").text
        assert re.findall(r'<option value="(\w+)" selected', page) == [BEFORE, AFTER]
        page = viewer.get(f"/compare?old={AFTER}").text
        assert re.findall(r'<option value="(\w+)" selected', page) == [AFTER, BEFORE]


def test_an_archived_run_is_shown_like_any_other(own: Served) -> None:
    run_id = folder_of(own).name
    table = own.get(f"/runs/{run_id}/phases/validated/table").text
    folder, root = RunFolder(own.store.root, "intelligence", run_id), Path(str(own.store.root))
    names = [path.relative_to(root / "intelligence" / run_id).as_posix() for path in folder_of(own).rglob("*.*")]
    pack(folder, [name for name in names if not name.startswith("versions")], pages=[], now=utc_now())
    clear_folder(folder, ArchivedRun(own.store.root, "intelligence", run_id))
    assert not (root / "intelligence" / run_id / "validated.parquet").exists()
    assert own.get(f"/runs/{run_id}/phases/validated/table").text == table
    assert TITLE in own.get(f"/runs/{run_id}/row?id={ROW}").text
    for name in ("reports/report.html", "validated.parquet"):
        own.get(f"/runs/{run_id}/{name}")
    assert "complete" in own.get("/runs").text


def test_a_page_that_was_forgotten_is_said_to_be(own: Served) -> None:
    shutil.rmtree(str(own.store.root / "texts"))
    ForgottenFile(own.store.root).begin(pattern_of("policy-desk.example"), "2026-01-01T06:00:00Z")
    assert "forgotten on request" in own.get(f"/runs/Stored/row?id={ROW}").text
