"""A new phase is one file and one line: written here, put between tier3 and ranked, and found everywhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.defs.build import build_definitions
from enrich_assets.defs.findings import NOTHING_STANDS_OUT
from enrich_assets.engine.graph import Graph
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room

MODULE = '''
"""Shorter titles first."""

from __future__ import annotations

from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Check, Drop, Selection, table


class Settings(SettingsBase):
    """How long a title may be."""

    longest: int = 70
    """Characters."""


def titles_are_short(result, settings):
    """No title is longer than allowed."""
    lengths = result.table.column("title_characters").to_pylist()
    return None if max(lengths) <= settings.longest else f"a title has {max(lengths)} characters"


@table(
    settings=Settings,
    adds={"title_characters": Column(int, "length of the title, characters")},
    checks=[Check("titles_are_short", titles_are_short)],
)
def titled(articles, settings):
    """One row an article whose title fits on one line. Costs nothing."""
    kept, dropped = [], {}
    for article in articles:
        length = len(article["title"])
        if length > settings.longest:
            dropped[article["row_id"]] = Drop("long_title", length)
        else:
            kept.append({"row_id": article["row_id"], "title_characters": length})
    return Selection(kept=kept, dropped=dropped)
'''


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    (tmp_path / "phase_titled.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    titled: Any = importlib.import_module("phase_titled").titled
    phases = [phase.function for phase in INTELLIGENCE.phases]
    phases.insert(INTELLIGENCE.names.index("tier3") + 1, titled)
    yield Graph(
        INTELLIGENCE.name,
        phases,
        shared=INTELLIGENCE.shared,
        prefixed=False,
        sites=INTELLIGENCE.sites,
        description=INTELLIGENCE.description,
    )
    sys.modules.pop("phase_titled", None)


def test_the_new_phase_is_an_asset_like_the_others(graph: Graph) -> None:
    assets = build_definitions(graphs=[graph]).resolve_asset_graph()
    titled, ranked = assets.get(dg.AssetKey("titled")), assets.get(dg.AssetKey("ranked"))
    schema = titled.metadata["dagster/column_schema"]

    assert titled.parent_keys == {dg.AssetKey("tier3")}
    assert ranked.parent_keys == {dg.AssetKey("titled")}
    assert titled.description == "One row an article whose title fits on one line. Costs nothing."
    assert titled.group_name == "intelligence"
    assert titled.code_version
    columns = {column.name: column.description for column in schema.columns}
    assert columns["title_characters"] == "length of the title, characters"
    assert {"tier3_score", "row_id"} <= set(columns)
    checks = {check.name: assets.get_check_spec(check).description for check in titled.check_keys}
    assert checks["titles_are_short"] == "No title is longer than allowed."
    assert set(checks) == {"titles_are_short", NOTHING_STANDS_OUT}
    assert "intelligence_from_titled" in {job.name for job in build_definitions(graphs=[graph]).resolve_all_job_defs()}


def test_the_new_phase_runs_counts_and_stands_in_the_reports_funnel(graph: Graph, room: Room) -> None:
    run_id = room.begin(graph, preset="demo", overrides=["titled.longest=65"])
    launched = room.execute(run_id, graph=graph)
    envelope = room.envelope("titled", run_id)
    report = room.store.load(graph.name, run_id, "report").document or {}
    (step,) = [step for step in report["funnel"] if step["phase"] == "titled"]
    with room.ledger() as ledger:
        (view,) = [phase for phase in ledger.phases(run_id) if phase["phase"] == "titled"]
    metadata = room.materialization("titled", run_id).metadata

    assert launched.succeeded, launched.failure
    assert envelope.number == 6
    assert envelope.counts.rows_in == 40
    assert envelope.counts.dropped_by_reason == {"long_title": envelope.counts.dropped}
    assert 0 < envelope.counts.dropped < 40
    assert [(check.name, check.passed) for check in envelope.checks] == [("titles_are_short", True)]
    assert (step["rows_in"], step["rows_out"]) == (40, envelope.counts.kept)
    assert (view["rows_in"], view["rows_out"], view["number"]) == (40, envelope.counts.kept, 6)
    assert metadata["dropped/long_title"].value == envelope.counts.dropped
    assert room.envelope("ranked", run_id).counts.rows_in == envelope.counts.kept
    table = room.store.load(graph.name, run_id, "report")
    assert all(len(article["title"]) <= 65 for article in (table.document or {})["articles"])
    assert "titled" in (room.home / "data" / graph.name / run_id / "reports" / "report.md").read_text(encoding="utf-8")
