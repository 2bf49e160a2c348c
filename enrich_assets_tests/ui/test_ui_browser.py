"""Dagster's pages about our runs, in a real browser: what a person sees, reads and presses there.

ENRICH_TEST_SHOTS names a folder in which the screenshots are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.model_server import ModelServer
from enrich_assets_tests.ui.browser_kit import CHROMIUM, Browser, chromium
from enrich_assets_tests.ui.dagster_kit import ENDED, Dagster, wait_until
from enrich_assets_tests.ui.news_wire import NewsWire, endpoint

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
GONE_SECONDS = 10.0
BAD_KEY = "monday/first"
"""One that Dagster's own dialog lets pass."""


@pytest.fixture
def browser(dagster: Dagster, tmp_path: Path) -> Iterator[Browser]:
    with chromium(dagster.url, tmp_path / "shots") as opened:
        yield opened


@dataclass(frozen=True)
class Finished:
    """Three runs of the demo that a backfill completed."""

    run_ids: list[str]
    backfill_id: str


@pytest.fixture(scope="module")
def finished(dagster: Dagster) -> Finished:
    """Three runs that differ in the least score of tier1, made by one backfill over their IDs."""
    run_ids = [
        dagster.prepare(None, "--preset", "demo", "--set", f"tier1.least_score={least}", "--title", f"least {least}")
        for least in (1, 2, 3)
    ]
    backfill_id = dagster.backfill(run_ids, INTELLIGENCE.names)
    over = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED")
    wait_until(lambda: dagster.backfill_status(backfill_id) in over, 200, "the backfill to be over")
    return Finished(run_ids, backfill_id)


def open_menu(browser: Browser, phase: str) -> None:
    """Opens the menu behind the arrow beside the button that materializes a phase."""
    browser.open(f"/assets/{phase}?view=overview", "Materialize…")
    beside = browser.page.get_by_role("button").filter(has_text="Materialize…").first
    beside.locator("xpath=following::button[1]").click()


def choose_partition(browser: Browser, phase: str, run_id: str) -> None:
    """Opens the dialog that materializes a phase, and picks a run in it."""
    browser.open(f"/assets/{phase}?view=overview", "Materialize…")
    browser.page.get_by_text("Materialize…").first.click()
    browser.page.get_by_text("Select a partition or create one").last.click()
    browser.page.get_by_text(run_id).locator("visible=true").last.click()
    browser.page.keyboard.press("Escape")


def test_a_partition_typed_by_hand_with_a_bad_key_is_refused_in_words_and_nothing_is_written(
    dagster: Dagster, browser: Browser
) -> None:
    browser.open("/locations/enrich_assets/asset-groups/intelligence/lineage", *INTELLIGENCE.names)
    browser.page.wait_for_timeout(1500)  # the graph moves into place
    browser.shot("lineage")
    before = sorted(path.name for path in dagster.storage.parent.rglob("*") if "monday" in path.name)
    browser.open("/assets/initialized?view=overview", "Materialize…")
    browser.page.get_by_text("Materialize…").first.click()
    browser.page.get_by_text("Add a partition").click()
    browser.page.get_by_placeholder("name").last.fill(BAD_KEY)
    browser.click("Save")
    browser.click("Launch 1 run")
    wait_until(lambda: dagster.launches(BAD_KEY), 20, "the launch")
    launch_id = dagster.launches(BAD_KEY)[0]["runId"]
    assert dagster.wait_until_ended(launch_id) == "FAILURE"
    browser.open(f"/runs/{launch_id}", "is not a run ID")
    browser.shot("bad key")
    assert f"{BAD_KEY!r} is not a run ID" in browser.text()
    # What the error says of getting rid of it is there.
    browser.see("the arrow beside Materialize…, then Delete partitions")
    open_menu(browser, "initialized")
    browser.see("Delete partitions")
    browser.shot("delete partitions")
    assert sorted(path.name for path in dagster.storage.parent.rglob("*") if "monday" in path.name) == before == []


