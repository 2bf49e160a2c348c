"""The job `new_run`: a run begun in the launchpad, without a terminal; and the sensor that goes on with it.

Belongs here: the launchpad's fields and what becomes of them. What beginning a run means belongs to `defs.runs`.
https://docs.dagster.io/guides/automate/sensors/run-status-sensors
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from enrich_assets.core.errors import EnrichError, SettingsError
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
        config_schema=_fields(name, presets, usual),
        required_resource_keys={STORE, LEDGER},
    )
    def settings(context):  # type: ignore[no-untyped-def]  # Dagster reads annotations, and as text refuses them
        _begin(context, graph)

    @dg.job(
        name=name,
        description=f"Begins a new run of {graph.name}: choose a preset, change what you like, launch. The phases "
        "start by themselves within seconds, under the run ID that the launch's log and its tag enrich/run tell.",
        executor_def=dg.in_process_executor,
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
        return dg.RunRequest(run_key=run_id, partition_key=run_id)

    return go_on


def changed_settings(given: Any) -> list[str]:
    """Changed settings as `path.to.key=value`, out of a mapping or a list; raises SettingsError.

    A mapping may name a setting by its path (`tier3.threshold: 6`), or hold it below its phase.
    """
    if given is None or given == "":
        return []
    if isinstance(given, Mapping):
        return list(_flat(given, ""))
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Sequence):
        raise SettingsError(
            f"it is {given!r:.80}, not settings with their values.",
            where="overrides",
            fix="Write for example {tier3.threshold: 6}.",
        )
    changed: list[str] = []
    for item in given:
        if isinstance(item, Mapping):
            changed += _flat(item, "")
        elif isinstance(item, str) and "=" in item and item.partition("=")[0].strip():
            changed.append(item)
        else:
            raise SettingsError(
                f"{item!r:.80} is not KEY=VALUE.", where="overrides", fix="Write for example tier3.threshold=6."
            )
    return changed


def _flat(given: Mapping[Any, Any], above: str) -> Iterator[str]:
    for key, value in given.items():
        path = f"{above}{key}".strip()
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}.")
        else:
            # JSON is YAML, as which an override's value is read.
            yield f"{path}={json.dumps(value, ensure_ascii=False, default=str)}"


def _fields(name: str, presets: Sequence[str], usual: str) -> dict[str, Any]:
    return {
        "preset": dg.Field(
            dg.Enum(f"{name}_preset", [dg.EnumValue(preset) for preset in presets]),
            default_value=usual,
            description="The settings that the run starts from.",
        ),
        "title": dg.Field(
            str, default_value="", description="Title of the run, in lists and on its report; empty: the preset's own."
        ),
        "overrides": dg.Field(
            dg.Any,
            default_value={},
            description="Settings that differ from the preset: {tier3.threshold: 6, language: de}, or a list of "
            "KEY=VALUE. docs/settings.md lists all of them.",
        ),
        "sample": dg.Field(
            dg.Noneable(int),
            default_value=None,
            description="Ask models about the first so many rows only, to see what the run would be like; "
            "null: about all of them.",
        ),
    }


def _begin(context: dg.OpExecutionContext, graph: Graph) -> None:
    config = context.op_config
    sample = config["sample"]
    try:
        overrides = [*changed_settings(config["overrides"]), *([] if sample is None else [f"sample={sample}"])]
        with opened(context.resources) as (store, ledger):
            run_id = begin_run(
                graph,
                store=store,
                ledger=ledger,
                instance=context.instance,
                preset=config["preset"],
                overrides=overrides,
                title=config["title"].strip(),
            )
    except EnrichError as error:
        told = str(error).replace("--set: ", "overrides: ").replace("--set ", "")
        raise dg.Failure(
            f"No run was begun: {told}",
            metadata={"next": "Correct it in the launchpad, and launch again."},
            allow_retries=False,
        ) from error
    context.instance.add_run_tags(context.run_id, {RUN_TAG: run_id})
    context.log.info(f"Run {run_id} is begun; its phases start within seconds. To follow it: enrich watch {run_id}")
