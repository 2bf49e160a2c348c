"""Every number of a report leads back to its artifact, and one that does not agree is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing
from enrich_assets.reports.checking import check_numbers
from enrich_assets.reports.material import Material
from enrich_assets.reports.numbers import Number, page_of, shown_wrongly
from enrich_assets_tests.reports.published_run import (
    GRAPH,
    RUN_ID,
    phase_result,
    publish_report,
    published,
    sample_rows,
    sample_sources,
    table_of,
)


def republish(run: Any, phase: str, change: Any) -> None:
    """Writes a phase's artifact again, validly, with another table; everything else of it stays."""
    rows = change(run.arrow(phase).to_pylist())
    sides = {"sources": run.store.side(GRAPH.name, RUN_ID, "scraped", "sources")} if phase == "scraped" else {}
    run.store.publish(phase_result(phase, table=table_of(rows), sides=sides))


def test_every_number_of_a_run_agrees_with_its_artifacts(tmp_path: Path) -> None:
    found = check_numbers(published(tmp_path))
    assert found.disagree == []
    assert found.numbers >= 400
    assert found.shown >= 300


def test_a_changed_artifact_is_named_with_both_values(tmp_path: Path) -> None:
    run = published(tmp_path)
    republish(run, "scraped", lambda rows: [{**rows[0], "impact": 1.25}, *rows[1:]])
    told = check_numbers(run).disagree
    assert [line for line in told if "scraped · impact · 0000000000000001 is 1.25" in line and "7.79" in line]


def test_a_row_that_is_gone_and_a_count_that_is_another_are_named(tmp_path: Path) -> None:
    run = published(tmp_path)
    republish(run, "validated", lambda rows: rows[1:])
    told = check_numbers(run).disagree
    assert any("/summary/articles_reported says 3; validated · rows is 2" in line for line in told)
    republish(run, "scraped", lambda rows: rows[1:])
    assert any("scraped has no row '0000000000000001'" in line for line in check_numbers(run).disagree)


def test_a_changed_number_in_the_report_is_named(tmp_path: Path) -> None:
    run = published(tmp_path)
    document = run.document("report")
    summary = {**document["summary"], "articles_reported": 4}
    publish_report(run, summary=summary)
    told = check_numbers(run).disagree
    assert told == ["news /summary/articles_reported says 4; validated · rows is 3."]


def test_a_changed_number_in_a_page_or_in_the_sidecar_is_named(tmp_path: Path) -> None:
    run = published(tmp_path)
    html = run.file("reports/pipeline_summary.html").decode()
    listed = [Number.from_json(e) for e in json.loads(run.file("reports/numbers.json"))["reports"]["summary"]]
    origin = 'title="scraped · envelope.counts.rows_out">'
    changed = html.replace(f"{origin}4<", f"{origin}5<")
    assert changed != html
    told = list(shown_wrongly("p.html", page_of(changed), {number.pointer: number for number in listed}))
    assert told[0] == "p.html shows '5' for /records, which is 4."
    told = list(shown_wrongly("p.html", page_of(html), {}))
    assert "p.html shows '4' for '/records', no number of the report 'summary'." in told
    _publish_files(run, {"pipeline_summary.html": changed.encode()})
    assert "reports/pipeline_summary.html shows '5' for /records, which is 4." in check_numbers(run).disagree
    sidecar = run.file("reports/numbers.json").decode().replace('"value": 4,', '"value": 44,', 1)
    _publish_files(run, {"numbers.json": sidecar.encode()})
    assert any("44" in line for line in check_numbers(run).disagree)
    _publish_files(run, {"numbers.json": b"[]"})
    assert any("it is no list of numbers" in line for line in check_numbers(run).disagree)


def _publish_files(run: Any, files: dict[str, bytes]) -> None:
    names = [name for name in run.envelope("report").files if name.startswith("reports/")]
    kept = {name.removeprefix("reports/"): run.file(name) for name in names}
    run.store.publish(phase_result("report", document=run.document("report")), reports=kept | files)


def test_a_report_that_does_not_match_its_hash_is_refused(tmp_path: Path) -> None:
    run = published(tmp_path)
    file = tmp_path / GRAPH.name / RUN_ID / "report.json"
    file.write_text(file.read_text().replace('"articles_reported": 3', '"articles_reported": 9'))
    with pytest.raises(ArtifactDamaged):
        check_numbers(run)


def test_a_run_without_a_report_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="no report yet"):
        check_numbers(published(tmp_path, with_report=False))


def test_every_number_in_a_page_carries_artifact_field_and_row(tmp_path: Path) -> None:
    run = published(tmp_path)
    soup = BeautifulSoup(run.file("reports/report.html"), "html.parser")
    score = soup.find("article").find("span", attrs={"data-number": "/articles/0/scores/impact"})
    assert score["data-origin"] == "scraped · impact · 0000000000000001"
    listed = json.loads(run.file("reports/numbers.json"))["reports"]
    assert set(listed) == {"news", "summary", "quality"}
    assert set(listed["news"][0]) == {"pointer", "value", "artifact", "field", "row_id"}
    for name in ("report", "pipeline_summary", "data_quality"):
        page = BeautifulSoup(run.file(f"reports/{name}.html"), "html.parser")
        shown = page.find_all(attrs={"data-number": True})
        assert shown and all(tag["data-origin"] for tag in shown)


def test_the_news_tell_copies_and_how_sources_fare(tmp_path: Path) -> None:
    run = published(tmp_path)
    soup = BeautifulSoup(run.file("reports/report.html"), "html.parser")
    assert "1 copy left out. Also at: Echo." in " ".join(soup.find("p", class_="also").get_text().split())
    markdown = run.file("reports/report.md").decode()
    assert "Also at: [Echo](https://b.example/x)" in markdown
    assert "| 2 | 8 | 1 | 2 November 2026 | 50 % | 2 entries in error (http 404) |" in markdown
    assert "failed 1 run in a row" in markdown


def test_a_source_table_of_before_source_health_gives_dashes_and_no_origin(tmp_path: Path) -> None:
    bare = [
        {k: v for k, v in row.items() if k not in ("new_items", "failed_in_row", "errors")} for row in sample_sources()
    ]
    run = published(tmp_path, sources=bare, rows=sample_rows())
    assert check_numbers(run).disagree == []
    assert Material.of(run).news.sources[0].new_items is None
