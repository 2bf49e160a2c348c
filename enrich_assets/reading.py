"""The read API, for notebooks and scripts: what a run published, verified and as pandas tables. It writes nothing.

    from enrich_assets import open_run

    run = open_run("latest")
    run.table("ranked")

Belongs here: opening a run by name and reading what it holds. Publishing belongs to `store`, running to `defs` and the
command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import (
    ArtifactDamaged,
    ArtifactError,
    ArtifactMissing,
    UnknownPhase,
    UnknownRun,
    UserError,
)
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.series import LATEST, series_named, series_of
from enrich_assets.graphs.catalog import graph_named
from enrich_assets.graphs.finding import latest_complete
from enrich_assets.store.artifacts import Loaded
from enrich_assets.store.root import storage_name
from enrich_assets.store.store import Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def open_run(
    reference: str = LATEST, *, graph: str = "intelligence", storage: str | os.PathLike[str] | None = None
) -> Run:
    """The run of an ID, of a title (the newest that has it), or the newest complete one: `latest`, of one series
    `latest:SERIES`.

    `storage` is a folder or URL; without it ENRICH_STORAGE, else ./data. Raises UnknownRun, StorageError.
    """
    store = _store(storage)
    known = graph_named(graph)
    return Run(store, known, _run_id(reference, known, store))


def open_runs(*, graph: str = "intelligence", storage: str | os.PathLike[str] | None = None) -> list[Run]:
    """All runs of a graph that published anything, oldest first."""
    store = _store(storage)
    known = graph_named(graph)
    return [Run(store, known, run_id) for run_id in store.runs(known.name) if _has_published(known, run_id, store)]


@dataclass(frozen=True)
class Version:
    """An earlier artifact of a phase."""

    run: Run
    envelope: Envelope

    @property
    def artifact_id(self) -> str:
        """Unique name of this one publication."""
        return self.envelope.artifact_id

    def table(self) -> pd.DataFrame:
        """Its rows."""
        loaded = self.run.store.load_version(
            self.run.graph.name, self.run.run_id, self.envelope.phase, self.envelope.artifact_id
        )
        if loaded.table is None:
            raise UserError(f"{self.envelope.phase} publishes a document.", fix="Only tables are read this way.")
        return _frame(loaded.table)


@dataclass(frozen=True)
class Run:
    """One run as it was published. Every read checks the hashes of what it reads.

    A phase without an artifact raises ArtifactMissing, a damaged one ArtifactDamaged; one whose blocking check failed
    can be read.
    """

    store: Store
    graph: Graph
    run_id: str

    @property
    def phases(self) -> list[str]:
        """Names of the phases that published, in their order."""
        return self.store.phases(self.graph.name, self.run_id)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The run's settings, as they were frozen when it began."""
        return dict(self.document(self.graph.first.name).get("settings") or {})

    @cached_property
    def title(self) -> str:
        """Its title; '' where it has none."""
        return str(self.document(self.graph.first.name).get("title") or "")

    @cached_property
    def series(self) -> str:
        """The series that it belongs to: its preset or settings file; '' where nothing tells it."""
        return series_of(self.document(self.graph.first.name))

    @property
    def is_complete(self) -> bool:
        """Whether every phase published and passed its blocking checks."""
        found = dict(self.envelopes())
        return all(name in found and found[name].status == "complete" for name in self.graph.names)

    def artifacts(self, phase: str = "", kind: str = "") -> pd.DataFrame:
        """The files of the run: artifact_id, kind, phase, number, name, bytes, rows, columns, sha256, made_at,
        description; of one phase or one kind (data, etl, eda, plot, table, log, report) where they are given.

        Raises UserError for a kind that there is not.
        """
        import pandas as pd

        from enrich_assets.store.manifest import ENTRY_FIELDS, KINDS

        if kind and kind not in KINDS:
            raise UserError(f"{kind!r} is no kind of artifact.", fix=f"Kinds: {', '.join(KINDS)}.")
        if phase:
            self._known(phase)
        try:
            listed = self.store.manifest(self.graph.name, self.run_id)["files"]
        except (ArtifactMissing, ArtifactDamaged):
            listed = self.store.listed(self.graph.name, self.run_id)
        wanted = [e for e in listed if (not phase or e["phase"] == phase) and (not kind or e["kind"] == kind)]
        return pd.DataFrame(wanted, columns=list(ENTRY_FIELDS))

    def table(self, phase: str) -> pd.DataFrame:
        """The rows that a phase published, with their declared columns; `docs/assets.md` lists them."""
        return _frame(self.arrow(phase))

    def arrow(self, phase: str) -> pa.Table:
        """The rows of a phase as an Arrow table; raises UserError for a phase that publishes a document."""
        found = self._loaded(phase).table
        if found is None:
            raise UserError(f"{phase} publishes a document.", fix=f"Read it with .document({phase!r}).")
        return found

    def document(self, phase: str) -> dict[str, Any]:
        """What a phase published as JSON; raises UserError for a phase that publishes a table."""
        found = self._loaded(phase).document
        if found is None:
            raise UserError(f"{phase} publishes a table.", fix=f"Read it with .table({phase!r}).")
        return found

    def dropped(self, phase: str) -> pd.DataFrame:
        """The rows that a phase dropped: row_id, title, url, drop_reason, drop_value, drop_detail."""
        return self.side(phase, "dropped")

    def failed(self, phase: str) -> pd.DataFrame:
        """The rows that failed in a phase: row_id, title, url, failure_kind, failure_message."""
        return self.side(phase, "failed")

    def side(self, phase: str, name: str) -> pd.DataFrame:
        """A side table of a phase, such as `sources` of `scraped`."""
        return _frame(self.store.side(self.graph.name, self.run_id, self._known(phase), name))

    def file(self, name: str) -> bytes:
        """A file that `artifacts` lists, by its name: `reports/report.html`, `eda/tier2/drop_reasons.svg`."""
        for phase, envelope in self.envelopes():
            if name in envelope.files:
                return self.store.side_file(self.graph.name, self.run_id, phase, name)
        raise ArtifactMissing(f"the run {self.run_id} has no file {name!r}.", fix="run.artifacts() lists its files.")

    def envelope(self, phase: str) -> Envelope:
        """What the artifact says of itself: counts, usage, checks, inputs, hashes, times."""
        return self.store.envelope(self.graph.name, self.run_id, self._known(phase))

    def envelopes(self) -> Iterator[tuple[str, Envelope]]:
        """Name and envelope of each phase that published; damaged ones are left out."""
        for phase in self.phases:
            try:
                yield phase, self.store.envelope(self.graph.name, self.run_id, phase)
            except ArtifactError:
                continue

    def versions(self, phase: str) -> list[Version]:
        """The earlier artifacts of a phase that are kept, newest first, at most three."""
        kept = self.store.versions(self.graph.name, self.run_id, self._known(phase))
        return [Version(self, envelope) for envelope in kept]

    def __repr__(self) -> str:
        return f"<run {self.run_id} of {self.graph.name}: {len(self.phases)} of {len(self.graph.names)} phases>"

    def _loaded(self, phase: str) -> Loaded:
        return self.store.load(self.graph.name, self.run_id, self._known(phase), even_blocked=True)

    def _known(self, phase: str) -> str:
        if phase not in self.graph.names:
            fix = f"Phases: {', '.join(self.graph.names)}."
            raise UnknownPhase(f"{phase!r} is no phase of {self.graph.name}.", fix=fix)
        return phase


