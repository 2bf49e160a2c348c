"""What works by itself, of all graphs: the job `new_run` with its sensor, schedules, and the other sensors.

Belongs here: their names, and which of them a project gets. All ship stopped but the one that goes on with `new_run`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from enrich_assets.defs.inbox import inbox_sensor
from enrich_assets.defs.keep_schedule import keeping
from enrich_assets.defs.new_run import continuing_sensor, new_run_job
from enrich_assets.defs.notices import failure_sensor, success_sensor
from enrich_assets.defs.schedules import daily_schedule
from enrich_assets.defs.watching import budget_sensor, overdue_sensor
from enrich_assets.engine.graph import Graph
from enrich_assets.graphs.presets import preset_names


@dataclass(frozen=True)
class Automation:
    """Jobs, schedules and sensors, to be put into definitions."""

    jobs: list[Any] = field(default_factory=list)
    schedules: list[Any] = field(default_factory=list)
    sensors: list[Any] = field(default_factory=list)


def automation(
    graph_jobs: Mapping[str, Sequence[Any]],
    graphs: Sequence[Graph],
    keys: Set[dg.AssetKey],
    *,
    prefix: Sequence[str],
    daily_at: str,
) -> Automation:
    """The automation of graphs, of which `graph_jobs` has the jobs by name, the one of all phases first, and `keys` the
    assets."""
    made = Automation()
    for graph in graphs:
        whole = graph_jobs[graph.name][0]
        if preset_names(graph.name):
            name = "_".join([*prefix, *([graph.name] if graph.prefixed else []), "new_run"])
            new_run = new_run_job(graph, name)
            made.jobs.append(new_run)
            made.sensors.append(continuing_sensor(f"{name}_continues", new_run, whole))
            made.schedules.append(daily_schedule(graph, f"{whole.name}_daily", whole, at=daily_at))
        made.sensors.append(inbox_sensor(graph, f"{whole.name}_inbox", whole))
        made.sensors.append(overdue_sensor(graph, f"{whole.name}_overdue"))
    for kind, one in zip((made.jobs, made.schedules), keeping("_".join([*prefix, "keep"]), graphs), strict=True):
        kind.append(one)
    names = [job.name for jobs in graph_jobs.values() for job in jobs] + [job.name for job in made.jobs]
    made.sensors.append(failure_sensor("_".join([*prefix, "webhook_failed"]), graphs, names, keys))
    made.sensors.append(success_sensor("_".join([*prefix, "webhook_done"]), graphs))
    made.sensors.append(budget_sensor("_".join([*prefix, "webhook_budget"])))
    return made
