"""The reports of a run, rendered from its report document and the tables of its phases, to be published with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enrich_assets.core.errors import ArtifactError
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.job import Input
from enrich_assets.reports.render import ReportTables, render_reports
from enrich_assets.store.store import Store


def reports_of(store: Store, graph: Graph, result: PhaseResult, inputs: Mapping[str, Input]) -> dict[str, bytes]:
    """The files of the report that `result` holds: report.md, report.html, articles.xlsx."""
    main = graph.main_input(graph.last)
    kept = inputs[main.name].content() if main is not None and inputs[main.name].table is not None else []
    kept = [{"place": place, **row} for place, row in enumerate(sorted(kept, key=lambda row: row.get("rank") or 0), 1)]
    dropped, failed = [], []
    for phase in graph.before(graph.last):
        dropped += _with_phase(store, graph, result.run_id, phase.name, "dropped")
        failed += _with_phase(store, graph, result.run_id, phase.name, "failed")
    return render_reports(result.document or {}, tables=ReportTables(kept=kept, dropped=dropped, failed=failed))


def _with_phase(store: Store, graph: Graph, run_id: str, phase: str, side: str) -> list[dict[str, Any]]:
    try:
        rows = store.side(graph.name, run_id, phase, side).to_pylist()
    except ArtifactError:
        return []
    return [{"phase": phase, **row} for row in rows]
