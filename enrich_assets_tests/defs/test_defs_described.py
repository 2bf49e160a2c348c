"""Each phase of a run says how its data was made (etl) and what it looks like (eda), and the two never mix."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets.stats.redraw import drawn_again
from enrich_assets_tests.defs.conftest import Room

ETL = {"dropped.parquet", "failed.parquet", "outliers.parquet", "validation_errors.parquet", "stats.json", "log.jsonl"}
PROFILE = {"profile.parquet", "profile.json"}
NUMBERS = {"quality_score", "memory", "outliers", "duplicates", "missing", "validation_errors", "counts", "usage"}


def folder_of(demo: Room) -> Path:
    return demo.home / "data" / INTELLIGENCE.name / demo.run_id


def test_every_phase_has_etl_files_and_eda_files_and_they_do_not_mix(demo: Room) -> None:
    for phase in INTELLIGENCE.phases:
        etl = {path.name for path in (folder_of(demo) / "etl" / phase.name).iterdir()}
        eda = {path.name for path in (folder_of(demo) / "eda" / phase.name).iterdir()}
        drawn = {f"{figure.name}.{form}" for figure in phase.figures for form in ("svg", "png")}
        assert etl == ETL | {f"{side}.parquet" for side in phase.sides}, phase.name
        assert phase.figures and eda == PROFILE | drawn, phase.name


def test_the_manifest_lists_all_of_them_with_kind_and_description(demo: Room) -> None:
    listed = {
        entry["name"]: entry for entry in json.loads((folder_of(demo) / "manifest.json").read_text("utf-8"))["files"]
    }
    for area in ("etl", "eda"):
        for path in (folder_of(demo) / area).rglob("*.*"):
            entry = listed[path.relative_to(folder_of(demo)).as_posix()]
            assert entry["bytes"] == path.stat().st_size and len(entry["description"]) > 10
            assert not entry["description"].startswith("side table") or path.name == "sources.parquet"
    assert {e["kind"] for name, e in listed.items() if name.endswith((".png", ".svg"))} == {"plot"}


def test_the_numbers_are_those_of_the_tables(demo: Room) -> None:
    for name in INTELLIGENCE.names:
        etl = folder_of(demo) / "etl" / name
        stats = json.loads((etl / "stats.json").read_text("utf-8"))
        assert stats.keys() >= NUMBERS, name
        assert stats["outliers"]["values"] == pq.read_metadata(etl / "outliers.parquet").num_rows
        assert stats["validation_errors"]["errors"] == pq.read_metadata(etl / "validation_errors.parquet").num_rows
        note = demo.envelope(name).notes["etl"]
        assert note["outliers"] == stats["outliers"]["rows"]
        assert note["peak_memory_bytes"] == stats["memory"]["peak_bytes"] > 10_000_000
    stats = json.loads((folder_of(demo) / "etl/tier1/stats.json").read_text("utf-8"))
    assert set(stats["duplicates"]["dropped"]) == {"exact_duplicate", "near_duplicate"}
    scraped, tier1 = (demo.envelope(name).counts.rows_out for name in ("scraped", "tier1"))
    assert (stats["missing"]["rows_before"], stats["missing"]["rows_after"]) == (scraped, tier1)


def test_what_was_quarantined_is_a_validation_error_of_its_row(demo: Room) -> None:
    etl = folder_of(demo) / "etl/validated"
    dropped = pq.read_table(etl / "dropped.parquet").to_pylist()
    errors = pq.read_table(etl / "validation_errors.parquet").to_pylist()
    assert dropped and {(r["row_id"], r["drop_reason"], "quarantined") for r in dropped} == {
        (r["row_id"], r["rule"], r["outcome"]) for r in errors
    }


def test_the_log_begins_ends_and_tells_of_retries(demo: Room) -> None:
    for name in INTELLIGENCE.names:
        log = (folder_of(demo) / f"etl/{name}/log.jsonl").read_text("utf-8")
        lines = [json.loads(line) for line in log.splitlines()]
        assert lines[0]["event"] == "started" and lines[0]["phase"] == name
        assert lines[-1]["event"] == "ended" and lines[-1]["rows_out"] == demo.envelope(name).counts.rows_out
        retries = sum(line["event"] in ("retry", "asked_again") for line in lines)
        assert retries == demo.envelope(name).usage.retries


def test_a_profile_has_a_row_for_each_column_of_the_artifact(demo: Room) -> None:
    for phase in INTELLIGENCE.phases:
        profile = pq.read_table(folder_of(demo) / f"eda/{phase.name}/profile.parquet").to_pylist()
        if phase.makes == "table":
            envelope = demo.envelope(phase.name)
            assert {row["column"] for row in profile} == set(envelope.columns)
            assert all(row["rows"] == envelope.counts.rows_out for row in profile)
            assert all(row["description"] for row in profile if row["column"] != "row_id")
        else:
            assert {"rows", "articles"} & {row["column"] for row in profile}


def test_a_figure_is_drawn_again_from_the_artifact_with_more_dots(demo: Room) -> None:
    for phase in INTELLIGENCE.phases:
        for figure in phase.figures:
            _, files = drawn_again(demo.store, INTELLIGENCE, demo.run_id, figure.name, dpi=300, phase_name=phase.name)
            name = f"{figure.name}.svg"
            assert files[name] == (folder_of(demo) / "eda" / phase.name / name).read_bytes()
            assert Image.open(io.BytesIO(files[f"{figure.name}.png"])).width == 1920
