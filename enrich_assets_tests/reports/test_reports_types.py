"""Report types: which there are, what they show, how large they get, and what bad input is told."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bs4 import BeautifulSoup
from pydantic import BaseModel

from enrich_assets.core import entry_points
from enrich_assets.core.errors import ArtifactMissing, DeclarationError, EnrichError, UserError
from enrich_assets.graphs.intelligence.report_content import Origin
from enrich_assets.reports import kinds
from enrich_assets.reports.kinds import PUBLISHED, ReportType, files_of, make, report_type, type_names
from enrich_assets.reports.material import Material
from enrich_assets.reports.numbers import disagreeing
from enrich_assets.reports.origins import Artifacts
from enrich_assets_tests.reports.published_run import DROPPED, published, sample_rows, table_of

INDEX_LIMIT, PAGE_LIMIT = 1_000_000, 5_000_000


class CountContent(BaseModel):
    rows: int
    provenance: dict[str, Origin]


def count_report() -> ReportType:
    """A report type as another distribution would write it."""
    origin = Origin(artifact="validated", field="rows")
    return ReportType(
        name="count",
        title="how many",
        content=lambda m: CountContent(rows=m.run.arrow("validated").num_rows, provenance={"/rows": origin}),
        files=lambda content, rendering: {"count.txt": f"{content.rows}\n".encode()},
    )


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers this module's `count_report` under `count`, and something else under `wrong`."""
    points = [
        EntryPoint("count", f"{__name__}:count_report", kinds.GROUP),
        EntryPoint("wrong", f"{__name__}:CountContent.model_json_schema", kinds.GROUP),
    ]
    for module in (kinds, entry_points):
        monkeypatch.setattr(module, "entry_points", lambda group: EntryPoints(p for p in points if p.group == group))
    entry_points.look_again()
    monkeypatch.setattr(EntryPoint, "load", lambda point: count_report if point.name == "count" else dict)
    yield
    entry_points.look_again()


def test_a_type_of_ones_own_is_made_listed_and_checked_like_the_others(registered: None, tmp_path: Path) -> None:
    assert type_names() == ["news", "summary", "quality", "full", "count", "wrong"]
    run = published(tmp_path)
    material = Material.of(run)
    made = make(material, ["count"], artifacts="")
    files = files_of(material, made)
    assert files["count.txt"] == b"3\n"
    assert b'"field": "rows"' in files["numbers.json"]
    assert list(disagreeing("count", "count", made[0].numbers, Artifacts(run))) == []


def test_what_is_registered_and_is_no_report_type_is_refused(registered: None) -> None:
    with pytest.raises(DeclarationError, match="is a dict"):
        report_type("wrong")


def test_an_unknown_type_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="summary") as told:
        report_type("sumary")
    assert ".." not in told.value.what


def test_a_run_that_did_not_reach_its_report_has_summary_and_quality_and_no_news(tmp_path: Path) -> None:
    material = Material.of(published(tmp_path, with_report=False))
    made = make(material, ["summary", "quality"], artifacts="")
    assert {name for one in made for name in one.files} == {"pipeline_summary.html", "data_quality.html"}
    with pytest.raises(ArtifactMissing, match="no report yet"):
        make(material, ["news"], artifacts="")


def test_reports_made_later_are_those_that_were_published(tmp_path: Path) -> None:
    run = published(tmp_path)
    material = Material.of(run)
    again = files_of(material, make(material, PUBLISHED, artifacts=".."))
    listed = {n.removeprefix("reports/"): run.file(n) for n in run.envelope("report").files if n.startswith("reports/")}
    assert again == listed


def test_the_summary_says_of_each_phase_what_came_in_and_went_out_and_links_its_files(tmp_path: Path) -> None:
    soup = BeautifulSoup(published(tmp_path).file("reports/pipeline_summary.html"), "html.parser")
    rows = {
        row.find("th").get_text(): [td.get_text(strip=True) for td in row.find_all("td")]
        for row in soup.select("tbody tr")
    }
    assert rows["3. tier1"] == ["4", "3", "", "1", "0", "3", "0.2 s", "0.0120 USD"]
    issues = " ".join(soup.select_one(".issues").get_text().split())
    assert "tier2, something left: nearly nothing is left" in issues
    assert soup.find("a", href="../etl/tier1/dropped.parquet")
    assert soup.find("a", href="../tier1.parquet")
    # Answers of pages and searches are reused too: their number does not stand with the calls of models.
    assert "reused" not in soup.select_one(".cards").get_text()
    assert soup.find(attrs={"data-number": "/totals/answers_reused"}).find_parent("p")["class"] == ["legend"]


