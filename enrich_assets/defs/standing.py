"""Where a run stands, read from what is published. No Dagster here, so that reading commands need none."""

from __future__ import annotations

from typing import Any

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactError
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.resume import Standing, standings
from enrich_assets.store.store import Store


def where_it_stands(graph: Graph, run_id: str, store: Store, *, every_file: bool = True) -> list[Standing]:
    """The standing of each phase of a run.

    With `every_file` each file is read and held against its hash; without, the envelopes alone are.
    """
    found = envelopes_of(graph, run_id, store, every_file=every_file)
    resolved: Any = None
    if isinstance(found[graph.first.name], Envelope):
        try:
            resolved = (store.load(graph.name, run_id, graph.first.name).document or {}).get("settings")
        except ArtifactError as error:
            found[graph.first.name] = error
    return standings(graph, found, resolved)


def envelopes_of(
    graph: Graph, run_id: str, store: Store, *, every_file: bool = True
) -> dict[str, Envelope | ArtifactError]:
    """The envelope of each phase, or the error that reading it gave."""
    read = store.verify if every_file else store.envelope
    found: dict[str, Envelope | ArtifactError] = {}
    for phase in graph.phases:
        try:
            found[phase.name] = read(graph.name, run_id, phase.name)
        except ArtifactError as error:
            found[phase.name] = error
    return found
