"""What a new run is told of the runs before it, frozen in its registration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from enrich_assets.core.errors import ArtifactError, DeclarationError, StorageError
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.series import series_of
from enrich_assets.store.store import Store

_HISTORY = ("scraped", "sources")
_RUNS_LOOKED_AT = 20
"""Runs before that are asked for a source; one that none of them read begins anew."""


def earlier(graph: Graph, store: Store, ledger: Ledger, registered: Mapping[str, Any]) -> dict[str, Any]:
    """The keys `earlier` and `sources_before` of a registration, out of the runs of the same series.

    `earlier`: what the newest complete runs reported, as many as `compare_with` says: run_id, title, canonical_url,
    content_hash, sketch of each article. `sources_before`: id of a source → listed, failed_in_row, last_new_at of the
    last run that read it.
    """
    settings, before = registered["settings"], _Before(graph, store, ledger, series_of(registered))
    wanted = {str(source["id"]): str(source["url"]) for source in settings.get("sources", ())}
    return {
        "earlier": _reported(before, int(settings.get("compare_with", 0))),
        "sources_before": _sources_before(before, wanted),
    }


@dataclass(frozen=True)
class _Before:
    """The runs of one series that stand in the storage."""

    graph: Graph
    store: Store
    ledger: Ledger
    series: str

    def newest_first(self) -> Iterator[str]:
        """Their IDs."""
        known = {str(run["run_id"]): str(run["series"]) for run in self.ledger.runs(self.graph.name)}
        for run_id in reversed(self.store.runs(self.graph.name)):
            if (known[run_id] if run_id in known else self._frozen(run_id)) == self.series:
                yield run_id

    def _frozen(self, run_id: str) -> str | None:
        """What a run that the ledger does not know says itself."""
        try:
            return series_of(self.store.load(self.graph.name, run_id, self.graph.first.name).document or {})
        except ArtifactError:
            return None


def _reported(before: _Before, count: int) -> list[dict[str, Any]]:
    """What the newest complete runs reported: run_id, title, canonical_url, content_hash, sketch of each article."""
    graph, store = before.graph, before.store
    known: list[dict[str, Any]] = []
    taken = 0
    for run_id in before.newest_first():
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


def _sources_before(before: _Before, wanted: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    graph, store = before.graph, before.store
    found: dict[str, dict[str, Any]] = {}
    phase, side = _HISTORY
    if phase not in graph.names or not wanted:
        return found
    for _, run_id in zip(range(_RUNS_LOOKED_AT), before.newest_first(), strict=False):
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
