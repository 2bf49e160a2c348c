"""What a new run is told of the runs before it, frozen in its registration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from enrich_assets.core.errors import ArtifactError, DeclarationError, StorageError
from enrich_assets.engine.graph import Graph
from enrich_assets.store.store import Store

_HISTORY = ("scraped", "sources")
_RUNS_LOOKED_AT = 20
"""Runs before that are asked for a source; one that none of them read begins anew."""


def earlier(graph: Graph, store: Store, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The keys `earlier` and `sources_before` of a registration.

    `earlier`: what the newest complete runs reported, as many as `compare_with` says: run_id, title, canonical_url,
    content_hash, sketch of each article. `sources_before`: id of a source → listed, failed_in_row, last_new_at of the
    last run that read it.
    """
    wanted = {str(source["id"]): str(source["url"]) for source in settings.get("sources", ())}
    return {
        "earlier": _reported(graph, store, int(settings.get("compare_with", 0))),
        "sources_before": _sources_before(graph, store, wanted),
    }


def _reported(graph: Graph, store: Store, count: int) -> list[dict[str, Any]]:
    """What the newest complete runs reported: run_id, title, canonical_url, content_hash, sketch of each article."""
    known: list[dict[str, Any]] = []
    taken = 0
    for run_id in _newest_first(graph, store):
        if taken >= count:
            break
        try:
            document = store.load(graph.name, run_id, graph.last.name).document or {}
        except ArtifactError:
            continue
        if document.get("preset") in graph.sites:
            continue  # a site of our own writing: its articles are no news to anybody
        taken += 1
        for article in document.get("articles", ()):
            memory = {name: article.get(name) for name in ("title", "canonical_url", "content_hash", "sketch")}
            known.append({"run_id": run_id, **memory})
    return known


def _sources_before(graph: Graph, store: Store, wanted: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    phase, side = _HISTORY
    if phase not in graph.names or not wanted:
        return found
    for _, run_id in zip(range(_RUNS_LOOKED_AT), _newest_first(graph, store), strict=False):
        if len(found) == len(wanted):
            break
        try:
            rows = store.side(graph.name, run_id, phase, side).to_pylist()
        except (ArtifactError, DeclarationError, StorageError):
            continue
        for row in rows:
            # A source that points elsewhere now is another one; a run of before this was recorded says nothing.
            is_same = wanted.get(row["source_id"]) == row["url"] and "listed" in row
            if is_same and row["source_id"] not in found:
                moment = row["last_new_at"]
                found[row["source_id"]] = {
                    "run_id": run_id,
                    "listed": row["listed"] or [],
                    "failed_in_row": row["failed_in_row"],
                    "last_new_at": moment.isoformat() if moment else "",
                }
    return found


def _newest_first(graph: Graph, store: Store) -> Iterator[str]:
    return iter(sorted(store.runs(graph.name), reverse=True))
