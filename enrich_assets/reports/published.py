"""The reports that are published with a run, rendered from its report document and the artifacts before it."""

from __future__ import annotations

from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.graph import Graph
from enrich_assets.reading import Run
from enrich_assets.reports.kinds import PUBLISHED, files_of, make
from enrich_assets.reports.material import Material
from enrich_assets.store.store import Store


def reports_of(store: Store, graph: Graph, result: PhaseResult) -> dict[str, bytes]:
    """The files of the reports in PUBLISHED for the report that `result` holds, and `numbers.json`."""
    material = Material(Run(store, graph, result.run_id), result.document or {})
    return files_of(material, make(material, PUBLISHED, artifacts=".."))
