"""What the embedded index holds: the articles that this storage had scraped when a run began, its own first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain, islice

import pyarrow as pa

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactError, StorageError
from enrich_assets.engine.graph import RunInfo
from enrich_assets.store.store import Store
from enrich_assets.web.search_index import IndexedPage

SCRAPED = "scraped"
"""The phase whose articles are indexed, in every graph that has it."""
_COLUMNS = ("canonical_url", "title", "text")


def documents(
    store: Store,
    graphs: Iterable[str],
    run: RunInfo,
    own: pa.Table | None,
    *,
    limit: int,
    without_presets: Collection[str] = (),
) -> Iterator[IndexedPage]:
    """At most `limit` articles: the run's own (`own` is its scraped table), then earlier runs', the newest run first.

    Earlier is a run whose `as_of` is not later, by what it had published when this one began (`fresh_from`; for a run
    like another one, when that began). So a run finds what it found the first time, however many were published
    meanwhile. Runs are ordered by their `as_of`, then by graph and ID; those of `without_presets`, and those whose
    settings or articles are missing or damaged, are passed over.
    """
    earlier = (
        table
        for _, graph, run_id in sorted(_earlier_runs(store, graphs, run, without_presets), reverse=True)
        if (table := _articles(store, graph, run_id, run.fresh_from)) is not None
    )
    return islice((page for table in chain([] if own is None else [own], earlier) for page in _pages(table)), limit)


def _earlier_runs(
    store: Store, graphs: Iterable[str], run: RunInfo, without_presets: Collection[str]
) -> Iterator[tuple[datetime, str, str]]:
    for graph in graphs:
        for run_id in store.runs(graph):
            if (graph, run_id) == (run.graph, run.run_id):
                continue
            try:
                registered = store.load(graph, run_id, "initialized").document or {}
                as_of = datetime.fromisoformat(registered["as_of"])
            except (ArtifactError, StorageError, KeyError, ValueError):
                continue
            if as_of <= run.as_of and registered.get("preset") not in without_presets:
                yield as_of, graph, run_id


def _articles(store: Store, graph: str, run_id: str, moment: datetime) -> pa.Table | None:
    try:
        return _table_until(store, graph, run_id, moment)
    except (ArtifactError, StorageError):
        return None


def _table_until(store: Store, graph: str, run_id: str, moment: datetime) -> pa.Table | None:
    """The run's articles as they stood at that moment; None where there were none yet."""
    if _published(store.envelope(graph, run_id, SCRAPED)) <= moment:
        return store.load(graph, run_id, SCRAPED, even_blocked=True).table
    # Made again since: what stood before is among the versions.
    for envelope in store.versions(graph, run_id, SCRAPED):
        if _published(envelope) <= moment:
            return store.load_version(graph, run_id, SCRAPED, envelope.artifact_id).table
    return None


def _published(envelope: Envelope) -> datetime:
    return envelope.started_at + timedelta(seconds=envelope.duration_seconds)


def _pages(table: pa.Table) -> Iterator[IndexedPage]:
    columns: Sequence[Sequence[str | None]] = [table.column(name).to_pylist() for name in _COLUMNS]
    for url, title, text in zip(*columns, strict=True):
        if url:
            yield IndexedPage(url, title or "", text or "")
