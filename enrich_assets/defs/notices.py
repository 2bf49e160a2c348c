"""Sensors that tell a webhook how launches ended: why one failed, or that one is done. Shipped stopped.

Launches of terminals count too, and those of other people's jobs that hold our phases.
https://docs.dagster.io/guides/automate/sensors/run-status-sensors
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import dagster as dg

from enrich_assets.core import errors
from enrich_assets.core.errors import RunIdError
from enrich_assets.core.run_id import valid_run_id
from enrich_assets.core.units import money
from enrich_assets.defs.ended import stands_out
from enrich_assets.defs.new_run import RUN_TAG
from enrich_assets.defs.resources import LEDGER, STORE, opened
from enrich_assets.defs.webhook import WEBHOOK_URL, message, send, ui_link, webhook_is_set
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.progress import unknown_outcomes
from enrich_assets.store.store import Store

_PARTITION_TAG = "dagster/partition"
_SENSOR_SECONDS = 15


def failure_sensor(
    name: str, graphs: Sequence[Graph], jobs: Sequence[str], keys: Set[dg.AssetKey]
) -> dg.SensorDefinition:
    """Tells the webhook of each failed launch: phase, reason, rows, cost, link, next command.

    `jobs` and `keys` are the names of our jobs and the keys of our assets: by them a launch is ours although nothing is
    registered for what it was launched with.
    """
    return _sensor(
        name,
        dg.DagsterRunStatus.FAILURE,
        f"Tells the webhook of {WEBHOOK_URL} of each launch that failed: phase, reason, rows, cost, and how to go on.",
        lambda context, _, ledger: failure_message(context, graphs, jobs, keys, ledger),
    )


def success_sensor(name: str, graphs: Sequence[Graph]) -> dg.SensorDefinition:
    """Tells the webhook of each launch that succeeded: phases, rows, cost, link, next command."""
    return _sensor(
        name,
        dg.DagsterRunStatus.SUCCESS,
        f"Tells the webhook of {WEBHOOK_URL} of each launch that is done: phases, rows, cost, and how to look at it.",
        lambda context, store, ledger: success_message(context, graphs, store, ledger),
    )


def failure_message(
    context: Any, graphs: Sequence[Graph], jobs: Sequence[str], keys: Set[dg.AssetKey], ledger: Ledger
) -> str:
    """The message about a failed launch; '' for one that is not ours."""
    launch = context.dagster_run
    run_id = launch.tags.get(_PARTITION_TAG, "")
    registered = _registered(run_id, ledger)
    step, reason = _failure(context)
    if registered is None and launch.job_name not in jobs and not _is_of(launch, step, keys):
        return ""
    link = ("launch", ui_link(f"runs/{launch.run_id}"))
    if registered is None:
        # A single asset that is materialized has a job of Dagster's own, whose name tells nobody anything.
        what = step.split("__")[-1] if launch.job_name not in jobs else launch.job_name
        return message(f"{what or 'A launch'} {run_id}".strip() + " failed", [("reason", reason), link])
    graph = next((graph for graph in graphs if graph.name == registered.get("graph")), None)
    phase = next((name for name in graph.names if name == step.split("__")[-1]), "") if graph is not None else ""
    shown = {str(row["phase"]): row for row in ledger.phases(run_id)}.get(phase, {})
    facts = [
        ("phase", phase),
        ("reason", reason),
        ("rows", _rows(shown)),
        ("cost", _cost(run_id, ledger)),
        link,
        ("next", f"enrich resume {run_id}"),
    ]
    where = f" at {phase}" if phase else ""
    return message(f"{_named(run_id, registered)} failed{where}", facts, settings=registered["settings"])


def success_message(context: Any, graphs: Sequence[Graph], store: Store, ledger: Ledger) -> str:
    """The message about a launch that succeeded; '' for one that is not ours, or executed no phase."""
    launch = context.dagster_run
    run_id = launch.tags.get(_PARTITION_TAG, "")
    registered = _registered(run_id, ledger)
    graph = next((graph for graph in graphs if registered and graph.name == registered.get("graph")), None)
    if registered is None or graph is None or RUN_TAG in launch.tags:
        return ""
    done = [row for row in ledger.phases(run_id) if row["status"] == "complete"]
    is_complete = {str(row["phase"]) for row in done} == set(graph.names)
    tables = [row for row in done if row["rows_in"] is not None and row["rows_out"] is not None]
    facts = [
        ("phases", f"{len(done)} of {len(graph.names)} complete"),
        (
            "rows",
            f"{max(row['rows_out'] for row in tables):,} in, {tables[-1]['rows_out']:,} out" if tables else "none",
        ),
        ("cost", _cost(run_id, ledger)),
        *(("stands out", sentence) for sentence in stands_out(graph, run_id, store)),
        ("launch", ui_link(f"runs/{launch.run_id}")),
        ("next", f"enrich show {run_id}" if is_complete else f"enrich resume {run_id}"),
    ]
    what = "is complete" if is_complete else "went on; not all of its phases are complete"
    return message(f"{_named(run_id, registered)} {what}", facts, settings=registered["settings"])


def _sensor(name: str, status: dg.DagsterRunStatus, description: str, told: Any) -> dg.SensorDefinition:
    def tell(context):  # type: ignore[no-untyped-def]  # Dagster reads annotations, and as text refuses them
        if not webhook_is_set():
            return dg.SkipReason(f"{WEBHOOK_URL} is not set: nobody is told.")
        with opened(context.resources) as (store, ledger):
            text = told(context, store, ledger)
        if text:
            send(text, context.log)
        return None

    return dg.RunStatusSensorDefinition(
        name,
        status,
        tell,
        minimum_interval_seconds=_SENSOR_SECONDS,
        description=description,
        # What a terminal executes belongs to no code location, and would not be seen otherwise.
        monitor_all_code_locations=True,
        required_resource_keys={STORE, LEDGER},
    )


def _rows(shown: Mapping[str, Any]) -> str:
    """How far a phase came; rows that failed were worked on to their end too, and are not called done."""
    if not shown.get("rows_in"):
        return "none done"
    failed = shown.get("failed") or 0
    done = f"{max((shown['rows_done'] or 0) - failed, 0):,} of {shown['rows_in']:,} done"
    return f"{done}, {failed:,} failed" if failed else done


def _is_of(launch: dg.DagsterRun, step: str, keys: Set[dg.AssetKey]) -> bool:
    """Whether the launch is one of our assets by themselves: by what was selected, or by the step that failed."""
    return bool(keys & (launch.asset_selection or set())) or step in {key.to_python_identifier() for key in keys}


def _registered(run_id: str, ledger: Ledger) -> Mapping[str, Any] | None:
    """What is registered for a launch's partition; None where it is none of our runs."""
    try:
        return ledger.registration(valid_run_id(run_id))
    except RunIdError:
        return None