@pytest.mark.long
def test_a_key_typed_by_hand_gets_its_settings_from_the_launchpad_of_the_first_phase(
    dagster: Dagster, browser: Browser
) -> None:
    open_menu(browser, "initialized")
    browser.page.get_by_text("Open launchpad").click()
    browser.see("preset: as_registered", "overrides:", "No errors")
    browser.shot("launchpad initialized")
    browser.click("Add new partition")
    browser.page.get_by_placeholder("name").last.fill("typed_by_hand")
    browser.click("Save")
    browser.see("preset: 'as_registered'")  # written anew for the partition that was picked
    editor = browser.page.locator(".CodeMirror").last
    written = "ops:\n  initialized:\n    config:\n      preset: demo\n      overrides: {tier3.threshold: 6}\n"
    editor.evaluate("(editor, text) => editor.CodeMirror.setValue(text)", written)
    browser.see("No errors")
    browser.page.wait_for_timeout(1000)
    browser.shot("launchpad initialized filled in")
    browser.click("Materialize")
    wait_until(lambda: dagster.launches("typed_by_hand"), 20, "the launch")
    launch_id = dagster.launches("typed_by_hand")[0]["runId"]
    assert dagster.wait_until_ended(launch_id) == "SUCCESS"
    with dagster.ledger() as ledger:
        registered = ledger.registration("typed_by_hand") or {}
    assert (registered["preset"], registered["settings"]["tier3"]["threshold"]) == ("demo", 6)


@pytest.mark.long
def test_a_backfill_over_three_runs_completes_and_its_page_says_so(finished: Finished, browser: Browser) -> None:
    browser.open(f"/runs/b/{finished.backfill_id}", "Succeeded", *finished.run_ids, *INTELLIGENCE.names)
    browser.shot("backfill")
    assert browser.text().count("100% completed") == len(INTELLIGENCE.names)


@pytest.mark.long
def test_the_page_of_a_phase_shows_its_rows_a_figure_and_plots_over_three_runs(
    dagster: Dagster, finished: Finished, browser: Browser
) -> None:
    with dagster.ledger() as ledger:
        kept = {str(p["rows_out"]) for run in finished.run_ids for p in ledger.phases(run) if p["phase"] == "tier1"}
    assert len(kept) == 3, "three runs that do not differ"
    browser.open("/assets/tier1?view=overview", "One row an article that plain rules let through", "parquet")
    for text in ("Row count", "tier1_score", "points 0–10", "intelligence_from_tier1", "first_rows", "cost_usd"):
        browser.see(text)
    browser.shot("tier1 overview")
    figure = browser.page.locator("img[alt=drop_reasons]").first
    figure.scroll_into_view_if_needed()
    assert figure.evaluate("picture => picture.naturalWidth") == 160, "the figure is not drawn"
    browser.see("kept (blue)", "dropped (orange)")
    assert browser.page.locator("td table, table table").count(), "no table of the first rows"
    browser.shot("tier1 rows and figure")
    browser.page.get_by_text("Plots", exact=True).first.click()
    browser.see("dropped/no_keyword", "dagster/row_count", "When graphing values by partition")
    browser.page.wait_for_timeout(1500)  # the lines are drawn
    browser.page.get_by_text("dropped/already_reported").first.scroll_into_view_if_needed()
    browser.shot("tier1 plots")
    browser.open(f"/assets/tier1?view=partitions&partition={finished.run_ids[0]}", "Materialized", "first_rows")
    browser.shot("tier1 partition")


@pytest.mark.long
def test_a_phase_is_materialized_again_from_its_page(dagster: Dagster, finished: Finished, browser: Browser) -> None:
    run_id = finished.run_ids[0]
    before = len(dagster.launches(run_id))
    choose_partition(browser, "ranked", run_id)
    browser.shot("materialize again")
    browser.click("Launch 1 run")
    wait_until(lambda: len(dagster.launches(run_id)) == before + 1, 20, "the launch")
    launch = dagster.launches(run_id)[0]
    assert dagster.wait_until_ended(launch["runId"]) == "SUCCESS"
    assert launch["assetSelection"] == [{"path": ["ranked"]}]
    browser.open(f"/assets/ranked?view=partitions&partition={run_id}", "Materialized", launch["runId"][:8])
    browser.shot("materialized again")


