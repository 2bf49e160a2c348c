"""The views of a run held against its envelopes, and put right: manifest, latest, the ledger's phases, partitions.

Envelopes decide; what is found to differ here is rebuilt from them. A damaged publication is never repaired here:
its phase has to be made again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, timedelta
from typing import Any

import dagster as dg

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactDamaged, ArtifactError, ArtifactMissing
from enrich_assets.core.files import remove
from enrich_assets.defs.partitions import add_run, partitions_name
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger, phase_view
from enrich_assets.store.store import Store


def repair_run(
    graph: Graph,
    run_id: str,
    envelopes: Mapping[str, Envelope | ArtifactError],
    *,
    store: Store,
    ledger: Ledger,
    lost: Collection[str] = (),
    instance: dg.DagsterInstance | None,
) -> list[str]:
    """Puts the views of one run right; gives one sentence for each that differed.

    The manifest is left as it is while a publication is damaged or `lost`: it says what has been there. Without an
    `instance` what Dagster knows is left alone.
    """
    said = []
    if not lost and not any(isinstance(found, ArtifactDamaged) for found in envelopes.values()):
        said += _manifest(graph, run_id, store)
    said += _registration(graph, run_id, store, ledger)
    said += _phases(graph, run_id, envelopes, ledger)
    if instance is not None and not instance.has_dynamic_partition(partitions_name(graph.name), run_id):
        add_run(instance, graph, run_id)
        said.append("Dagster did not know the run: its partition was added.")
    return said


def repair_latest(graph: Graph, store: Store) -> list[str]:
    """Lets `latest` name the newest complete run; gives a sentence if it did not."""
    named = store.latest(graph.name)
    newest = next(
        (run_id for run_id in reversed(store.runs(graph.name)) if store.is_complete(graph.name, run_id, graph.names)),
        None,
    )
    if named == newest:
        return []
    if newest is not None and store.latest_instead_of(graph.name) and store.mark_latest(graph.name, newest) == named:
        return []  # somebody went back to it, and no run has been begun since
    remove(store.root / graph.name / "latest.json")
    if newest is not None:
        store.mark_latest(graph.name, newest)
    return [f"latest named {named or 'no run'}; the newest complete run is {newest or 'none'}, and it says so now."]


def _manifest(graph: Graph, run_id: str, store: Store) -> list[str]:
    if not store.phases(graph.name, run_id):
        return []
    try:
        before: list[Any] | None = store.manifest(graph.name, run_id)["files"]
        problem = "it listed other files than the envelopes"
    except ArtifactMissing:
        before, problem = None, "there was none"
    except ArtifactDamaged:
        before, problem = None, "it was damaged"
    after = store.rebuild_manifest(graph.name, run_id)["files"]
    return [] if before == after else [f"manifest.json: {problem}; it was rebuilt."]


def _registration(graph: Graph, run_id: str, store: Store, ledger: Ledger) -> list[str]:
    if ledger.registration(run_id) is not None:
        return []
    try:
        snapshot = store.load(graph.name, run_id, graph.first.name).document or {}
    except ArtifactError:
        return []
    registered = {name: value for name, value in snapshot.items() if name != "rows"}
    ledger.claim_run(graph.name, registered, run_id=run_id)
    return ["the ledger did not know the run: it was listed again from its own snapshot."]


def _phases(graph: Graph, run_id: str, envelopes: Mapping[str, Envelope | ArtifactError], ledger: Ledger) -> list[str]:
    said = []
    shown = {row["phase"]: row for row in ledger.phases(run_id)}
    for phase in graph.phases:
        envelope, row = envelopes[phase.name], shown.get(phase.name)
        if isinstance(envelope, Envelope):
            expected = {**phase_view(envelope), "status": envelope.status}
            accepted = (envelope.status, "outdated", "failed", "paused", "stopped")
            if row is not None and row["status"] in accepted and _agrees(row, expected):
                continue
            ledger.replace_phase(
                run_id,
                phase.name,
                number=envelope.number,
                **expected,
                **_times(envelope),
            )
            said.append(
                f"the ledger showed {phase.name} as {row['status'] if row else 'not started'}; "
                f"its envelope says {envelope.status}, and so does the ledger now."
            )
        elif row is not None and row["status"] in ("complete", "blocked", "running", "outdated"):
            ledger.replace_phase(run_id, phase.name, number=graph.number(phase), status="stopped", cost=row["cost"])
            said.append(
                f"the ledger showed {phase.name} as {row['status']}; it has no usable artifact, "
                "and the ledger says stopped now."
            )
    return said


def _agrees(row: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    if row["status"] in ("failed", "paused", "stopped"):
        return True  # the newest attempt of a phase whose earlier artifact stands
    # A version before this one noted no seconds: that alone is no reason to write the view again.
    left_out = {"status", "message", *(["seconds"] if row["seconds"] is None else [])}
    return all(row[name] == value for name, value in expected.items() if name not in left_out)


def _times(envelope: Envelope) -> dict[str, str]:
    ended = envelope.started_at + timedelta(seconds=envelope.duration_seconds)
    times = {"started_at": envelope.started_at, "ended_at": ended, "heartbeat_at": ended}
    return {name: moment.astimezone(UTC).isoformat(timespec="microseconds") for name, moment in times.items()}
