"""Which run is meant: an ID, a title or `latest`, looked up in the ledger and, where it knows none, in the storage."""

from __future__ import annotations

from enrich_assets.core.errors import UnknownRun
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.catalog import GRAPHS, graph_named
from enrich_assets.store.latest import started_at
from enrich_assets.store.store import Store


def find_run(store: Store, ledger: Ledger, reference: str) -> tuple[Graph, str]:
    """Graph and ID of the run that an ID, a title or `latest` means; raises UnknownRun.

    `latest` is the newest run, or the one that somebody went back to, until another is begun. A run that stands in the
    storage and not in the ledger is found by its ID.
    """
    try:
        run_id = ledger.find_run(reference)
    except UnknownRun:
        for graph in GRAPHS.values():
            if reference in store.runs(graph.name):
                return graph, reference
        raise
    known = ledger.run(run_id)
    if known is None:
        raise UnknownRun(f"the run {run_id} was removed just now.", fix="enrich runs lists the runs.")
    graph = graph_named(str(known["graph"]))
    return graph, _went_back(store, graph.name, run_id) if reference == "latest" else run_id


def _went_back(store: Store, graph: str, newest: str) -> str:
    instead_of = store.latest_instead_of(graph)
    if instead_of and started_at(newest, None) <= started_at(instead_of, None):
        return store.latest(graph) or newest
    return newest
