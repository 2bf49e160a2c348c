"""Looking for findings: in a run as it was published, or in a phase's result before it is.

What earlier runs say is looked up only when a kind asks for it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa

from enrich_assets.core.errors import ArtifactError, DeclarationError, StorageError
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.series import series_of
from enrich_assets.reading import Run
from enrich_assets.reports.findings.finding import Earlier, Facts, Finding
from enrich_assets.reports.findings.kinds import kinds_of
from enrich_assets.store.latest import started_at
from enrich_assets.store.store import Store

RUNS_COMPARED = 5
"""Earlier runs that say what is usual: a working week of daily ones."""
_RUNS_LOOKED_AT = 20
"""Runs before that are looked through for them."""

log = logging.getLogger(__name__)


def findings_of(run: Run) -> list[Finding]:
    """What stands out in a run, phase by phase; of phases that are missing or damaged nothing.

    Compared with the newest complete runs of the same series that began before it.
    """
    found: list[Finding] = []
    before: list[Run] | None = None

    def earlier(phase: str) -> list[Earlier]:
        nonlocal before
        before = earlier_runs(run) if before is None else before
        return _in_runs(before, phase)

    for name, envelope in run.envelopes():
        if name not in run.graph.names:
            continue
        facts = Facts(
            phase=run.graph.phase(name),
            counts=envelope.counts,
            usage=envelope.usage,
            as_of=_as_of(run),
            table=partial(_stored, run, name),
            notes=envelope.notes,
            find_earlier=partial(earlier, name),
        )
        found += _findings(facts)
    return found


def findings_of_result(graph: Graph, phase: Phase, result: PhaseResult, as_of: datetime, store: Store) -> list[Finding]:
    """What stands out in the result of a phase that is not published yet."""
    tables = {"": result.table, "dropped": result.dropped, "failed": result.failed, **result.sides}
    facts = Facts(
        phase=phase,
        counts=result.counts,
        usage=result.usage,
        as_of=as_of,
        table=tables.get,
        notes=result.notes,
        find_earlier=lambda: _in_runs([Run(store, graph, i) for i in _ids(store, graph, result.run_id)], phase.name),
    )
    return _findings(facts)


def earlier_runs(run: Run) -> list[Run]:
    """The newest complete runs of the same series that began before it.

    Runs that repeat another one (`--like`) are left out.
    """
    moment = _began(run)
    candidates = [Run(run.store, run.graph, run_id) for run_id in reversed(run.store.runs(run.graph.name))]
    before = [other for other in candidates if other.run_id != run.run_id and _began(other) < moment]
    wanted = _kind_of_run(run, _registered(run))
    found: list[Run] = []
    for other in before[:_RUNS_LOOKED_AT]:
        if len(found) == RUNS_COMPARED:
            break
        registered = _registered(other)
        if _kind_of_run(other, registered) == wanted and not _is_repetition(registered) and other.is_complete:
            found.append(other)
    return found


_ids_before: dict[tuple[str, str, str], tuple[str, ...]] = {}


def _ids(store: Store, graph: Graph, run_id: str) -> tuple[str, ...]:
    """The earlier runs of a run that is being made: looked up once for all of its phases."""
    key = (str(store.root), graph.name, run_id)
    if key not in _ids_before:
        _ids_before.clear()
        _ids_before[key] = tuple(run.run_id for run in earlier_runs(Run(store, graph, run_id)))
    return _ids_before[key]


def _findings(facts: Facts) -> list[Finding]:
    found: list[Finding] = []
    for kind in kinds_of(facts.phase):
        try:
            found += kind.findings(facts)
        except Exception as error:  # a hint that cannot be computed must not cost the phase that it is about
            log.warning(
                "%s could not be looked for in %s: %s: %s", kind.name, facts.phase.name, type(error).__name__, error
            )
    return found


def _in_runs(runs: Sequence[Run], phase: str) -> list[Earlier]:
    found = []
    for run in runs:
        with contextlib.suppress(ArtifactError):
            found.append(Earlier(run.run_id, run.envelope(phase), partial(_stored, run, phase)))
    return found


def _stored(run: Run, phase: str, name: str) -> pa.Table | None:
    try:
        if name:
            return run.store.side(run.graph.name, run.run_id, phase, name)
        return run.arrow(phase) if run.graph.phase(phase).makes == "table" else None
    except (ArtifactError, DeclarationError, StorageError):
        return None


def _registered(run: Run) -> Mapping[str, Any]:
    try:
        return run.document(run.graph.first.name)
    except ArtifactError:
        return {}


def _is_repetition(registered: Mapping[str, Any]) -> bool:
    """Whether a run was begun like another: a what-if, which says what settings do and not what is usual."""
    return bool(registered.get("like"))


def _kind_of_run(run: Run, registered: Mapping[str, Any]) -> tuple[str, str, bool]:
    """What makes runs comparable: their series, and whether they looked at a sample only."""
    if not registered:
        return ("", run.run_id, False)
    return (series_of(registered), "", registered.get("settings", {}).get("sample") is not None)


def _began(run: Run) -> tuple[datetime, int, str]:
    moment, place = started_at(run.run_id, None)
    if moment == datetime.min.replace(tzinfo=UTC):  # an ID that somebody typed
        with contextlib.suppress(ArtifactError):
            moment = run.envelope(run.graph.first.name).started_at
    return (moment, place, run.run_id)


def _as_of(run: Run) -> datetime:
    return datetime.fromisoformat(str(run.document(run.graph.first.name)["as_of"]))
