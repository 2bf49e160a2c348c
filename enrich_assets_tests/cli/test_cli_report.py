"""`enrich report` and `enrich check --numbers`, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enrich_assets_tests.reports.published_run import GRAPH, RUN_ID, publish_report, published


@pytest.fixture
def place(empty_place: Any, call: Callable[..., Any]) -> Any:
    """A place with one published run of the sample."""
    published(empty_place.storage)
    return empty_place


def test_all_reports_of_a_run_are_made_and_what_was_published_stays(place: Any, call: Callable[..., Any]) -> None:
    folder = place.storage / GRAPH.name / RUN_ID
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = call(place, "report", RUN_ID)
    assert done.exit_code == 0, done.output
    made = {path.name for path in (place.storage / "reports" / RUN_ID).iterdir()}
    assert made == {
        "report.md", "report.html", "articles.xlsx", "pipeline_summary.html", "data_quality.html", "full_report.pdf",
        "numbers.json",
    }  # fmt: skip
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert f"of run {RUN_ID}" in done.output


def test_types_folder_and_figures_are_chosen(place: Any, call: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "for monday"
    done = call(place, "report", RUN_ID, "--type", "summary, quality", "--no-eda", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {"pipeline_summary.html", "data_quality.html", "numbers.json"}
    page = (out / "pipeline_summary.html").read_text(encoding="utf-8")
    assert "data:image/svg+xml" not in page
    assert set(json.loads((out / "numbers.json").read_text())["reports"]) == {"summary", "quality"}
    assert (out / page.split('/tier1.parquet"')[0].rsplit('href="', 1)[1] / "tier1.parquet").resolve().is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("report", "nobody"), "the ledger lists no run, and 1 run is in the storage"),
        (("report", RUN_ID, "--type", "sumary"), "summary"),
        (("check", "--numbers"), "needs a RUN"),
    ],
)
def test_bad_requests_are_told_with_exit_code_2(
    place: Any, call: Callable[..., Any], arguments: tuple[str, ...], told: str
) -> None:
    done = call(place, *arguments)
    assert done.exit_code == 2
    assert told in done.output


def test_a_folder_that_is_a_file_is_refused(place: Any, call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    done = call(place, "report", RUN_ID, "--out", str(tmp_path / "taken"))
    assert done.exit_code == 2 and "is a file" in done.output
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


def test_numbers_that_agree_give_0_and_one_that_does_not_gives_1_and_its_name(
    place: Any, call: Callable[..., Any]
) -> None:
    done = call(place, "check", RUN_ID, "--numbers")
    assert done.exit_code == 0 and "0 disagree" in done.output
    from enrich_assets.reading import Run
    from enrich_assets.store.store import Store

    run = Run(Store(place.storage), GRAPH, RUN_ID)
    publish_report(run, summary={**run.document("report")["summary"], "articles_reported": 7})
    done = call(place, "check", RUN_ID, "--numbers")
    assert done.exit_code == 1
    assert "DISAGREES  news /summary/articles_reported says 7; validated · rows is 3." in done.output


def test_a_type_that_fails_is_named_and_does_not_stop_the_others(
    place: Any, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typst.compile", lambda *_, **__: (_ for _ in ()).throw(ValueError("no such paper")))
    done = call(place, "report", RUN_ID)
    assert done.exit_code == 1
    made = {path.name for path in (place.storage / "reports" / RUN_ID).iterdir()}
    assert made == {
        "report.md", "report.html", "articles.xlsx", "pipeline_summary.html", "data_quality.html", "numbers.json",
    }  # fmt: skip
    assert "Error: full: ValueError: no such paper" in done.stderr
    assert "--debug" in done.stderr


def test_the_version_is_said(call: Callable[..., Any]) -> None:
    from enrich_assets import __version__

    assert call(None, "--version").stdout == f"enrich_assets {__version__}\n"
