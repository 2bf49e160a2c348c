"""Which process executes a launch, and closing the launches whose process is gone.

Belongs here: what Dagster cannot know by itself. Of a process on another machine only the lease that it held can tell,
and only when it died within a phase. Dagster fails a launched worker that dies alone, through the code server
that started it; a launch that ran within a command, or whose code server died too, it leaves STARTED for ever.
"""

from __future__ import annotations

import os

import dagster as dg

from enrich_assets.core.units import duration
from enrich_assets.engine.leases import is_dead, this_process
from enrich_assets.engine.ledger import Ledger

PROCESS_TAG = ".dagster/enrich_process"
"""Tag of a launch: machine, number and beginning of the process that executes it, and the launch's own ID.

The ID is in it because a retry inherits the tags of the launch that failed. What begins with .dagster/ the UI hides: in
its list of launches this would stand under every one, and is for nobody to read.
"""

SILENT_SECONDS = 300.0
"""How long the lease of a process elsewhere has to have been over for its launch to be closed without need: a database
that was away for a minute, or a machine that slept, is no death."""
_PARTITION_TAG = "dagster/partition"
_NO_RETRY = {"dagster/max_retries": "0"}
_OPEN = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def process_tag(launch_id: str) -> dict[str, str]:
    """The tag of a launch that this process executes."""
    return {PROCESS_TAG: f"{this_process()} {launch_id}"}


def note_process(context: dg.AssetExecutionContext) -> None:
    """Tags the context's launch with this process, once; not where each step is a process of its own."""
    if context.job_def.executor_def.name != dg.in_process_executor.name:
        return
    if context.run.tags.get(PROCESS_TAG) != (tag := process_tag(context.run.run_id))[PROCESS_TAG]:
        context.instance.add_run_tags(context.run.run_id, tag)


def close_dead_launches(
    instance: dg.DagsterInstance,
    run_id: str | None = None,
    *,
    ended: int = 0,
    ledger: Ledger | None = None,
    silent_seconds: float = SILENT_SECONDS,
) -> list[str]:
    """Closes launches whose process on this machine is gone, or is the process `ended`; gives their IDs.

    With a `ledger` also those whose process on another machine let the lease of its phase run out so long ago. It can
    write nothing any more as soon as another process takes the phase; of one that died between two phases nobody knows.
    They become failed, and canceled where that was asked for. The daemon does not retry them: whoever closes a launch
    goes on with the run himself.
    """
    closed = []
    tags = {} if run_id is None else {_PARTITION_TAG: run_id}
    for launch in instance.get_runs(filters=dg.RunsFilter(statuses=_OPEN, tags=tags)):
        holder, _, launch_id = launch.tags.get(PROCESS_TAG, "").partition(" ")
        if launch_id != launch.run_id:
            continue
        told = "The process that executed this launch ended before it was done."
        if not (is_dead(holder) or _is_process(holder, ended)):
            partition = launch.tags.get(_PARTITION_TAG, "")
            silent = None if ledger is None else ledger.silent_seconds(partition, holder)
            if silent is None or silent < silent_seconds:
                continue
            machine = holder.partition(":")[0]
            told = f"The process on {machine} that executed this launch let its lease run out {duration(silent)} ago."
        if launch.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(launch, "It was cancelled, and the process that executed it ended.")
        else:
            instance.add_run_tags(launch.run_id, _NO_RETRY)
            instance.report_run_failed(launch, told)
        closed.append(launch.run_id)
    return closed


def _is_process(holder: str, number: int) -> bool:
    return number == os.getpid() and holder == this_process()
