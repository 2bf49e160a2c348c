"""Executing phases of a run in this process: visible in the UI, no daemon needed.

Belongs here: which phases a command executes, and how. Beginning a run belongs to `defs.runs`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from enrich_assets.core import errors
from enrich_assets.defs.build import asset_key, build_definitions, job_name
from enrich_assets.defs.partitions import add_run
from enrich_assets.defs.standing import where_it_stands as where_it_stands
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Phase

PROCESS_TAG = "enrich/process"
"""Tag of a launch: host and process that execute it, so that a launch whose process died can be closed."""

_PARTITION_TAG = "dagster/partition"
_OPEN = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
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
    try:
        result = job.execute_in_process(
            instance=instance,
            partition_key=run_id,
            asset_selection=[asset_key(graph, phase) for phase in phases],
            run_config=_QUIET,
            raise_on_error=False,
            tags={PROCESS_TAG: _process(os.getpid())},
        )
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        close_dead_launches(instance, run_id, ended=os.getpid())
        raise KeyboardInterrupt from None
    if not result.success and _was_interrupted(result):
        raise KeyboardInterrupt
    phase, failure = ("", "") if result.success else _first_failure(result, graph)
    return Launched(run_id, result.run_id, result.success, phase, failure)


def close_dead_launches(instance: dg.DagsterInstance, run_id: str | None = None, *, ended: int = 0) -> list[str]:
    """Reports launches as failed whose process on this host is gone, or is the process `ended`; gives their IDs.

    Dagster itself leaves such a launch STARTED for ever: its run monitoring does not see what ran in process.
    """
    closed = []
    tags = {} if run_id is None else {_PARTITION_TAG: run_id}
    for launch in instance.get_runs(filters=dg.RunsFilter(statuses=_OPEN, tags=tags)):
        host, _, number = launch.tags.get(PROCESS_TAG, "").rpartition(":")
        if host != platform.node() or not number.isdigit():
            continue
        if int(number) == ended or not _is_alive(int(number)):
            instance.report_run_failed(launch, "The process that executed this launch ended before it was done.")
            closed.append(launch.run_id)
    return closed


def _process(number: int) -> str:
    return f"{platform.node()}:{number}"


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


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