def _named(run_id: str, registered: Mapping[str, Any]) -> str:
    title = str(registered.get("title", ""))
    return f"Run {run_id}" + (f" “{title}”" if title else "")


def _cost(run_id: str, ledger: Ledger) -> str:
    spent = ledger.spent(run_id)
    note = unknown_outcomes(spent.unsettled)
    return money(spent.total) + (f" ({note})" if note else "")


def _failure(context: Any) -> tuple[str, str]:
    """Step and reason of a failed launch, as far as its log tells."""
    kind = dg.DagsterEventType.STEP_FAILURE
    for record in context.instance.get_records_for_run(context.dagster_run.run_id, of_type=kind).records:
        event = record.event_log_entry.dagster_event
        data = event.event_specific_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            return str(event.step_key), str(data.user_failure_data.description)
        return str(event.step_key), _cause(data.error)
    data = context.dagster_event.event_specific_data
    error = getattr(data, "error", None)
    return "", _cause(error) if error is not None else str(context.dagster_event.message or "the launch ended")


def _cause(error: Any) -> str:
    # What caused an error of our own is its detail, which says neither where nor what to do.
    while error is not None and error.cause is not None and not hasattr(errors, str(error.cls_name)):
        error = error.cause
    if error is None:
        return "unknown"
    first = next(iter(str(error.message).strip().splitlines()), "")
    # Dagster writes the error's type before its message.
    return first.removeprefix(f"{error.cls_name}: ").removeprefix(f"enrich_assets.core.errors.{error.cls_name}: ")
