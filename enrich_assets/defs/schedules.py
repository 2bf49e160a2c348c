"""Schedules: a run a day. Shipped stopped; switched on in the UI.

https://docs.dagster.io/guides/automate/schedules
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from enrich_assets.core.errors import UserError
from enrich_assets.core.named_paths import spelled_out
from enrich_assets.defs.registered import settings_tag
from enrich_assets.defs.resources import LEDGER, STORE, opened
from enrich_assets.defs.runs import Origin, begin_run
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import utc_now
from enrich_assets.engine.series import series_of_file
from enrich_assets.graphs.presets import DEFAULT_PRESET, load_settings_file

DAILY_SETTINGS = "ENRICH_DAILY_SETTINGS"
"""Environment variable: the preset of the daily run, or the path of a settings file."""
_DAY = timedelta(days=1)


def daily_schedule(
    graph: Graph, name: str, graph_job: Any, *, at: str, now: Callable[[], datetime] = utc_now
) -> dg.ScheduleDefinition:
    """One run a day at `at` (HH:MM, UTC).

    The run's ID is that of the scheduled moment, so however late or often a tick comes, it makes one run.
    """

    @dg.schedule(
        name=name,
        cron_schedule=_cron(at),
        execution_timezone="UTC",
        job=graph_job,
        required_resource_keys={STORE, LEDGER},
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"A run of {graph.name} every day at {at} UTC, with the preset or settings file that "
        f"{DAILY_SETTINGS} names (default {DEFAULT_PRESET}).",
    )
    def daily(context, **_):  # type: ignore[no-untyped-def]  # Dagster reads annotations, and as text refuses them
        moment = context.scheduled_execution_time.astimezone(UTC)
        if now() - moment >= _DAY:
            return dg.SkipReason(f"{moment:%Y-%m-%d %H:%M} UTC is more than a day ago: the newest tick makes the run.")
        origin = Origin(moment, f"Begun by the schedule {name} of {moment:%Y-%m-%d %H:%M} UTC.")
        run_id, tag = _begin(context, graph, origin)
        # Tells a second tick of this moment apart from a first one: Dagster launches a run key once.
        return dg.RunRequest(run_key=run_id, partition_key=run_id, tags=tag)

    return daily


def _begin(context: Any, graph: Graph, origin: Origin) -> tuple[str, dict[str, str]]:
    """The run of a tick, and the tag of its launch."""
    named = os.environ.get(DAILY_SETTINGS, "").strip() or DEFAULT_PRESET
    given: dict[str, Any] = {"preset": named}
    if named.endswith((".yaml", ".yml", ".json")):
        path = spelled_out(named, DAILY_SETTINGS)
        given = {"values": load_settings_file(path), "where": str(path), "series": series_of_file(path)}
    with opened(context.resources) as (store, ledger):
        run_id = begin_run(graph, store=store, ledger=ledger, instance=context.instance, origin=origin, **given)
        return run_id, settings_tag(run_id, ledger)


def _cron(at: str) -> str:
    try:
        moment = datetime.strptime(at, "%H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise UserError(f"{at!r:.20} is no time of day.", where="daily_at", fix="Write HH:MM, like 06:00.") from None
    return f"{moment.minute} {moment.hour} * * *"
