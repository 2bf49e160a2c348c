"""Executing phases of a run in this process: visible in the UI, no daemon needed.

Belongs here: which phases a command executes, and how. Beginning a run belongs to `defs.runs`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import dagster as dg

from enrich_assets.core import errors
from enrich_assets.defs.build import asset_key, build_definitions, job_name
from enrich_assets.defs.partitions import add_run
from enrich_assets.defs.processes import close_dead_launches as close_dead_launches
from enrich_assets.defs.processes import process_tag
from enrich_assets.defs.standing import where_it_stands as where_it_stands
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Phase

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Launched:
    """How a launch ended. `failure` is the sentence for people, `failed_phase` where it happened."""

    run_id: str
    launch_id: str
    succeeded: bool
    failed_phase: str = ""
    failure: str = ""


def execute(graph: Graph, run_id: str, phases: Sequence[Phase], *, instance: dg.DagsterInstance) -> Launched:
    """Executes the given phases of a run in this process, in order; the first failure ends it.

    Raises KeyboardInterrupt when it is interrupted; the launch is closed then, and the run can be resumed.
    """
    definitions = build_definitions(graphs=[graph])
    add_run(instance, graph, run_id)
    job = definitions.resolve_job_def(job_name(graph))
    launch_id = str(uuid4())
    try:
        result = job.execute_in_process(
            instance=instance,
            partition_key=run_id,
            asset_selection=[asset_key(graph, phase) for phase in phases],
            run_config=_QUIET,
            raise_on_error=False,
            run_id=launch_id,
            tags=process_tag(launch_id),
        )
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        close_dead_launches(instance, run_id, ended=os.getpid())
        raise KeyboardInterrupt from None
    if not result.success and _was_interrupted(result):
        raise KeyboardInterrupt
    phase, failure = ("", "") if result.success else _first_failure(result, graph)
    return Launched(run_id, result.run_id, result.success, phase, failure)


def _was_interrupted(result: Any) -> bool:
    # Without raise_on_error an interrupt within a step comes back as that step's failure.
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            error = event.event_specific_data.error
            while error is not None:
                if error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt"):
                    return True
                error = error.cause
    return False


def _first_failure(result: Any, graph: Graph) -> tuple[str, str]:
    for event in result.all_events:
        if event.event_type_value != "STEP_FAILURE":
            continue
        phase = next((name for name in graph.names if event.step_key.endswith(name)), event.step_key)
        data = event.event_specific_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            return phase, str(data.user_failure_data.description)
        blocked = _failed_checks(result, event.step_key)
        if blocked:
            return phase, blocked
        error = data.error
        while error is not None and error.cause is not None and not _is_ours(error):
            error = error.cause
        # What caused an error of our own is its detail: "[Errno 20] Not a directory" says neither where nor what to do.
        message = str(error.message).strip() if error is not None else "unknown"
        return phase, message.splitlines()[0].removeprefix(f"{getattr(error, 'cls_name', '')}: ")
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None)
        if error is not None:
            while error.cause is not None:
                error = error.cause
            return "", str(error.message).strip().splitlines()[0]
    return "", "the launch ended without saying why"


def _is_ours(error: Any) -> bool:
    return isinstance(kind := getattr(errors, str(error.cls_name), None), type) and issubclass(kind, errors.EnrichError)


def _failed_checks(result: Any, step_key: str) -> str:
    found = [
        e.event_specific_data
        for e in result.all_events
        if e.event_type_value == "ASSET_CHECK_EVALUATION" and e.step_key == step_key
    ]
    failed = [e for e in found if e.blocking and not e.passed]
    told = "; ".join(f"{e.check_name}: {e.description or 'failed'}" for e in failed)
    return f"a blocking check failed, so nothing may be built on it: {told}" if told else ""
