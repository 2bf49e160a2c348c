"""Executing phases of a run in this process: visible in the UI, no daemon needed.

Belongs here: which phases a command executes, and how. Beginning a run belongs to `defs.runs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import ArtifactError
from enrich_assets.defs.build import asset_key, build_definitions, job_name
from enrich_assets.defs.partitions import add_run
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.resume import Standing, standings
from enrich_assets.store.store import Store

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Launched:
    """How a launch ended. `failure` is the sentence for people, `failed_phase` where it happened."""

    run_id: str
    launch_id: str
    succeeded: bool
    failed_phase: str = ""
    failure: str = ""


def where_it_stands(graph: Graph, run_id: str, store: Store) -> list[Standing]:
    """The standing of each phase of a run, every artifact verified."""
    found: dict[str, Envelope | ArtifactError] = {}
    resolved: Any = None
    for phase in graph.phases:
        try:
            found[phase.name] = store.verify(graph.name, run_id, phase.name)
        except ArtifactError as error:
            found[phase.name] = error
    if isinstance(found[graph.first.name], Envelope):
        resolved = (store.load(graph.name, run_id, graph.first.name).document or {}).get("settings")
    return standings(graph, found, resolved)


def execute(graph: Graph, run_id: str, phases: Sequence[Phase], *, instance: dg.DagsterInstance) -> Launched:
    """Executes the given phases of a run in this process, in order; the first failure ends it."""
    definitions = build_definitions(graphs=[graph])
    add_run(instance, graph, run_id)
    job = definitions.resolve_job_def(job_name(graph))
    result = job.execute_in_process(
        instance=instance,
        partition_key=run_id,
        asset_selection=[asset_key(graph, phase) for phase in phases],
        run_config=_QUIET,
        raise_on_error=False,
    )
    phase, failure = ("", "") if result.success else _first_failure(result, graph)
    return Launched(run_id, result.run_id, result.success, phase, failure)


def _first_failure(result: Any, graph: Graph) -> tuple[str, str]:
    for event in result.all_events:
        if event.event_type_value != "STEP_FAILURE":
            continue
        phase = next((name for name in graph.names if event.step_key.endswith(name)), event.step_key)
        data = event.event_specific_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            return phase, str(data.user_failure_data.description)
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        message = str(error.message).strip() if error is not None else "unknown"
        return phase, message.splitlines()[0].removeprefix(f"{getattr(error, 'cls_name', '')}: ")
    return "", "the launch ended without saying why"
