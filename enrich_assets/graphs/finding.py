"""Which run is meant: an ID, a title, `latest` or `latest:SERIES`, looked up in the ledger, or in the storage alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from enrich_assets.core.errors import ArtifactError, UnknownRun
from enrich_assets.core.units import counted
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.series import LATEST, known_series, series_named, series_of
from enrich_assets.graphs.catalog import GRAPHS, graph_named
from enrich_assets.store.kept import read_kept
from enrich_assets.store.latest import started_at
from enrich_assets.store.store import Store

_NEWEST_LOOKED_AT = 100
"""Runs among which the one that started last is looked for: a late tick of a schedule begins a run of hours before."""


def find_run(store: Store, ledger: Ledger, reference: str) -> tuple[Graph, str]:
    """Graph and ID of the run that an ID, a title, `latest` or `latest:SERIES` means; raises UnknownRun.

    `latest` is the newest run by its start, or the one that somebody went back to, until another is begun. A run that
    stands in the storage and not in the ledger is found by its ID.
    """
    name = series_named(reference)
    if reference == LATEST or name:
        series = known_series(name, ledger.series()) if name else ""
        if newest := _newest(ledger, series):
            graph = graph_named(newest[0])
            return graph, _went_back(store, graph, newest[1], series)
    try:
        run_id = ledger.find_run(reference)
    except UnknownRun:
        for graph in GRAPHS.values():
            if reference in store.runs(graph.name):
                return graph, reference
        refuse_unlisted(store, ledger)
        raise
    known = ledger.run(run_id)
    if known is None:
        raise UnknownRun(f"the run {run_id} was removed just now.", fix="enrich runs lists the runs.")
    return graph_named(str(known["graph"])), run_id


def refuse_unlisted(store: Store, ledger: Ledger) -> None:
    """Raises UnknownRun where the storage has runs and the ledger lists none (`runs_unlisted`)."""
    if problem := runs_unlisted(store, ledger):
        raise problem


def runs_unlisted(store: Store, ledger: Ledger) -> UnknownRun | None:
    """What to say where the storage has runs and the ledger lists none: it was lost, or another one is named."""
    if ledger.runs(limit=1):
        return None
    found = sum(len(store.runs(graph.name)) for graph in GRAPHS.values())
    if not found:
        return None
    return UnknownRun(
        f"the ledger lists no run, and {counted(found, 'run')} {'is' if found == 1 else 'are'} in the storage.",
        where=str(store.root),
        fix="Put a copy of the ledger back, or name it with ENRICH_LEDGER_URL. Without one, enrich check lists the "
        "runs again from their folders; only the stored answers are lost.",
    )


def latest_complete(store: Store, graph: Graph, series: str = "") -> str | None:
    """The newest complete run by its start, of one series where it is named, or the one that somebody went back to.

    It is found in the storage alone. Raises UnknownRun for a series that no run belongs to.
    """
    if not series:
        return store.latest(graph.name) or next(_complete(store, graph), None)
    frozen = {run_id: frozen_series(store, graph, run_id) for run_id in store.runs(graph.name)}
    name = known_series(series, frozen.values())
    newest = next((run_id for run_id in _complete(store, graph) if frozen[run_id] == name), None)
    return _went_back(store, graph, newest, name) if newest else None


def latest_of(store: Store, graph: Graph, series: str) -> str | None:
    """As `latest_complete`; None for a series that no run belongs to any more."""
    try:
        return latest_complete(store, graph, series)
    except UnknownRun:
        return None


def frozen_series(store: Store, graph: Graph, run_id: str) -> str:
    """The series of a run as it froze it; empty where its settings cannot be read."""
    try:
        return series_of(store.load(graph.name, run_id, graph.first.name, even_blocked=True).document or {})
    except ArtifactError:
        return ""


def _newest(ledger: Ledger, series: str) -> tuple[str, str] | None:
    """Graph and ID of the run that started last."""
    found = [
        ((*started_at(str(run["run_id"]), datetime.fromisoformat(str(run["created_at"]))), -place), run)
        for place, run in enumerate(ledger.runs(series=series, limit=_NEWEST_LOOKED_AT))
    ]
    newest = max(found, key=lambda one: one[0], default=None)
    return None if newest is None else (str(newest[1]["graph"]), str(newest[1]["run_id"]))


def _complete(store: Store, graph: Graph) -> Iterator[str]:
    newest_first = reversed(store.runs(graph.name))
    return (run_id for run_id in newest_first if store.is_complete(graph.name, run_id, graph.names))


def _went_back(store: Store, graph: Graph, newest: str, series: str) -> str:
    """The run that somebody went back to since `newest` was there, else `newest`."""
    if not series:
        instead_of = store.latest_instead_of(graph.name)
        if instead_of and started_at(newest, None) <= started_at(instead_of, None):
            return store.latest(graph.name) or newest
        return newest
    for entry in reversed(read_kept(store.root, graph.name).rollbacks):
        if not entry["phase"] and entry.get("series") == series:
            is_newer = started_at(newest, None) > started_at(entry["newest"], None)
            return newest if is_newer or entry["after"] not in store.runs(graph.name) else entry["after"]
    return newest
