"""Keeping runs: what `enrich keep --apply` and its schedule do, so that a kill anywhere is finished by the next call.

Belongs here: the order of the steps. Which runs stay belongs to `store.retention`, what is known of them to
`defs.keep_facts`. One process keeps at a time; each run is leased as if somebody worked on it. The order:

- archive: every file is held against its hash, the archive is made, read back and put in place, then the folder goes.
  From the moment it stands the archive counts.
- delete: `keep.json` notes that it is begun; pages that nobody else needs go, then the run's files, Dagster's launches
  with their events and compute logs, its partition, and its rows in the ledger; then the note. Answers and spending
  stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import EnrichError, StorageError, UserError
from enrich_assets.core.files import TEMPORARY_SUFFIX, names_in, remove, remove_empty_folders
from enrich_assets.defs.keep_facts import PARTITION_TAG, gather, phases_of
from enrich_assets.defs.keep_pages import pages_of, remove_unneeded
from enrich_assets.defs.new_run import RUN_TAG
from enrich_assets.defs.partitions import partitions_name
from enrich_assets.defs.processes import close_dead_launches
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.finding import frozen_series
from enrich_assets.store.archive import ArchivedRun, archive_path, clear_folder, pack, unpack
from enrich_assets.store.kept import KEPT_FILE, Kept, read_kept, write_kept
from enrich_assets.store.layout import ARCHIVES, MANIFEST, RunFolder
from enrich_assets.store.retention import Decision, Limits, RunFacts, decide
from enrich_assets.store.run_files import RunFiles, remove_empty, run_files
from enrich_assets.store.store import Store

LEASE = "keep"


@dataclass(frozen=True)
class Done:
    """What was done: run IDs, `pages` that went, and a sentence for each run, or step, that failed."""

    archived: tuple[str, ...]
    deleted: tuple[str, ...]
    pages: int
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Keeper:
    """What keeping works on. `now` is the moment that ages are counted to."""

    graphs: Mapping[str, Graph]
    store: Store
    ledger: Ledger
    instance: dg.DagsterInstance
    now: Callable[[], datetime]

    def plan(self, limits: Limits) -> list[Decision]:
        """What would become of each run, newest first; nothing is written. Raises StorageError."""
        return decide(gather(self.graphs.values(), self.store, self.ledger, self.instance), limits, self.now())

    def apply(self, limits: Limits, say: Callable[[str], Any]) -> Done:
        """Does what `plan` gives at this moment; `say` is told of each run. What fails is passed over and told.

        Raises LeaseTaken while another process keeps, StorageError where it cannot be told what is pinned.
        """
        with self._alone():
            self._sweep()
            close_dead_launches(self.instance, ledger=self.ledger)
            decisions = self.plan(limits)
            failures: list[str] = []
            archived = [d.run for d in decisions if d.action == "archive" and self._tried(self._archive, d, failures)]
            for run in archived:
                say(f"archived {run.run_id}")
            going = [d for d in decisions if d.action == "delete"]
            self._note_going([d.run for d in going])
            pages = self._remove_pages(decisions, failures)
            deleted = [d.run for d in going if self._tried(self._delete, d, failures)]
            for run in deleted:
                say(f"deleted {run.run_id}")
        return Done(tuple(run.run_id for run in archived), tuple(run.run_id for run in deleted), pages, tuple(failures))

    def restore(self, graph: Graph, run_id: str) -> int:
        """Brings an archived run's folder back and pins it, else the next call would archive it again; gives the number
        of files. Raises UserError where it is not archived, ArtifactDamaged, StorageError, LeaseTaken."""
        with self._alone(), self._held(graph, run_id):
            folder = self.store.run_folder(graph.name, run_id)
            if not isinstance(folder, ArchivedRun):
                raise UserError(f"the run {run_id} is not archived.", fix="enrich keep shows which runs are.")
            folder.check()
            self._change(graph, lambda kept: replace(kept, pinned={**kept.pinned, run_id: self._moment()}))
            return unpack(folder)

    def pin(self, graph: Graph, run_id: str, *, wanted: bool) -> bool:
        """Pins a run, or lets it go again; whether that changed anything. Raises UserError for a run that is going."""
        with self._alone():
            kept = read_kept(self.store.root, graph.name)
            if (run_id in kept.pinned) is wanted:
                return False
            if wanted and run_id in kept.going:
                raise UserError(
                    f"the deletion of {run_id} was begun, so it cannot be kept.", fix="enrich keep --apply finishes it."
                )
            pinned = {name: at for name, at in kept.pinned.items() if name != run_id}
            pinned |= {run_id: self._moment()} if wanted else {}
            write_kept(self.store.root, graph.name, replace(kept, pinned=pinned))
            return True

    def go_back(self, graph: Graph, run_id: str) -> str:
        """Makes an earlier complete run the latest, also of its series, until one is complete that starts later than
        all of now; gives the run that was it. Raises UserError for a run that is archived or not complete."""
        with self._alone():
            complete = [one for one in self.store.runs(graph.name) if self._is_complete(graph, one)]
            series = {one: frozen_series(self.store, graph, one) for one in complete}
            self.store.refuse_archived(graph.name, run_id)
            if run_id not in complete:
                raise UserError(
                    f"the run {run_id} is not complete, so it cannot be the latest.", fix=f"enrich resume {run_id}"
                )
            before = self.store.latest(graph.name) or ""
            self.store.go_back_to(graph.name, run_id, complete[-1])
            newest = next(one for one in reversed(complete) if series[one] == series[run_id])
            entry = {"run_id": run_id, "phase": "", "before": before, "after": run_id}
            self._record(graph, {**entry, "series": series[run_id], "newest": newest})
            return before

    def roll_back(self, graph: Graph, run_id: str, phase: str, artifact_id: str = "") -> tuple[Envelope, Envelope]:
        """Makes an earlier version of a phase the present one; gives the envelope of before and of now.

        Raises UserError for an archived run, ArtifactMissing where there is no such version, LeaseTaken.
        """
        with self._alone(), self._held(graph, run_id):
            before, now = self.store.roll_back(graph.name, run_id, phase, artifact_id)
            entry = {"run_id": run_id, "phase": phase, "before": before.artifact_id, "after": now.artifact_id}
            self._record(graph, entry)
        return before, now

    def _archive(self, run: RunFacts) -> None:
        graph = self.graphs[run.graph]
        folder = RunFolder(self.store.root, run.graph, run.run_id)
        with self._held(graph, run.run_id):
            # What the folder's manifest lists is asked first: once the archive stands, it is read there.
            files = self._own_files(graph, folder)
            if not self.store.run_folder(run.graph, run.run_id).is_archived:
                for phase in self.store.phases(run.graph, run.run_id):
                    self.store.verify(run.graph, run.run_id, phase)
                pack(folder, files.own, pages=pages_of(graph, run.run_id, self.store), now=self.now().astimezone(UTC))
            differing = clear_folder(folder, ArchivedRun(self.store.root, run.graph, run.run_id))
            if differing:
                raise StorageError(
                    f"{differing[0]} is not what the archive of {run.run_id} holds; it is left.",
                    where=str(folder.path),
                    fix="Move it away; the archive counts.",
                )
            self._clear(folder, files.leftovers)
            remove_empty(folder)

    def _delete(self, run: RunFacts) -> None:
        graph = self.graphs[run.graph]
        folder = RunFolder(self.store.root, run.graph, run.run_id)
        with self._held(graph, run.run_id):
            files = self._own_files(graph, folder)
            self._clear(folder, [*files.own, *files.leftovers])
            remove_empty(folder)
            archive = archive_path(self.store.root, run.graph, run.run_id)
            remove(archive)
            remove_empty_folders(archive.parent, up_to=self.store.root)
            forget_launches(self.instance, run.graph, run.run_id)
        self.ledger.remove_run(run.run_id)
        self._change(
            graph, lambda kept: replace(kept, going={name: at for name, at in kept.going.items() if name != run.run_id})
        )

    def _own_files(self, graph: Graph, folder: RunFolder) -> RunFiles:
        files = run_files(folder, phases_of(graph, folder.run_id, self.store))
        if files.foreign:
            raise UserError(
                f"{files.foreign[0]} is no part of the run {folder.run_id}, so its folder stays.",
                where=str(folder.path),
                fix="Move it away, then try again.",
            )
        return files

    def _clear(self, folder: RunFolder, names: Iterable[str]) -> None:
        # The manifest last: it names the phases of a run that was made with others.
        for name in sorted(names, key=lambda name: (name == MANIFEST, name)):
            path = folder.path.joinpath(*name.split("/"))
            remove(path)
            remove_empty_folders(path.parent, up_to=self.store.root)

    def _remove_pages(self, decisions: Sequence[Decision], failures: list[str]) -> int:
        parts: dict[bool, list[tuple[Graph, str]]] = {True: [], False: []}
        for decision in decisions:
            parts[decision.action == "delete"].append((self.graphs[decision.run.graph], decision.run.run_id))
        if not parts[True]:
            return 0
        try:
            return remove_unneeded(parts[True], parts[False], self.store, self.ledger)
        except EnrichError as error:
            failures.append(f"Pages that nobody needs stay for now: {error}")
            return 0

    def _sweep(self) -> None:
        """Removes what a process that died was writing: whoever keeps is alone, so nobody else writes these now."""
        for name in self.graphs:
            own = self.store.root / name
            left = [own / file for file in names_in(own) if file.startswith(f".{KEPT_FILE}.")]
            left += [own / ARCHIVES / file for file in names_in(own / ARCHIVES) if file.startswith(".")]
            for path in left:
                if path.name.endswith(TEMPORARY_SUFFIX):
                    remove(path)

    def _note_going(self, runs: Sequence[RunFacts]) -> None:
        for name in sorted({run.graph for run in runs}):
            noted = {run.run_id: self._moment() for run in runs if run.graph == name}
            kept = read_kept(self.store.root, name)
            write_kept(self.store.root, name, replace(kept, going={**noted, **kept.going}))

    def _change(self, graph: Graph, changed: Callable[[Kept], Kept]) -> None:
        write_kept(self.store.root, graph.name, changed(read_kept(self.store.root, graph.name)))

    def _record(self, graph: Graph, entry: Mapping[str, str]) -> None:
        noted = {**entry, "at": self._moment()}
        self._change(graph, lambda kept: replace(kept, rollbacks=(*kept.rollbacks, noted)))

    def _is_complete(self, graph: Graph, run_id: str) -> bool:
        return self.store.is_complete(graph.name, run_id, graph.names)

    def _moment(self) -> str:
        return self.now().astimezone(UTC).isoformat(timespec="seconds")

    def _tried(self, step: Callable[[RunFacts], None], decision: Decision, failures: list[str]) -> bool:
        try:
            step(decision.run)
        except EnrichError as error:
            failures.append(f"{decision.run.run_id}: {error}")
            return False
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lease = self.ledger.lease(LEASE)
        try:
            yield
        finally:
            lease.release()

    @contextmanager
    def _held(self, graph: Graph, run_id: str) -> Iterator[None]:
        with ExitStack() as held:
            for phase in graph.names:
                held.callback(self.ledger.lease(f"{run_id}/{phase}").release)
            yield


def forget_launches(instance: dg.DagsterInstance, graph_name: str, run_id: str) -> int:
    """Removes what Dagster has of a run: its launches with their events and compute logs, and its partition; gives how
    many launches. Events that were told without a launch stay: Dagster deletes those of a whole asset only."""
    removed = 0
    for tag in (PARTITION_TAG, RUN_TAG):
        for launch in instance.get_runs(filters=dg.RunsFilter(tags={tag: run_id})):
            instance.compute_log_manager.delete_logs(prefix=[launch.run_id])
            instance.delete_run(launch.run_id)
            removed += 1
    name = partitions_name(graph_name)
    if instance.has_dynamic_partition(name, run_id):
        instance.delete_dynamic_partition(name, run_id)
    return removed