def _store(storage: str | os.PathLike[str] | None) -> Store:
    return Store.from_environment() if storage is None else Store(storage_name(os.fspath(storage)))


def _run_id(reference: str, graph: Graph, store: Store) -> str:
    series = series_named(reference)
    if reference == LATEST or series:
        newest = latest_complete(store, graph, series)
        if newest is None:
            of = f"{graph.name}, series {series}," if series else graph.name
            raise UnknownRun(
                f"no run of {of} is complete.",
                where=str(store.root),
                fix="Set ENRICH_STORAGE to the storage that `enrich runs` lists, or finish a run.",
            )
        return newest
    runs = store.runs(graph.name)
    if reference in runs:
        return reference
    titled = (run_id for run_id in reversed(runs) if _title(graph, run_id, store) == reference)
    found = next(titled, None)
    if found is None:
        raise UnknownRun(
            f"no run {reference!r:.100} of {graph.name} published anything.",
            where=str(store.root),
            fix="enrich runs lists the runs; a run may be named by its ID or its title.",
        )
    return found


def _has_published(graph: Graph, run_id: str, store: Store) -> bool:
    try:
        return bool(store.phases(graph.name, run_id))
    except ArtifactDamaged:
        return True  # an archive that cannot be read: whoever reads the run is told, and the others are read


def _title(graph: Graph, run_id: str, store: Store) -> str:
    try:
        return str((store.load(graph.name, run_id, graph.first.name).document or {}).get("title") or "")
    except ArtifactError:
        return ""


def _frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas()
