"""The store: published runs below one root, on a disk or an object store. What others call; the steps stand beside."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from upath import UPath

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, ArtifactRefused, StorageError
from enrich_assets.core.files import names_in
from enrich_assets.core.fingerprint import sha256
from enrich_assets.core.result import PhaseResult
from enrich_assets.store import latest as latest_view
from enrich_assets.store import manifest as manifest_view
from enrich_assets.store.archive import ArchivedRun, archived_runs, refuse_archived, run_at, unpack
from enrich_assets.store.artifacts import (
    Loaded,
    check_artifact,
    damaged,
    read_artifact,
    read_envelope,
    read_side_table,
)
from enrich_assets.store.layout import ARTIFACT_SUFFIXES, RESERVED_RUN_IDS, RunFolder, is_phase_name, side_table_name
from enrich_assets.store.making import made
from enrich_assets.store.publication import (
    check_place,
    earlier_versions,
    log,
    present_path,
    put,
    read_present,
    side_file,
)
from enrich_assets.store.rollback import put_version
from enrich_assets.store.root import MINIMUM_FREE_BYTES, check_writable, root_from
from enrich_assets.store.unpublishing import unpublish

_RUN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """Published runs below `root`. It holds no state: any number of processes may read while one publishes."""

    def __init__(self, root: UPath | str | os.PathLike[str], *, now: Callable[[], datetime] = _utc_now) -> None:
        self.root = UPath(root)
        self._now = now

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Store:
        """The store that ENRICH_STORAGE names, by default `./data`.

        Raises StorageError for remote storage without ENRICH_LEDGER_URL: the default ledger is a file beside the
        artifacts, which an object store cannot hold.
        """
        return cls(root_from(os.environ if environment is None else environment))

    def check_writable(self, minimum_free_bytes: int = MINIMUM_FREE_BYTES) -> None:
        """Writes, reads and removes a small file; raises StorageError if that fails or too little space is left."""
        check_writable(self.root, minimum_free_bytes)

    def publish(self, result: PhaseResult, *, reports: Mapping[str, bytes] | None = None) -> Envelope:
        """Publishes a phase's result with its side tables, figures and `reports`, whole or not at all.

        Returns the sealed envelope. Raises StorageError when something could not be written and DeclarationError
        for a result that cannot be stored; the earlier publication is whole then. Raises UserError for an archived run.
        With the last phase of a graph a run may become its latest, wherever it was published.
        """
        folder = self.run_folder(result.graph, result.run_id)
        refuse_archived(folder)
        publication = made(result, reports or {}, self._now())
        artifact = folder.artifact(result.phase, publication.suffix)
        check_artifact(publication.artifact, publication.suffix, str(artifact))
        put(folder, publication)
        listed = manifest_view.entries(
            publication.envelope,
            artifact.name,
            publication.artifact,
            publication.files,
            manifest_view.utc_text(self._now()),
        )
        try:
            manifest_view.update_manifest(folder, result.phase, listed)
        except StorageError as error:
            # The artifact is in place and decides; the manifest is a view that can be rebuilt.
            log.warning("the manifest was not updated: %s", error)
        if result.completes and self.is_complete(result.graph, result.run_id, result.completes):
            self.mark_latest(result.graph, result.run_id)
        return publication.envelope

    def unpublish(self, graph: str, run_id: str, phase: str) -> int:
        """Removes everything that was published of a phase, earlier versions too; gives how many files that were.

        Whoever calls it sees to the phases that were made of it, and to the views. The folder of an archived run is
        brought back for it. Raises StorageError, and ArtifactDamaged for a damaged archive.
        """
        folder = self.run_folder(graph, run_id)
        if isinstance(folder, ArchivedRun):
            unpack(folder)
        return unpublish(RunFolder(self.root, graph, run_id), phase)

    def envelope(self, graph: str, run_id: str, phase: str) -> Envelope:
        """The artifact's envelope, its own hash checked and nothing else; raises ArtifactMissing, ArtifactDamaged."""
        folder = self.run_folder(graph, run_id)
        path, suffix = present_path(folder, phase)
        source = folder.opened(path) if suffix == ".parquet" else folder.read(path)
        with source if not isinstance(source, bytes) else nullcontext():
            envelope = read_envelope(source, suffix, str(path))
        check_place(envelope, folder, phase, str(path))
        return envelope

    def load(self, graph: str, run_id: str, phase: str, *, even_blocked: bool = False) -> Loaded:
        """The artifact, every hash of it checked.

        Raises ArtifactMissing, ArtifactDamaged, and ArtifactRefused if a blocking check failed on it.
        """
        folder = self.run_folder(graph, run_id)
        loaded, present = read_present(folder, phase)
        self._check_manifest(folder, present.path.name, present.data, loaded.envelope)
        if not even_blocked:
            _refuse_blocked(loaded.envelope, str(present.path))
        return loaded

    def usable_envelope(self, graph: str, run_id: str, phase: str) -> Envelope:
        """The envelope as `envelope` gives it, for a phase that reads it; raises ArtifactRefused as `load` does."""
        envelope = self.envelope(graph, run_id, phase)
        _refuse_blocked(envelope, f"{self.root}/{graph}/{run_id}/{phase}")
        return envelope

    def side(self, graph: str, run_id: str, phase: str, name: str) -> pa.Table:
        """A side table of the phase (`dropped`, `failed` or a declared one); raises as `load` does."""
        relative = side_table_name(phase, name)
        data = self.side_file(graph, run_id, phase, relative)
        return read_side_table(data, f"{self.root}/{graph}/{run_id}/{relative}")

    def side_file(self, graph: str, run_id: str, phase: str, relative: str) -> bytes:
        """A file that the envelope lists, by its name below the run's folder; raises as `load` does."""
        return side_file(self.run_folder(graph, run_id), self.envelope(graph, run_id, phase), relative)

    def verify(self, graph: str, run_id: str, phase: str) -> Envelope:
        """Checks all that was published: artifact, envelope, every side file, the manifest's hash of the artifact.

        A blocked artifact is intact. Raises ArtifactMissing or ArtifactDamaged.
        """
        folder = self.run_folder(graph, run_id)
        loaded, present = read_present(folder, phase)
        self._check_manifest(folder, present.path.name, present.data, loaded.envelope)
        for relative in loaded.envelope.files:
            side_file(folder, loaded.envelope, relative)
        return loaded.envelope

    def versions(self, graph: str, run_id: str, phase: str) -> list[Envelope]:
        """Envelopes of the kept earlier artifacts, newest first, at most three."""
        folder = self.run_folder(graph, run_id)
        try:
            current = self.envelope(graph, run_id, phase).artifact_id
        except (ArtifactMissing, ArtifactDamaged):
            current = None
        return [envelope for _, envelope in earlier_versions(folder, phase, current)]

    def load_version(self, graph: str, run_id: str, phase: str, artifact_id: str) -> Loaded:
        """An earlier artifact, every hash of it checked; raises ArtifactMissing or ArtifactDamaged."""
        folder = self.run_folder(graph, run_id)
        for path, envelope in earlier_versions(folder, phase, None):
            if envelope.artifact_id == artifact_id:
                return read_artifact(folder.read(path), path.suffix, str(path))
        raise ArtifactMissing(
            f"{phase} of the run {run_id} has no version {artifact_id}.",
            where=str(folder.versions(phase)),
            fix="The last three earlier versions are kept.",
        )

    def runs(self, graph: str) -> list[str]:
        """IDs of the runs of a graph that have a folder or an archive, oldest first."""
        names = {*names_in(self.root / RunFolder(self.root, graph, "any").graph), *archived_runs(self.root, graph)}
        found = [n for n in names if _RUN_NAME.fullmatch(n) and n not in RESERVED_RUN_IDS]
        return sorted(found, key=lambda run_id: (*latest_view.started_at(run_id, None), run_id))

    def phases(self, graph: str, run_id: str) -> list[str]:
        """Names of the phases that have an artifact, in their order; damaged ones last."""
        folder = self.run_folder(graph, run_id)
        names = folder.names(folder.path)
        found = {n.rsplit(".", 1)[0] for n in names if n.endswith(ARTIFACT_SUFFIXES)}
        # What somebody else put there, under a name that no phase can have, is nobody's artifact.
        found = {name for name in found if is_phase_name(name)}
        return sorted(found, key=lambda phase: (self._number(graph, run_id, phase), phase))

    def manifest(self, graph: str, run_id: str) -> dict[str, Any]:
        """The run's manifest as it stands; raises ArtifactMissing or ArtifactDamaged."""
        return manifest_view.read_manifest(self.run_folder(graph, run_id))

    def listed(self, graph: str, run_id: str) -> list[dict[str, Any]]:
        """The manifest's entries as they follow from what stands there and is intact; nothing is written.

        Damaged publications are left out.
        """
        folder = self.run_folder(graph, run_id)
        try:
            old = {(e["artifact_id"], e["name"]): e["made_at"] for e in manifest_view.read_manifest(folder)["files"]}
        except (ArtifactMissing, ArtifactDamaged):
            old = {}
        listed: list[dict[str, Any]] = []
        for phase in self.phases(graph, run_id):
            try:
                loaded, present = read_present(folder, phase)
                files = {name: side_file(folder, loaded.envelope, name) for name in loaded.envelope.files}
            except (ArtifactMissing, ArtifactDamaged) as error:
                log.warning("left out of the manifest: %s", error)
                continue
            made_at = manifest_view.utc_text(_time_in(loaded.envelope.artifact_id) or self._now())
            new = manifest_view.entries(loaded.envelope, present.path.name, present.data, files, made_at)
            listed += [{**e, "made_at": old.get((e["artifact_id"], e["name"]), e["made_at"])} for e in new]
        return listed

    def rebuild_manifest(self, graph: str, run_id: str) -> dict[str, Any]:
        """Makes the manifest anew of what stands there and is intact; that of an archived run stays as it is."""
        folder = self.run_folder(graph, run_id)
        if folder.is_archived:
            return manifest_view.read_manifest(folder)
        return manifest_view.write_manifest(folder, self.listed(graph, run_id))

    def is_complete(self, graph: str, run_id: str, phases: Sequence[str]) -> bool:
        """Whether all of the phases are published and passed their blocking checks."""
        try:
            return all(self.envelope(graph, run_id, phase).status == "complete" for phase in phases)
        except ArtifactError:
            return False

    def mark_latest(self, graph: str, run_id: str) -> str:
        """Says that a run is complete; returns the newest complete run by its start, which may be another one.

        Where that cannot be written the log has it, and the run is no less complete: `latest` is a view.
        """
        try:
            return latest_view.write_latest(RunFolder(self.root, graph, run_id), self._start(graph, run_id))
        except StorageError as error:
            log.warning("latest was not updated: %s", error)
            return run_id

    def latest(self, graph: str) -> str | None:
        """The newest complete run by its start; None if there is none."""
        found = latest_view.read_latest(self.root, graph)
        return found.run_id if found else None

    def latest_instead_of(self, graph: str) -> str:
        """The run that `latest` would name if nobody had gone back to an earlier one; '' where nobody did."""
        found = latest_view.read_latest(self.root, graph)
        return found.instead_of if found else ""

    def go_back_to(self, graph: str, run_id: str, newest: str) -> None:
        """Lets `latest` name an earlier run until one is complete that starts later than the `newest` complete one.

        Raises UserError for an archived run, StorageError.
        """
        refuse_archived(self.run_folder(graph, run_id))
        folder = RunFolder(self.root, graph, run_id)
        latest_view.go_back(folder, self._start(graph, run_id), (newest, self._start(graph, newest)))

    def roll_back(self, graph: str, run_id: str, phase: str, artifact_id: str = "") -> tuple[Envelope, Envelope]:
        """Makes an earlier version of a phase the present one, by default the newest older one; gives the envelope of
        before and of now.

        Later phases are outdated then. Raises UserError for an archived run, ArtifactMissing, ArtifactDamaged,
        StorageError.
        """
        folder = self.run_folder(graph, run_id)
        refuse_archived(folder)
        before, now = put_version(folder, phase, artifact_id)
        self.rebuild_manifest(graph, run_id)
        return before, now

    def run_folder(self, graph: str, run_id: str) -> RunFolder:
        """Where a run is read: its folder or its archive."""
        return run_at(self.root, graph, run_id)

    def refuse_archived(self, graph: str, run_id: str) -> None:
        """Raises UserError that says how a run is brought back, if it is archived."""
        refuse_archived(self.run_folder(graph, run_id))

    def _start(self, graph: str, run_id: str) -> datetime | None:
        return min(
            (self.envelope(graph, run_id, phase).started_at for phase in self.phases(graph, run_id)), default=None
        )

    def _number(self, graph: str, run_id: str, phase: str) -> int:
        try:
            return self.envelope(graph, run_id, phase).number
        except (ArtifactMissing, ArtifactDamaged):
            return 10**9

    @staticmethod
    def _check_manifest(folder: RunFolder, name: str, data: bytes, envelope: Envelope) -> None:
        try:
            listed = manifest_view.read_manifest(folder)["files"]
        except (ArtifactMissing, ArtifactDamaged):
            return  # a view; the artifact's own seal has been checked
        for entry in listed:
            is_this = (entry["name"], entry.get("artifact_id")) == (name, envelope.artifact_id)
            if is_this and entry.get("sha256") != sha256(data):
                raise damaged("its bytes do not match the manifest's hash", str(folder.path / name))


def _refuse_blocked(envelope: Envelope, where: str) -> None:
    if envelope.status != "blocked":
        return
    reasons = "; ".join(f"{c.name}: {c.message}" for c in envelope.blocking_failures()) or "a blocking check failed"
    raise ArtifactRefused(
        f"nothing may be built on {envelope.phase} of the run {envelope.run_id}: {reasons}.",
        where=where,
        fix=f"Correct the cause, then resume: it starts at {envelope.phase}.",
    )


def _time_in(artifact_id: str) -> datetime | None:
    try:
        return datetime.strptime(artifact_id.split("-", 1)[0], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None
