"""The news: the report's articles with scores, evidence, sources and costs, as Markdown, page and workbook."""

from __future__ import annotations

from typing import Any

from enrich_assets.core.errors import ArtifactError
from enrich_assets.graphs.intelligence.report_content import ReportContent
from enrich_assets.reports.kinds import Rendering, ReportType
from enrich_assets.reports.material import Material
from enrich_assets.reports.render import ReportTables, render_reports


def _content(material: Material) -> ReportContent:
    return material.news


def _files(content: ReportContent, rendering: Rendering) -> dict[str, bytes]:
    return render_reports(content, tables=_tables(rendering.material))


def _tables(material: Material) -> ReportTables:
    graph = material.run.graph
    main = graph.main_input(graph.last)
    rows = material.run.arrow(main.name).to_pylist() if main is not None and main.makes == "table" else []
    ordered = sorted(rows, key=lambda row: row.get("rank") or 0)
    return ReportTables(
        kept=[{"place": place, **row} for place, row in enumerate(ordered, 1)],
        dropped=[row for phase in material.envelopes for row in _left_out(material, phase, "dropped")],
        failed=[row for phase in material.envelopes for row in _left_out(material, phase, "failed")],
    )


def _left_out(material: Material, phase: str, side: str) -> list[dict[str, Any]]:
    try:
        rows = material.side(phase, side).to_pylist()
    except ArtifactError:
        return []
    return [{"phase": phase, **row} for row in rows]


REPORT = ReportType(
    name="news",
    title="the articles with scores, evidence, sources and costs: report.md, report.html, articles.xlsx",
    content=_content,
    files=_files,
    own="report",
)
