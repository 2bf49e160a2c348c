"""The job `new_run`: a run begun in the launchpad, without a terminal; and the sensor that goes on with it.

Belongs here: the job, and what goes on with what it began. The launchpad's fields belong to `defs.launchpad`, what
beginning a run means to `defs.runs`.
https://docs.dagster.io/guides/automate/sensors/run-status-sensors
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from enrich_assets.core.errors import EnrichError
from enrich_assets.defs.launchpad import OVERRIDES, new_run_fields, wanted_of
from enrich_assets.defs.registered import SETTINGS_TAG, settings_tag
from enrich_assets.defs.resources import LEDGER, STORE, opened
from enrich_assets.defs.runs import begin_run
from enrich_assets.engine.graph import Graph
from enrich_assets.graphs.presets import DEFAULT_PRESET, preset_names

RUN_TAG = "enrich/run"
"""Tag of a launch of `new_run`: the run that it began."""
_SENSOR_SECONDS = 5


def new_run_job(graph: Graph, name: str) -> dg.JobDefinition:
    """The job that claims a run and registers its settings. It executes no phase; `continuing_sensor` does."""
    presets = preset_names(graph.name)
    usual = DEFAULT_PRESET if DEFAULT_PRESET in presets else presets[0]
    step = f"{name}_settings"

    @dg.op(
        name=step,
        description="Checks the settings, claims a run ID and registers both. Costs nothing.",
        # No output: it would need an IO manager, and in a foreign project take theirs.
        out={},
        config_schema=new_run_fields(name, presets, usual),
        required_resource_keys={STORE, LEDGER},
    )
    def settings(context):  # type: ignore[no-untyped-def]  # Dagster reads annotations, and as text refuses them
        _begin(context, graph)

    @dg.job(
        name=name,
        description=f"Begins a new run of {graph.name}: choose a preset, change what you like, launch. The phases "
        "start by themselves within seconds, under the run ID that the launch's log and its tag enrich/run tell.",
        executor_def=dg.in_process_executor,
        # Who made a slip in the launchpad learns it at once, and not after the launches that wait for their turn.
        tags={"dagster/priority": "10"},
        config={"ops": {step: {"config": {"preset": usual, "title": "", "overrides": {}, "sample": None}}}},
    )
    def new_run():  # type: ignore[no-untyped-def]
        settings()

    return new_run


def continuing_sensor(name: str, new_run: dg.JobDefinition, graph_job: Any) -> dg.SensorDefinition:
    """Launches the graph for each run that `new_run` began. It is running from the first: an op launches no job."""

    @dg.run_status_sensor(
        name=name,
        description=f"Launches all phases of a run that the job {new_run.name} began. Leave it running.",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[new_run],
        request_job=graph_job,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_SENSOR_SECONDS,
    )
    def go_on(context):  # type: ignore[no-untyped-def]
        run_id = context.dagster_run.tags.get(RUN_TAG, "")
        if not run_id:
            return dg.SkipReason("This launch began no run.")
        tags = {name: value for name, value in context.dagster_run.tags.items() if name == SETTINGS_TAG}
        return dg.RunRequest(run_key=run_id, partition_key=run_id, tags=tags)

    return go_on


def _begin(context: dg.OpExecutionContext, graph: Graph) -> None:
    try:
        wanted = wanted_of(context.op_config)
        with opened(context.resources) as (store, ledger):
            run_id = begin_run(
                graph,
                store=store,
                ledger=ledger,
                instance=context.instance,
                preset=wanted.preset,
                overrides=wanted.overrides,
                overrides_from=OVERRIDES,
                title=wanted.title,
            )
            tags = {RUN_TAG: run_id, **settings_tag(run_id, ledger)}
    except EnrichError as error:
        raise dg.Failure(
            f"No run was begun: {error}",
            metadata={"next": "Correct it in the launchpad, and launch again."},
            allow_retries=False,
        ) from error
    context.instance.add_run_tags(context.run_id, tags)
    context.log.info(f"Run {run_id} is begun; its phases start within seconds. To follow it: enrich watch {run_id}")
