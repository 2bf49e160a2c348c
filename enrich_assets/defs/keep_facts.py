"""What is known of all runs, gathered for the decision which of them stay. Reads, and writes nothing.

Belongs here: facts. What follows from them belongs to `store.retention`, doing it to `defs.keeping`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactDamaged, ArtifactError
from enrich_assets.defs.new_run import RUN_TAG
from enrich_assets.defs.processes import PROCESS_TAG
from enrich_assets.defs.standing import envelopes_of
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.leases import LeaseTaken, is_dead
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.series import series_of
from enrich_assets.graphs.finding import latest_of
from enrich_assets.store.kept import Kept, read_kept
from enrich_assets.store.latest import started_at
from enrich_assets.store.layout import RunFolder
from enrich_assets.store.retention import RunFacts
from enrich_assets.store.run_files import has_folder, run_files
from enrich_assets.store.store import Store

PARTITION_TAG = "dagster/partition"
_LAUNCHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def gather(graphs: Iterable[Graph], store: Store, ledger: Ledger, instance: dg.DagsterInstance) -> list[RunFacts]:
    """What is known of each run, of every graph, newest first; reads the envelopes of all of them.

    Raises StorageError, also where nobody can tell what is pinned.
    """
    launches = _launches(instance)
    seen = _last_seen(ledger)
    found: list[RunFacts] = []
    for graph in graphs:
        kept = read_kept(store.root, graph.name)
        # The newest of a series stays by its place; one that somebody went back to has none of its own.
        series = {one["series"] for one in kept.rollbacks if one.get("series")}
        latest = {latest_of(store, graph, name) for name in ("", *sorted(series))}
        listed = {str(run["run_id"]): run for run in ledger.runs(graph.name)}
        for run_id in {*listed, *store.runs(graph.name), *kept.going}:
            facts = _facts(graph, run_id, listed.get(run_id, {}), kept, store, ledger, seen.get(run_id))
            # Asked last: reading takes long enough for somebody to begin meanwhile.
            in_use = _who_works(run_id, ledger) or launches.get(run_id, "")
            found.append(replace(facts, in_use=in_use, is_latest=run_id in latest))
    return sorted(found, key=lambda run: (*run.started, run.run_id), reverse=True)


def leaning(registered: Mapping[str, Any], envelopes: Iterable[Envelope], run_id: str) -> frozenset[str]:
    """The runs that a run took something from: the one it is like, those whose articles and sources it was told of,
    those whose artifacts it was made from."""
    named = {str(registered.get("like") or "")}
    named |= {str(article.get("run_id") or "") for article in registered.get("earlier") or ()}
    named |= {str(source.get("run_id") or "") for source in (registered.get("sources_before") or {}).values()}
    named |= {ref.run_id for envelope in envelopes for ref in envelope.inputs}
    return frozenset(named - {"", run_id})


def _facts(
    graph: Graph,
    run_id: str,
    listed: Mapping[str, Any],
    kept: Kept,
    store: Store,
    ledger: Ledger,
    seen: datetime | None,
) -> RunFacts:
    """The facts of a run, but for who uses it and whether it is the latest."""
    folder = RunFolder(store.root, graph.name, run_id)
    archived = store.run_folder(graph.name, run_id).is_archived
    there = has_folder(folder)
    results = envelopes_of(graph, run_id, store, every_file=False) if there or archived else {}
    envelopes = [found for found in results.values() if isinstance(found, Envelope)]
    registered = ledger.registration(run_id) or _snapshot(graph, run_id, store)
    moments = [_end(envelope) for envelope in envelopes]
    moments += [moment for moment in (seen, _moment(listed.get("created_at"))) if moment is not None]
    started = started_at(run_id, min(moments, default=None))
    return RunFacts(
        graph=graph.name,
        run_id=run_id,
        started=started,
        last_active=max([*moments, started[0]]),
        is_complete=len(envelopes) == len(graph.names) and all(one.status == "complete" for one in envelopes),
        has_folder=there,
        is_archived=archived,
        is_pinned=run_id in kept.pinned,
        damaged=next((str(found) for found in results.values() if isinstance(found, ArtifactDamaged)), ""),
        foreign=run_files(folder, phases_of(graph, run_id, store)).foreign if there else (),
        series=series_of(registered),
        leans_on=leaning(registered, envelopes, run_id),
        is_going=run_id in kept.going,
    )


def phases_of(graph: Graph, run_id: str, store: Store) -> set[str]:
    """Names of the phases that a run may have files of: the graph's, and those of when it was made."""
    return {*graph.names, *_listed_phases(graph, run_id, store)}


def _listed_phases(graph: Graph, run_id: str, store: Store) -> Iterator[str]:
    try:
        yield from (str(entry["phase"]) for entry in store.manifest(graph.name, run_id)["files"])
    except ArtifactError:
        return


def _snapshot(graph: Graph, run_id: str, store: Store) -> Mapping[str, Any]:
    try:
        return store.load(graph.name, run_id, graph.first.name).document or {}
    except ArtifactError:
        return {}


def _who_works(run_id: str, ledger: Ledger) -> str:
    try:
        ledger.refuse_if_worked_on(run_id)
    except LeaseTaken as error:
        return error.what.rstrip(".")
    return ""


def _launches(instance: dg.DagsterInstance) -> dict[str, str]:
    """The launches that are under way, by run; those whose process is gone do not count."""
    found = {}
    for launch in instance.get_runs(filters=dg.RunsFilter(statuses=_LAUNCHED)):
        holder, _, launch_id = launch.tags.get(PROCESS_TAG, "").partition(" ")
        if launch_id == launch.run_id and is_dead(holder):
            continue
        for tag in (PARTITION_TAG, RUN_TAG):
            if run_id := launch.tags.get(tag):
                found[run_id] = f"a launch of it is {launch.status.value.lower()}"
    return found


def _last_seen(ledger: Ledger) -> dict[str, datetime]:
    seen: dict[str, datetime] = {}
    for row in ledger.phases():
        moments = [_moment(row[name]) for name in ("started_at", "ended_at", "heartbeat_at")]
        for moment in filter(None, moments):
            run_id = str(row["run_id"])
            seen[run_id] = max(moment, seen.get(run_id, moment))
    return seen


def _end(envelope: Envelope) -> datetime:
    return (envelope.started_at + timedelta(seconds=envelope.duration_seconds)).astimezone(UTC)


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