@pytest.mark.long
def test_a_running_phase_tells_its_progress_and_is_cancelled_and_continued(dagster: Dagster, browser: Browser) -> None:
    with NewsWire(60) as wire, ModelServer(latency=4.0) as server:
        asking = {"concurrency": 6, "tier3": {"model": "own", "threshold": 0, "keep": 60}}
        run_id = dagster.prepare(wire.settings("slow", **endpoint(server.base_url), **asking))
        launch_id = dagster.launch(run_id, INTELLIGENCE.names)
        browser.open(f"/runs/{launch_id}")
        browser.see("tier3: ", seconds=90)
        browser.see("ASSET_OBSERVATION", seconds=40)
        browser.shot("running with progress")
        browser.open(f"/assets/tier3?view=events&partition={run_id}", "observed in run", "rows_done", "rows_in")
        browser.shot("running phase observed")
        done = server.answered
        assert 6 <= done < 60
        browser.open(f"/runs/{launch_id}", "Terminate")
        browser.click("Terminate")
        browser.page.wait_for_timeout(800)
        browser.shot("terminate")
        browser.click("Terminate")
        began = time.monotonic()
        wait_until(lambda: dagster.status(launch_id) in ENDED, GONE_SECONDS, "the launch to be gone")
        assert dagster.status(launch_id) == "CANCELED"
        print(f"\ncanceled {time.monotonic() - began:.1f} s after the button was pressed")
        browser.open(f"/runs/{launch_id}", "Canceled")
        browser.shot("cancelled")
        server.latency = 0.0
        asked, answered = server.calls, server.answered
        assert dagster.enrich("resume", run_id).returncode == 0
        rows = dagster.store().load(INTELLIGENCE.name, run_id, "tier2").table
        assert rows is not None
        assert server.calls - asked == rows.num_rows - answered
        newest = dagster.launches(run_id)[0]["runId"]
        browser.open(f"/runs/{newest}", "Success")
        browser.shot("continued")


@pytest.mark.long
def test_a_failed_phase_says_in_a_sentence_what_is_wrong_and_what_to_do(dagster: Dagster, browser: Browser) -> None:
    with NewsWire(30) as wire, ModelServer() as server:
        server.plan("invalid_key")
        asking = {"tier3": {"model": "own", "threshold": 0, "keep": 30}}
        run_id = dagster.prepare(wire.settings("no key", **endpoint(server.base_url), **asking, company={"name": "K"}))
        launch_id = dagster.launch(run_id, INTELLIGENCE.names)
        assert dagster.wait_until_ended(launch_id) == "FAILURE"
        browser.open(f"/runs/{launch_id}", "Failure", f"enrich resume {run_id}")
        browser.shot("failed phase")
        said = browser.text()
        assert "Incorrect API key" in said
        assert server.calls <= 10


@pytest.mark.long
def test_a_new_run_is_launched_in_the_launchpad_with_a_changed_setting(dagster: Dagster, browser: Browser) -> None:
    known = set(_run_ids(dagster))
    browser.open("/locations/enrich_assets/jobs/new_run/playground", "Launch Run", "new_run_settings")
    editor = browser.page.locator(".CodeMirror").first
    config = {"preset": "demo", "title": "From the launchpad", "overrides": {"tier1.least_score": 3}}
    text = _yaml({"ops": {"new_run_settings": {"config": config}}})
    editor.evaluate("(element, text) => element.CodeMirror.setValue(text)", text)
    browser.see("No errors")
    browser.shot("launchpad")
    browser.click("Launch Run")
    wait_until(lambda: set(_run_ids(dagster)) - known, 60, "the run")
    (run_id,) = set(_run_ids(dagster)) - known
    wait_until(lambda: dagster.launches(run_id), 60, "the sensor to go on with it")
    assert dagster.wait_until_ended(dagster.launches(run_id)[0]["runId"], 120) == "SUCCESS"
    with dagster.ledger() as ledger:
        registered: dict[str, Any] = ledger.registration(run_id) or {}
    assert registered["title"] == "From the launchpad"
    assert registered["settings"]["tier1"]["least_score"] == 3
    assert {row["status"] for row in dagster.recorded(run_id).values()} == {"complete"}
    browser.open("/runs", "new_run", run_id)
    browser.shot("launched from the launchpad")


def _run_ids(dagster: Dagster) -> list[str]:
    with dagster.ledger() as ledger:
        return [str(run["run_id"]) for run in ledger.runs()]


def _yaml(values: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(values, sort_keys=False))