def test_the_quality_page_counts_missing_values_and_shows_the_rows(tmp_path: Path) -> None:
    rows = sample_rows()
    rows[0]["author"] = ""
    rows[1]["author"] = None
    soup = BeautifulSoup(published(tmp_path, rows=rows).file("reports/data_quality.html"), "html.parser")
    missing = soup.find_all("table", class_="missing")[-1]
    first = [cell.get_text() for cell in missing.select_one("tbody tr").find_all(["th", "td"])]
    assert first[:3] == ["author", "2", "67 %"]
    row = soup.select_one("tr[data-phase]")
    assert (row["data-phase"], row["data-reason"]) == ("tier1", "too_old")
    assert row.find("a")["href"] == "https://c.example/1"


def test_rows_that_a_phase_lost_on_their_way_count_where_all_others_do(tmp_path: Path) -> None:
    material = Material.of(published(tmp_path))
    scraped = next(p for p in report_type("quality").content(material).phases if p.phase == "scraped")
    counts = material.envelopes["scraped"].counts
    assert scraped.failed == sum(counts.failed_by_kind.values())
    assert scraped.judged == scraped.passed + scraped.dropped + scraped.failed
    assert scraped.passed == counts.rows_out


def test_pages_have_one_heading_in_order_labelled_controls_and_table_heads(tmp_path: Path) -> None:
    run = published(tmp_path)
    for name in ("pipeline_summary", "data_quality"):
        soup = BeautifulSoup(run.file(f"reports/{name}.html"), "html.parser")
        levels = [int(tag.name[1]) for tag in soup.find_all(["h1", "h2", "h3"])]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(table.find("th", scope="col") and table.find("th", scope="row") for table in soup.find_all("table"))
        assert all(control.find_parent("label") for control in soup.find_all(["input", "select"]))
        assert all(image.get("alt") for image in soup.find_all("img"))
        ids = [tag["id"] for tag in soup.find_all(id=True)]
        assert len(ids) == len(set(ids))
        assert {a["href"][1:] for a in soup.find_all("a") if a["href"].startswith("#")} <= set(ids)


def many_dropped(count: int, text: str) -> pa.Table:
    """`count` dropped rows whose title and detail are `text`."""
    ids = pa.array([f"d{n}" for n in range(count)])
    same = {name: pa.array([text] * count) for name in ("title", "drop_detail", "drop_value")}
    urls = pa.array([f"https://c.example/{n}" for n in range(count)])
    return pa.table({"row_id": ids, **same, "url": urls, "drop_reason": pa.array(["too_old"] * count)}).select(
        DROPPED.names
    )


def sizes(run: Any) -> dict[str, int]:
    return {name: len(run.file(name)) for name in run.envelope("report").files if name.endswith(".html")}


def test_many_left_out_rows_become_pages_and_the_rest_a_sentence(tmp_path: Path) -> None:
    run = published(tmp_path, dropped=many_dropped(7_000, "\"<&>'" * 80))
    found = sizes(run)
    parts = sorted(name for name in found if "rows" in name)
    assert len(parts) >= 5
    assert found["reports/data_quality.html"] < INDEX_LIMIT
    assert max(found.values()) < PAGE_LIMIT
    soup = BeautifulSoup(run.file("reports/data_quality.html"), "html.parser")
    assert "All others stand in" in soup.get_text()
    assert soup.find("a", href="../etl/tier1/dropped.parquet")
    linked = {f"reports/{a['href']}" for a in soup.select("nav.pages a")}
    assert linked == set(parts)
    shown = sum(len(BeautifulSoup(run.file(name), "html.parser").select("tr[data-phase]")) for name in parts)
    assert shown == 5_000


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_million_rows_and_a_hundred_columns_stay_within_the_limits(tmp_path: Path) -> None:
    wide = {f"column_{n}": pa.array([None if n % 2 else "x"]).take(pa.array([0] * 1_000_000)) for n in range(100)}
    ids = pa.array([f"r{n}" for n in range(1_000_000)])
    run = published(
        tmp_path,
        dropped=many_dropped(1_000_000, "left out"),
        tier1=pa.table({"row_id": ids, **{k: v.cast(pa.string()) for k, v in wide.items()}}),
    )
    found = sizes(run)
    assert found["reports/data_quality.html"] < INDEX_LIMIT
    assert found["reports/pipeline_summary.html"] < INDEX_LIMIT
    assert max(found.values()) < PAGE_LIMIT


def test_a_damaged_artifact_is_said_not_shown(tmp_path: Path) -> None:
    run = published(tmp_path)
    place = tmp_path / "intelligence" / run.run_id / "tier1.parquet"
    place.write_bytes(place.read_bytes()[:-40])
    with pytest.raises(EnrichError, match="damaged"):
        make(Material.of(run), ["summary"], artifacts="")


def test_columns_that_hold_no_text_are_counted_too(tmp_path: Path) -> None:
    rows = [{**row, "tags": [], "ratio": float("nan")} for row in sample_rows()]
    table = table_of([{**row, "tags": ["x"]} for row in rows])
    run = published(tmp_path, tier1=table)
    content = report_type("quality").content(Material.of(run))
    tier1 = next(phase for phase in content.model_dump()["phases"] if phase["phase"] == "tier1")
    assert {"column": "ratio", "missing": 3} in tier1["missing"]
