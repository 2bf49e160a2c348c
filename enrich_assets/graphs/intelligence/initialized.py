"""The first phase: the settings of the run, frozen, and the sources that it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.phase import table
from enrich_assets.stats.figures.document_bars import DocumentBars


class Settings(SettingsBase):
    """This phase has no settings of its own."""


@table(makes="document", settings=Settings, figures=[DocumentBars("rows", "kind", label="sources per kind")])
def initialized(registration: Mapping[str, Any]) -> dict[str, Any]:
    """The run's settings as they were registered: preset, overrides, prompts, the moment that counts as now.

    One document a run. Every other phase reads its settings here, and they never change: a "what if" is a new run
    like this one. Materialized again, it gives the same snapshot. Costs nothing.
    """
    sources = registration["settings"]["sources"]
    before = registration.get("sources_before", {})
    rows = [{"row_id": source["id"], **source, "before": before.get(source["id"])} for source in sources]
    return {**registration, "rows": rows}
