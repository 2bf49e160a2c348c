"""The job that keeps runs, and its schedule: every day, shipped stopped.

https://docs.dagster.io/guides/automate/schedules
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import dagster as dg

from enrich_assets.core.errors import EnrichError
from enrich_assets.defs.keeping import Keeper
from enrich_assets.defs.resources import LEDGER, STORE, opened
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import utc_now
from enrich_assets.store.retention import VARIABLES, Limits

_CRON = "30 3 * * *"


def keeping(name: str, graphs: Sequence[Graph]) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job that archives and deletes old runs of the graphs, and its daily schedule."""

    @dg.op(
        name=f"{name}_runs",
        description=f"Does what enrich keep --apply does, by {', '.join(VARIABLES.values())}.",
        # No output: it would need an IO manager, and in a foreign project take theirs.
        out={},
        required_resource_keys={STORE, LEDGER},
    )
    def keep_runs(context):  # type: ignore[no-untyped-def]  # Dagster reads annotations, and as text refuses them
        try:
            limits = Limits.from_environment(os.environ)
            with opened(context.resources) as (store, ledger):
                known = {graph.name: graph for graph in graphs}
                done = Keeper(known, store, ledger, context.instance, utc_now).apply(limits, context.log.info)
        except EnrichError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        told = f"{len(done.archived)} archived, {len(done.deleted)} deleted, {done.pages} stored pages removed."
        context.log.info(told)
        if done.failures:
            raise dg.Failure(
                f"{told} Not done: {'; '.join(done.failures[:5])}",
                metadata={"not_done": len(done.failures), "next": "enrich keep"},
                allow_retries=False,
            )

    @dg.job(
        name=name,
        description="Archives runs that are no longer among the newest, and deletes old ones. enrich keep shows which.",
        executor_def=dg.in_process_executor,
    )
    def keep():  # type: ignore[no-untyped-def]
        keep_runs()

    schedule = dg.ScheduleDefinition(
        name=f"{name}_daily",
        job=keep,
        cron_schedule=_CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Every day at 03:30 UTC: what enrich keep shows is done.",
    )
    return keep, schedule
