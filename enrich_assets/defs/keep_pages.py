"""Stored pages that nobody needs any more once runs are deleted. What needs one is asked of every run that stays.

A page stays while a run that stays mentions it (an article, the quote of a background, a source) or fetched it, and so
while it is in an archive: the pages themselves stay in `pages/`, so that `enrich forget` finds them in one place.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from enrich_assets.core.errors import ArtifactError
from enrich_assets.core.files import files_below, remove, remove_empty_folders
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.store.archive import ArchivedRun
from enrich_assets.store.store import Store
from enrich_assets.web.page_store import PageStore

_KEY = re.compile(r"[0-9a-f]{64}")


def pages_of(graph: Graph, run_id: str, store: Store) -> set[str]:
    """Keys of the stored pages that a run mentions, in its artifacts, their versions and side tables; an archive has
    them in its list. Raises ArtifactDamaged: of what cannot be read nobody knows what it needs."""
    folder = store.run_folder(graph.name, run_id)
    if isinstance(folder, ArchivedRun):
        return set(folder.catalog["pages"])
    keys: set[str] = set()
    for phase in store.phases(graph.name, run_id):
        envelope = store.envelope(graph.name, run_id, phase)
        versions = [one.artifact_id for one in store.versions(graph.name, run_id, phase)]
        loaded = [store.load(graph.name, run_id, phase, even_blocked=True)]
        loaded += [store.load_version(graph.name, run_id, phase, artifact_id) for artifact_id in versions]
        for one in loaded:
            _collect(one.document if one.table is None else one.table.to_pylist(), keys)
        for name in envelope.files:
            if name.startswith("etl/") and name.endswith(".parquet"):
                side = name.rsplit("/", 1)[-1].removesuffix(".parquet")
                _collect(store.side(graph.name, run_id, phase, side).to_pylist(), keys)
    return keys


def remove_unneeded(
    going: Collection[tuple[Graph, str]], staying: Collection[tuple[Graph, str]], store: Store, ledger: Ledger
) -> int:
    """Removes the pages, with their texts and page answers, that runs which are going or gone fetched or mention, and
    that no run which stays fetched or mentions; gives how many.

    The page answers go last: by them a later call knows what runs that are gone had fetched. Raises StorageError,
    ArtifactDamaged.
    """
    candidates, needed = set[str](), set[str]()
    for graph, run_id in going:
        candidates |= _mentioned_by(graph, run_id, store)
    # Requests without a run are those of `enrich sources`; runs of graphs that this project has not are listed too.
    stays = {"", *(run_id for _, run_id in staying)}
    stays |= {str(run["run_id"]) for run in ledger.runs()} - {run_id for _, run_id in going}
    answers: dict[str, set[int]] = {}
    for answer in ledger.answers("page"):
        key = answer.content.get("sha256") if isinstance(answer.content, dict) else None
        if isinstance(key, str) and _KEY.fullmatch(key):
            answers.setdefault(key, set()).add(answer.id)
            (needed if answer.run_id in stays else candidates).add(key)
    if candidates <= needed:
        return 0
    for graph, run_id in staying:
        needed |= pages_of(graph, run_id, store)
    unneeded, pages, removed = sorted(candidates - needed), PageStore(store.root), 0
    for key in unneeded:
        texts = store.root / "texts" / key[:2] / key
        for path in files_below(texts):
            remove(path)
            remove_empty_folders(path.parent, up_to=store.root)
        removed += pages.remove(key)
    ledger.remove_answers({answer for key in unneeded for answer in answers.get(key, ())})
    return removed


def _mentioned_by(graph: Graph, run_id: str, store: Store) -> set[str]:
    """As `pages_of`, of a run that goes: what cannot be read of it is passed over."""
    try:
        return pages_of(graph, run_id, store)
    except ArtifactError:
        return set()


def _collect(value: Any, keys: set[str]) -> None:
    if isinstance(value, str):
        if len(value) == 64 and _KEY.fullmatch(value):
            keys.add(value)
    elif isinstance(value, dict):
        for item in value.values():
            _collect(item, keys)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, keys)
