"""What each page shows of a run, and what it says where something is missing, damaged or foreign."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.store.store import Store
from enrich_assets_tests.service.synthetic import publish
from enrich_assets_tests.service.viewer_kit import Served, served

NAMES = GRAPHS["intelligence"].names
ROW = "74195fb2ac9c70d3"
TITLE = "Accelerator exports will need proof of end use from December"


@pytest.fixture(scope="module")
def run_id(stored: Served) -> str:
    (found,) = stored.store.runs("intelligence")
    return found


def folder_of(viewer: Served) -> Path:
    (run_id,) = viewer.store.runs("intelligence")
    return Path(str(viewer.store.root)) / "intelligence" / run_id


def test_the_list_shows_runs_with_state_phases_counts_cost_and_time(stored: Served, run_id: str) -> None:
    page = stored.get("/runs").text
    for text in ("Stored", run_id, "complete", "10 of 10 phases", "4 → 1", "Cost", "Time"):
        assert text in page
    assert run_id in stored.get("/runs?state=complete&text=stored").text
    for nothing in ("/runs?state=failed", "/runs?text=another"):
        assert "No run fits" in stored.get(nothing).text
    assert httpx.get(stored.url).headers["location"] == "/runs"


def test_a_run_leads_to_its_phases_reports_figures_and_files(stored: Served, run_id: str) -> None:
    page = stored.get(f"/runs/{run_id}").text
    for phase in NAMES:
        assert f'href="/runs/{run_id}/phases/{phase}"' in page
    assert f'href="/runs/{run_id}/reports/report.html"' in page
    assert f'href="/runs/{run_id}/phases/tier1/side/dropped"' in page
    assert page == stored.get("/runs/Stored").text, "a title names a run as its ID does"
    for path in sorted(set(re.findall(rf'(?:href|src)="(/runs/{run_id}[^"#]*)"', page))):
        stored.get(path)


def test_latest_is_the_run_that_somebody_went_back_to(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Ledger.for_storage(str(tmp_path)) as ledger:
        earlier, later = "20260301_080000", "20260302_080000"
        for run_id in (earlier, later):
            ledger.claim_run("intelligence", {"title": run_id}, run_id=run_id)
            publish(store, ledger, run_id, "scraped", pa.table({"row_id": ["a"]}))
            store.mark_latest("intelligence", run_id)
    with served(tmp_path) as viewer:
        assert f'href="/runs/{later}/phases/scraped"' in viewer.get("/runs/latest").text
        store.go_back_to("intelligence", earlier, later)
        assert f'href="/runs/{earlier}/phases/scraped"' in viewer.get("/runs/latest").text


@pytest.mark.parametrize("phase", NAMES)
def test_every_phase_has_a_page_of_its_own(stored: Served, run_id: str, phase: str) -> None:
    page = stored.get(f"/runs/{run_id}/phases/{phase}").text
    for text in ("Rows in and out", "Checks", "What it asked for", "Its own record"):
        assert text in page


def test_what_a_phase_says_of_itself_has_no_marks_of_its_source(stored: Served, run_id: str) -> None:
    told = re.search(r'<p class="dateline">(.*?)</p>', stored.get(f"/runs/{run_id}/phases/tier3").text, re.DOTALL)
    assert told is not None and "threshold or keep costs none" in told[1]


def test_a_message_that_begins_with_an_address_is_shown_whole_and_is_no_link(tmp_path: Path) -> None:
    message = "http://quiet.example/feed: the server answered 503 Service Unavailable. Resume the run later."
    failed = {"row_id": "q", "title": "Quiet", "url": "", "failure_kind": "http_503", "failure_message": message}
    with Ledger.for_storage(str(tmp_path)) as ledger:
        run_id = ledger.claim_run("intelligence", {"title": ""})
        publish(Store(tmp_path), ledger, run_id, "scraped", pa.table({"row_id": ["a"]}), failed=[failed])
    with served(tmp_path) as viewer:
        page = viewer.get(f"/runs/{run_id}/phases/scraped/side/failed").text
        assert f"<bdi>{message}</bdi>" in page and "no link" not in page


def test_rows_are_filtered_sorted_and_cut_to_columns(stored: Served, run_id: str) -> None:
    table = f"/runs/{run_id}/phases/scraped/table"
    titles = re.findall(r'row\?id=[0-9a-f]+"><bdi>([^<]+)', stored.get(f"{table}?sort=title").text)
    assert len(titles) == 4
    assert titles == sorted(titles)
    down = stored.get(f"{table}?sort=title&order=down").text
    assert re.findall(r'row\?id=[0-9a-f]+"><bdi>([^<]+)', down) == titles[::-1]
    assert "1–1 of 1 row" in stored.get(f"{table}?text=proof+of+END+use+from").text
    assert "No row fits" in stored.get(f"{table}?column=word_count&operator=least&value=1000000").text
    two = stored.get(f"{table}?columns=word_count&columns=language").text
    assert re.findall(r"<a href=[^>]*sort=(\w+)", two) == ["language", "word_count"]


def test_dropped_rows_have_their_reason_and_are_filtered_by_it(stored: Served, run_id: str) -> None:
    page = stored.get(f"/runs/{run_id}/phases/tier1/side/dropped").text
    assert "too short" in page
    (link,) = set(re.findall(r'href="([^"]*value=too_short[^"]*)"', page))
    assert "1–1 of 1 row" in stored.get(link.replace("&amp;", "&")).text
    assert "has no rows" in stored.get(f"/runs/{run_id}/phases/tier1/side/failed").text


def test_an_article_shows_its_way_its_scores_and_its_evidence(stored: Served, run_id: str) -> None:
    page = stored.get(f"/runs/{run_id}/row?id={ROW}").text
    for text in (TITLE, "Its way through the phases", "tier3 score", "Henrik Solbakken", "own article", "<mark>"):
        assert text in page
    assert page.count('class="state good">kept') == 8
    gone = stored.store.side("intelligence", run_id, "tier2", "dropped").to_pylist()[0]
    story = stored.get(f"/runs/{run_id}/row?id={gone['row_id']}").text
    assert "below threshold" in story
    assert story.count('class="state good">kept') == 2


def test_files_come_with_a_policy_that_lets_nothing_act(stored: Served, run_id: str) -> None:
    report = stored.get(f"/runs/{run_id}/reports/report.html")
    assert report.headers["content-type"].startswith("text/html")
    assert "sandbox" in report.headers["content-security-policy"]
    assert "allow-same-origin" not in report.headers["content-security-policy"]
    figure = next(n for n in stored.store.envelope("intelligence", run_id, "tier2").files if n.endswith(".svg"))
    svg = stored.get(f"/runs/{run_id}/{figure}")
    assert svg.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in svg.headers["content-security-policy"]
    sheet = stored.get(f"/runs/{run_id}/reports/articles.xlsx")
    assert sheet.headers["content-disposition"] == 'attachment; filename="articles.xlsx"'
    artifact = stored.get(f"/runs/{run_id}/tier2.parquet")
    assert artifact.content == (folder_of(stored) / "tier2.parquet").read_bytes()


def test_reports_that_were_made_anew_are_shown_and_lead_to_the_files(own: Served) -> None:
    run_id = folder_of(own).name
    made = Path(str(own.store.root)) / "reports" / run_id
    made.mkdir(parents=True)
    (made / "pipeline_summary.html").write_text("<!doctype html><title>x</title>", encoding="utf-8")
    assert f'href="/reports/{run_id}/pipeline_summary.html"' in own.get(f"/runs/{run_id}").text
    assert "sandbox" in own.get(f"/reports/{run_id}/pipeline_summary.html").headers["content-security-policy"]
    moved = own.get(f"/intelligence/{run_id}/etl/tier1/dropped.parquet", 307)
    assert moved.headers["location"] == f"/runs/{run_id}/etl/tier1/dropped.parquet"
    own.get(f"/reports/{run_id}/..%2f..%2fledger.db", 404)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/runs/nothing", 404, "The newest are"),
        ("/runs/RUN/phases/nothing", 404, "Phases: initialized"),
        ("/runs/RUN/phases/nothing/table", 404, "Phases: initialized"),
        ("/runs/RUN/phases/tier1/side/nothing", 404, "Its side tables: dropped, failed"),
        ("/runs/RUN/row?id=nothing", 404, "The tables of its phases list the rows"),
        ("/runs/RUN/row", 404, "The tables of its phases list the rows"),
        ("/runs/RUN/reports/nothing.html", 404, "What to do"),
        ("/runs/RUN/phases/report/table", 400, "The page of the phase shows it"),
        ("/runs/RUN/phases/tier1/table?sort=nothing", 400, "Columns: row_id"),
        ("/runs/RUN/phases/tier1/table?column=word_count&operator=least&value=many", 400, "cannot be compared"),
        ("/runs/RUN/phases/tier1/table?page=x", 400, "page"),
        ("/runs/RUN/phases/tier1/table?page=9999", 200, "beyond the last one"),
        ("/compare?old=RUN&new=nothing", 404, "The newest are"),
        ("/compare?old=RUN&new=RUN", 400, "What to do"),
        ("/nothing", 404, "Begin at the list of runs"),
        ("/runs/..%2f..%2fetc", 404, "Not here"),
        ("/runs/RUN/etl/..%2f..%2f..%2fledger.db", 404, "Not here"),
        ("/runs/RUN/../../ledger.db", 404, "Not here"),
        ("/runs/%00", 404, "Not here"),
        ("/static/..%2fapp.py", 404, "Not here"),
    ],
)
def test_what_is_not_there_says_what_to_do(stored: Served, run_id: str, path: str, status: int, says: str) -> None:
    answer = stored.get(path.replace("RUN", run_id), status)
    assert says in answer.text.replace("&#39;", "'")
    assert "Traceback" not in answer.text


def test_a_damaged_artifact_is_said_and_the_other_pages_go_on(own: Served) -> None:
    folder = folder_of(own)
    (folder / "tier2.parquet").write_bytes((folder / "tier2.parquet").read_bytes()[:1000])
    page = own.get(f"/runs/{folder.name}").text
    assert "The artifact of tier2 is damaged" in page
    assert "damaged" in own.get(f"/runs/{folder.name}/phases/tier2/table", 500).text
    assert own.get(f"/runs/{folder.name}/tier2.parquet", 500)
    assert "1–1 of 1 row" in own.get(f"/runs/{folder.name}/phases/tier3/table").text
    assert "damaged" in own.get(f"/runs/{folder.name}/row?id={ROW}").text
    svg = next(iter((folder / "eda").rglob("*.svg")))
    svg.write_text("<svg/>", encoding="utf-8")
    own.get(f"/runs/{folder.name}/{svg.relative_to(folder).as_posix()}", 500)


def test_a_row_of_an_archive_that_cannot_be_read_is_not_said_to_be_unknown(own: Served) -> None:
    folder = folder_of(own)
    archive = folder.parent / "archive" / f"{folder.name}.zip"
    archive.parent.mkdir()
    archive.write_bytes(b"cut short")
    told = own.get(f"/runs/{folder.name}/row?id={ROW}", 500).text
    assert "damaged" in told and archive.name in told


@pytest.mark.parametrize("path", ["/runs?page=1000", "/runs/RUN/phases/tier2/table?page=1000"])
def test_a_page_beyond_the_last_one_does_not_say_that_there_is_nothing(stored: Served, run_id: str, path: str) -> None:
    told = stored.get(path.replace("RUN", run_id)).text
    assert "This page is beyond the last one." in told and "Before" in told
    assert "There is no run yet" not in told and "No row fits" not in told


def test_a_lost_ledger_beside_run_folders_is_said_with_what_lists_them_again(own: Served, tmp_path: Path) -> None:
    folder = folder_of(own)
    assert "lists no run" not in own.get("/runs").text
    storage = tmp_path / "lost"
    for name in ("20261102_090000", folder.name):
        shutil.copytree(folder, storage / "intelligence" / name)
    with served(storage) as viewer:
        told = " ".join(viewer.get("/runs").text.split())
        assert "The ledger lists no run, and 2 runs are in the storage." in told
        assert "enrich check lists the runs again from their folders; only the stored answers are lost." in told
        assert folder.name in told and "There is no run yet" not in told


def test_the_failed_rows_of_a_phase_that_published_nothing_are_shown(own: Served) -> None:
    page = own.get(f"/runs/{folder_of(own).name}").text
    assert "which published nothing" not in page
    run_id = folder_of(own).name
    rows = [
        {
            "row_id": f"row{place}",
            "title": f"<i>Ports</i> {place}" if place else "",
            "url": f"https://a.example/{place}",
            "failure_kind": "bad_answer",
            "failure_message": "the answer has no <score>.",
        }
        for place in range(23)
    ]
    own.ledger.keep_failures(run_id, "tier2", rows)
    panel = own.get(f"/runs/{run_id}").text.partition('id="failed-tier2"')[2].partition("</section>")[0]
    assert "Failed rows of tier2, which published nothing" in panel
    assert panel.count("<li>") == 20 and "The first 20 of 23 rows." in panel
    assert "bad answer" in panel and "the answer has no &lt;score&gt;." in panel
    assert "<bdi>https://a.example/0</bdi>" in panel and "&lt;i&gt;Ports&lt;/i&gt; 19" in panel
    assert "Ports&lt;/i&gt; 20" not in panel
    assert f"enrich show {run_id} tier2 --rows --state failed" in panel
    assert f"enrich resume {run_id} --retry-failed" in panel


def test_a_named_pipe_in_a_runs_folder_holds_nobody_up(own: Served) -> None:
    folder = folder_of(own)
    os.mkfifo(folder / "foreign.parquet")
    own.get(f"/runs/{folder.name}/foreign.parquet", 404)
    own.get(f"/runs/{folder.name}/reports/report.html")
    (folder / "tier2.parquet").unlink()
    os.mkfifo(folder / "tier2.parquet")
    assert "damaged" in own.get(f"/runs/{folder.name}/phases/tier2/table", 500).text


def test_half_written_and_foreign_files_in_a_runs_folder_change_nothing(own: Served) -> None:
    folder = folder_of(own)
    before = own.get(f"/runs/{folder.name}").text
    (folder / ".tier2.parquet.abc.tmp").write_bytes(b"PAR1 half")
    (folder / "notes of mine.json").write_text("{", encoding="utf-8")
    (folder / "<script>.parquet").write_bytes(b"no")
    (folder / "reports" / "evil.html").write_text("<script>alert(1)</script>", encoding="utf-8")
    (folder / "eda" / "surprise").mkdir()
    assert own.get(f"/runs/{folder.name}").text == before
    for name in ("reports/evil.html", "notes%20of%20mine.json", "%3Cscript%3E.parquet", ".tier2.parquet.abc.tmp"):
        own.get(f"/runs/{folder.name}/{name}", 404)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    assert "report.html" in own.get(f"/runs/{folder.name}").text, "the envelopes say the same"
    (Path(str(own.store.root)) / "intelligence" / "not a run.txt").write_text("x", encoding="utf-8")
    own.get("/runs")


def test_a_run_that_the_ledger_does_not_know_is_shown_by_its_files(stored: Served, own: Served, tmp_path: Path) -> None:
    folder = folder_of(own)
    storage = Path(str(own.store.root))
    moved = tmp_path / "moved"
    moved.mkdir()
    (storage / "intelligence").rename(moved / "intelligence")
    with Ledger.for_storage(str(moved)), served(moved) as viewer:
        assert "not in the ledger" in viewer.get("/runs").text
        assert folder.name in viewer.get("/runs?state=not+in+the+ledger").text
        viewer.get(f"/runs/{folder.name}/phases/tier1/table")
        assert "prepared" in viewer.get(f"/runs/{folder.name}").text


def test_evidence_of_a_page_that_is_gone_says_so(own: Served) -> None:
    run_id = folder_of(own).name
    shutil.rmtree(str(own.store.root / "texts"))
    assert "not the text that was taken from it" in own.get(f"/runs/{run_id}/row?id={ROW}").text
    for page in (Path(str(own.store.root)) / "pages").rglob("*.gz"):
        page.unlink()
    assert "no longer stored" in own.get(f"/runs/{run_id}/row?id={ROW}").text
