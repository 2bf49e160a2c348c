"""Where a run stands, read from what is published. No Dagster here, so that reading commands need none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactError, ArtifactMissing
from enrich_assets.core.files import is_local, local_path
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.resume import Standing, standings
from enrich_assets.store.layout import ARTIFACT_SUFFIXES, RunFolder
from enrich_assets.store.store import Store

PUBLISHED = ("complete", "blocked", "outdated")
"""What the ledger says of a phase that has an artifact."""


def where_it_stands(
    graph: Graph, run_id: str, store: Store, ledger: Ledger, *, every_file: bool = True
) -> list[Standing]:
    """The standing of each phase of a run. A first phase with other settings than the ledger has is outdated.

    With `every_file` each file is read and held against its hash; without, the envelopes alone are.
    """
    found = envelopes_of(graph, run_id, store, every_file=every_file)
    snapshot: Mapping[str, Any] = {}
    if isinstance(found[graph.first.name], Envelope):
        try:
            snapshot = store.load(graph.name, run_id, graph.first.name).document or {}
        except ArtifactError as error:
            found[graph.first.name] = error
    judged = standings(graph, found, snapshot.get("settings"), ledger.renewals(run_id))
    if judged[0].state == "done" and (why := _not_as_registered(snapshot, ledger.registration(run_id))):
        judged[0] = Standing(judged[0].phase, "outdated", why)
    return judged


def _not_as_registered(snapshot: Mapping[str, Any], registered: Mapping[str, Any] | None) -> str:
    """Why a run's snapshot is not the one that was registered; '' where it is, or the ledger does not know the run."""
    if not registered or not (fingerprint := registered.get("settings_fingerprint")):
        return ""
    if snapshot.get("settings_fingerprint", fingerprint) == fingerprint:
        return ""
    made, wanted = (f"preset {one.get('preset') or 'none'}" for one in (snapshot, registered))
    named = f" ({made} there, {wanted} here)" if made != wanted else ""
    return f"it was made with other settings than those registered for this run{named}"


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


def lost_artifacts(
    graph: Graph, run_id: str, found: Mapping[str, Envelope | ArtifactError], store: Store, ledger: Ledger
) -> dict[str, str]:
    """What became of each artifact that was published and is missing, by phase.

    That it was published says the manifest or the ledger, so it has to be asked before these views are repaired.
    """
    missing = [phase.name for phase in graph.phases if isinstance(found[phase.name], ArtifactMissing)]
    if not missing:
        return {}
    folder = RunFolder(store.root, graph.name, run_id)
    try:
        files = store.manifest(graph.name, run_id)["files"]
    except ArtifactError:
        files = []
    listed = {str(entry["phase"]) for entry in files if entry.get("kind") == "data"}
    shown = {str(row["phase"]) for row in ledger.phases(run_id) if row["status"] in PUBLISHED}
    return {name: _what_became_of(folder, name) for name in missing if name in listed or name in shown}


def _what_became_of(folder: RunFolder, phase: str) -> str:
    if is_local(folder.path):
        place = local_path(folder.path)
        if not place.is_dir():
            return "a file stands where the run's folder should be" if place.exists() else "the run's folder is gone"
        for suffix in ARTIFACT_SUFFIXES:
            if local_path(folder.artifact(phase, suffix)).is_symlink():
                return f"a symbolic link stands in place of {phase}{suffix}, which is never followed"
    return "the artifact was published and is missing"
