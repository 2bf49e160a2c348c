"""The factory: graphs become Dagster definitions. One asset a phase, its checks beside it, jobs for the whole.

What it makes is pinned by a test and listed in docs/assets.md, so that nothing is hidden by the factory.
https://docs.dagster.io/guides/build/assets/defining-assets
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from enrich_assets.defs.automation import automation
from enrich_assets.defs.body import run_asset
from enrich_assets.defs.findings import NOTHING_STANDS_OUT, what_would_stand_out
from enrich_assets.defs.io_managers import DOCUMENTS, TABLES, UP_TO, io_managers
from enrich_assets.defs.launchpad import first_phase_fields
from enrich_assets.defs.metadata import column_schema
from enrich_assets.defs.partitions import runs_of
from enrich_assets.defs.resources import LEDGER, MODELS, STORE, WEB, resources
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.phase import Phase
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.graphs.presets import preset_names

OWNERS = ("team:enrich",)
_PREVIEW = r"Specifying a partitions_def on an AssetCheckSpec is currently in preview"


def build_definitions(
    *,
    key_prefix: str | Sequence[str] = (),
    graphs: Sequence[Graph] | None = None,
    daily_at: str = "06:00",
    fresh_hours: float = 36.0,
) -> dg.Definitions:
    """The definitions of the given graphs, by default all, ready to be merged into another project's.

    `key_prefix` goes before every asset key, and before the names of jobs, schedules and sensors. `daily_at` (UTC) is
    when the daily schedules begin a run; `fresh_hours` after the last report the UI shows it as overdue. Neither an
    executor nor a resource of a common name is set.
    """
    prefix = (key_prefix,) if isinstance(key_prefix, str) else tuple(key_prefix)
    chosen = list(GRAPHS.values()) if graphs is None else list(graphs)
    assets = [_asset(graph, phase, prefix, fresh_hours) for graph in chosen for phase in graph.phases]
    jobs = {graph.name: graph_jobs(graph, prefix) for graph in chosen}
    keys = {asset.key for asset in assets}
    automated = automation(jobs, chosen, keys, prefix=prefix, daily_at=daily_at)
    return dg.Definitions(
        assets=assets,
        jobs=[*(job for made in jobs.values() for job in made), *automated.jobs],
        schedules=automated.schedules,
        sensors=automated.sensors,
        resources={**resources(), **io_managers()},
    )


def asset_key(graph: Graph, phase: Phase, prefix: Sequence[str] = ()) -> dg.AssetKey:
    """The key of a phase's asset."""
    own = (graph.name, phase.name) if graph.prefixed else (phase.name,)
    return dg.AssetKey([*prefix, *own])


def graph_jobs(graph: Graph, prefix: Sequence[str] = ()) -> list[Any]:
    """The jobs of a graph: the whole, and from each phase down. One phase is that asset materialized."""
    keys = {phase.name: asset_key(graph, phase, prefix) for phase in graph.phases}
    jobs = [
        dg.define_asset_job(
            job_name(graph, prefix),
            selection=dg.AssetSelection.assets(*keys.values()),
            description=f"{graph.description} All phases of a run.",
            executor_def=dg.in_process_executor,
        )
    ]
    for phase in graph.phases[1:]:
        selection = dg.AssetSelection.assets(*(keys[p.name] for p in (phase, *graph.after(phase))))
        jobs.append(
            dg.define_asset_job(
                f"{job_name(graph, prefix)}_from_{phase.name}",
                selection=selection,
                description=f"Continues a run of {graph.name} at {phase.name}.",
                executor_def=dg.in_process_executor,
            )
        )
    return jobs


def job_name(graph: Graph, prefix: Sequence[str] = ()) -> str:
    """Name of the job that runs a whole graph."""
    return "_".join([*prefix, graph.name])


def _asset(graph: Graph, phase: Phase, prefix: Sequence[str], fresh_hours: float) -> dg.AssetsDefinition:
    key = asset_key(graph, phase, prefix)
    # One input is loaded by Dagster; the body reads the others, of which Dagster only knows the edge: each loaded input
    # costs two events and several connections to the event log.
    main = graph.main_input(phase)
    others = [name for name in graph.upstream(phase) if main is None or name != main.name]
    module = graph.code_fingerprint(phase)

    @dg.asset(
        key=key,
        ins={main.name: _input(graph, main, prefix)} if main is not None else {},
        deps=[asset_key(graph, graph.phase(name), prefix) for name in others],
        description=phase.description,
        group_name=graph.name,
        kinds=_kinds(phase),
        owners=list(OWNERS),
        code_version=module[:12],
        partitions_def=runs_of(graph.name),
        # No backfill policy: then a backfill launches each run by itself, and can resume it by itself.
        freshness_policy=_freshness(fresh_hours) if phase is graph.last else None,
        io_manager_key=DOCUMENTS if phase.makes == "document" else TABLES,
        required_resource_keys={STORE, LEDGER, MODELS, WEB},
        config_schema=_launchpad(graph, phase, key),
        metadata=_definition_metadata(graph, phase),
        check_specs=_check_specs(graph, phase, key),
    )
    def body(context, **inputs):  # type: ignore[no-untyped-def]  # Dagster reads annotations, and as text refuses them
        return run_asset(context, graph, phase, inputs)

    return body


def _input(graph: Graph, phase: Phase, prefix: Sequence[str]) -> dg.AssetIn:
    up_to_it = " ".join(graph.names[: graph.number(phase)])
    return dg.AssetIn(key=asset_key(graph, phase, prefix), metadata={UP_TO: up_to_it})


def _check_specs(graph: Graph, phase: Phase, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Each of Dagster's own commands would say so once a check; nobody who reads it can change it.
        warnings.filterwarnings("ignore", message=_PREVIEW, category=dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=key,
                description=check.description,
                blocking=check.blocking,
                partitions_def=runs_of(graph.name),
            )
            for check in phase.checks
        ] + [
            dg.AssetCheckSpec(NOTHING_STANDS_OUT, asset=key, description=spec, partitions_def=runs_of(graph.name))
            for spec in what_would_stand_out(phase)
        ]


def _launchpad(graph: Graph, phase: Phase, key: dg.AssetKey) -> Any:
    """The launchpad's fields of a graph's first phase; the others have none: they read what it froze."""
    presets = preset_names(graph.name)
    return first_phase_fields(key.to_python_identifier(), presets) if phase is graph.first and presets else None


def _freshness(hours: float) -> dg.FreshnessPolicy:
    # The warning comes when two thirds are over: of 36 hours after a day.
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=hours), warn_window=timedelta(hours=hours * 2 / 3)
    )


def _kinds(phase: Phase) -> set[str]:
    kinds = {"json" if phase.makes == "document" else "parquet", "python"}
    return kinds | {"llm"} if phase.asks_a_model else kinds


def _definition_metadata(graph: Graph, phase: Phase) -> Mapping[str, Any]:
    metadata: dict[str, Any] = {"graph": graph.name, "phase": phase.name, "number": graph.number(phase)}
    if phase.makes == "table":
        metadata["dagster/column_schema"] = column_schema(graph.columns(phase))
    return metadata
