"""The demo run as Dagster carries it out: what happens to its rows, what the UI is told, and that it repeats itself."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from dagster import MarkdownMetadataValue

from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room

DROPPED = {
    "scraped": {"no_text", "not_html", "listed_twice"},
    "tier1": {
        "wrong_language", "too_short", "too_old", "no_keyword", "excluded_keyword", "exact_duplicate",
        "near_duplicate", "already_reported",
    },
    "tier2": {"below_threshold", "no_category"},
    "tier3": {"below_threshold", "beyond_limit"},
    "ranked": {"source_cap", "category_cap", "beyond_limit"},
    "paraphrased": {"too_little_prose"},
    "validated": {"prompt_leftover"},
}  # fmt: skip
NUMBERS = {
    "rows_in", "kept", "dropped", "failed", "duration_seconds", "model_calls", "page_requests", "search_requests",
    "answers_reused", "tokens", "cost_usd", "retries", "outliers", "validation_errors", "duplicates", "missing",
    "peak_memory_mb",
}  # fmt: skip


def test_every_reason_to_drop_a_row_occurs(demo: Room) -> None:
    found = {name: set(demo.envelope(name).counts.dropped_by_reason) for name in INTELLIGENCE.names}

    assert {name: reasons for name, reasons in found.items() if reasons} == DROPPED


def test_every_row_is_kept_dropped_or_failed_and_comes_from_the_phase_before(demo: Room) -> None:
    counts = {name: demo.envelope(name).counts for name in INTELLIGENCE.names}

    assert [counts[name].rows_out for name in ("scraped", "tier1", "tier2", "tier3", "ranked")] == [82, 58, 51, 40, 20]
    assert [counts[name].rows_out for name in ("paraphrased", "enriched", "validated")] == [19, 19, 18]
    for before, after in zip(INTELLIGENCE.names[1:], INTELLIGENCE.names[2:], strict=False):
        assert counts[after].rows_in == counts[before].rows_out, after
    for name, one in counts.items():
        if name != "scraped":
            assert one.rows_in == one.kept + one.dropped + one.failed, name
        for side, expected in (("dropped", one.dropped_by_reason), ("failed", one.failed_by_kind)):
            table = demo.store.side(INTELLIGENCE.name, demo.run_id, name, side)
            assert table.num_rows == sum(expected.values()), f"{name}/{side}"


def test_the_report_has_15_to_20_articles_and_one_of_each_category(demo: Room) -> None:
    report = demo.store.load(INTELLIGENCE.name, demo.run_id, "report").document or {}
    settings = (demo.store.load(INTELLIGENCE.name, demo.run_id, "initialized").document or {})["settings"]
    per_category = Counter(article["category"] for article in report["articles"])

    assert 15 <= len(report["articles"]) <= 20
    assert set(per_category) == {category["id"] for category in settings["categories"]}


def test_ten_backgrounds_stand_on_another_page_and_some_names_are_said_to_be_unsupported(demo: Room) -> None:
    rows = demo.store.load(INTELLIGENCE.name, demo.run_id, "validated").table.to_pylist()  # type: ignore[union-attr]
    entities = [(row["url"], entity) for row in rows for entity in row["entities"]]
    supported = {e["name"]: e["url"] for url, e in entities if e["grade"] == "supported" and e["url"] != url}
    unsupported = {e["name"] for _, e in entities if e["grade"] == "unsupported"}

    assert len(supported) >= 10
    assert all(url.startswith("http://") for url in supported.values())
    # The names that the demo's articles mention and no page of it explains.
    assert unsupported & {"Vantry Dynamics", "Jonas Elbaum", "Project Halcyon"} and len(unsupported) >= 2


def test_a_source_that_is_down_is_listed_and_the_run_goes_on(demo: Room) -> None:
    sources = demo.store.side(INTELLIGENCE.name, demo.run_id, "scraped", "sources").to_pylist()
    (mirror,) = [source for source in sources if source["source_id"] == "quiet_mirror"]
    report = demo.store.load(INTELLIGENCE.name, demo.run_id, "report").document or {}

    assert mirror["status"] == "failed"
    assert demo.envelope("scraped").counts.failed_by_kind == {"http_404": 1, "http_503": 1}
    assert "Quiet Mirror" in str(report["sources"])


def test_a_second_demo_run_has_the_same_data_in_every_phase(demo_copy: Room) -> None:
    second = demo_copy.begin(preset="demo")
    launched = demo_copy.execute(second)
    first, again = demo_copy.hashes(), demo_copy.hashes(second)

    assert launched.succeeded, launched.failure
    # These two name the run itself: its ID and the moment from which stored pages count.
    own = {"initialized", "report"}
    assert {name for name in first if first[name] != again[name]} <= own


def test_a_materialization_tells_numbers_under_stable_keys_rows_and_figures_in_place(demo: Room) -> None:
    for phase in INTELLIGENCE.phases:
        metadata = demo.materialization(phase.name).metadata
        in_place = [
            v.md_str for name, v in metadata.items() if isinstance(v, MarkdownMetadataValue) and name != "picture"
        ]
        figures = [name for name in metadata if name.startswith("figure/")]

        assert metadata.keys() >= NUMBERS, phase.name
        assert all(len(text) < 1000 for text in in_place), phase.name
        assert Path(str(metadata["path"].value)).is_file()
        # Where a whole run costs nothing, its costs are no picture.
        assert len(figures) == len(phase.figures) - (phase.name == "report"), phase.name
        assert str(metadata["picture"].value).startswith("![") and len(str(metadata["picture"].value)) < 41_000
        assert Path(str(metadata["etl"].value)).is_dir() and Path(str(metadata["eda"].value)).is_dir()
        if phase.makes == "table":
            assert metadata["dagster/row_count"].value == demo.envelope(phase.name).counts.rows_out
            assert "first_rows" in metadata
            assert metadata["quality_score"].value == round(demo.envelope(phase.name).counts.quality_score or -1, 4)
        assert metadata["dropped"].value == sum(
            int(str(value.value)) for name, value in metadata.items() if name.startswith("dropped/")
        )


def test_the_rendered_reports_are_linked_from_the_materialization(demo: Room) -> None:
    metadata = demo.materialization("report").metadata
    linked = {name.removeprefix("report/"): v.value for name, v in metadata.items() if name.startswith("report/")}

    assert {"report.md", "report.html", "articles.xlsx"} <= set(linked)
    assert all(Path(str(path)).is_file() for path in linked.values())


def test_the_data_version_is_the_hash_in_the_envelope(demo: Room) -> None:
    for name in INTELLIGENCE.names:
        tags = demo.materialization(name).tags or {}
        assert tags["dagster/data_version"] == demo.envelope(name).data_sha256, name


def test_every_declared_check_was_evaluated_for_the_run(demo: Room) -> None:
    from enrich_assets.defs.build import build_definitions

    keys = build_definitions().resolve_asset_graph().asset_check_keys
    latest = demo.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))

    assert {key.asset_key.to_user_string() for key in keys} == {
        "scraped", "tier1", "tier2", "tier3", "ranked", "paraphrased", "enriched", "validated",
    }  # fmt: skip
    for key in keys:
        assert latest[key].status.value == "SUCCEEDED", key
        evaluation = latest[key].event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
        assert evaluation.partition == demo.run_id, key


def test_the_event_log_of_a_run_stays_small(demo_home: tuple[Path, str]) -> None:
    home, _ = demo_home
    size = sum(
        (Path(folder) / name).stat().st_size
        for part in ("history", "schedules", "storage")
        for folder, _, names in os.walk(home / part)
        for name in names
    )
    assert size < 3_000_000


@pytest.mark.parametrize("name", ["tier1", "tier2", "tier3"])
def test_scores_lie_within_their_scale(demo: Room, name: str) -> None:
    scores = demo.store.load(INTELLIGENCE.name, demo.run_id, name).table.column(f"{name}_score").to_pylist()  # type: ignore[union-attr]

    assert all(0 <= score <= 10 for score in scores)
    assert len(set(scores)) > 10


def test_a_launch_loads_one_input_a_phase(demo: Room) -> None:
    (run,) = demo.instance.get_runs()
    loaded = [
        (event.step_key, event.event_specific_data.upstream_step_key)
        for record in demo.instance.all_logs(run.run_id)
        if (event := record.dagster_event) is not None and event.event_type_value == "LOADED_INPUT"
    ]
    assert loaded == list(zip(INTELLIGENCE.names[1:], INTELLIGENCE.names, strict=False))


def test_a_phase_and_a_late_reader_of_its_record_run_in_the_order_of_the_graph(demo_copy: Room) -> None:
    launched = demo_copy.execute(demo_copy.run_id, ["report", "scraped"])
    run = demo_copy.instance.get_runs(limit=1)[0]
    started = [
        record.dagster_event.step_key
        for record in demo_copy.instance.all_logs(run.run_id)
        if record.dagster_event is not None and record.dagster_event.event_type_value == "STEP_START"
    ]
    assert launched.succeeded, launched.failure
    assert started == ["scraped", "report"]
