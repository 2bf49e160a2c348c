"""Sensors that look at the ledger now and then: has no run been complete for long, is a budget nearly spent.

Shipped stopped. Each tells the webhook once of the same thing, and again when it could not be told.
https://docs.dagster.io/guides/automate/sensors
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from enrich_assets.core.errors import UserError
from enrich_assets.core.units import money
from enrich_assets.defs.resources import LEDGER, STORE, opened
from enrich_assets.defs.webhook import WEBHOOK_URL, message, send, ui_link, webhook_is_set
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger, utc_now
from enrich_assets.engine.spending import Spent

OVERDUE_HOURS = "ENRICH_OVERDUE_HOURS"
"""Environment variable: how long no complete run is borne."""
_USUAL_HOURS = 36.0
"""A daily run and half a day's patience."""
BUDGET_SHARE = 0.8
_NEWEST_RUNS = 50
_SENSOR_SECONDS = 300


def overdue_sensor(graph: Graph, name: str, *, now: Callable[[], datetime] = utc_now) -> dg.SensorDefinition:
    """Tells the webhook when no run of a graph has been complete for so many hours; once until one is."""

    def look(context):  # type: ignore[no-untyped-def]  # Dagster reads annotations, and as text refuses them
        hours, moment = _hours(), now()
        known = json.loads(context.cursor) if context.cursor else {"since": moment.isoformat(), "told": ""}
        with opened(context.resources) as (_, ledger):
            ended = _last_complete(graph, ledger)
        # Where there never was one, the time counts from the sensor's first look.
        last = ended or known["since"]
        waited = moment - datetime.fromisoformat(last)
        if waited < timedelta(hours=hours):
            return _result(known, f"{_last(ended)}: less than {hours:g} hours ago.")
        text = message(
            f"No run of {graph.name} has been complete for {waited / timedelta(hours=1):,.0f} hours",
            [
                ("last", _last(ended)),
                ("launches", ui_link("runs")),
                ("next", "enrich runs, then enrich resume RUN or enrich run"),
            ],
        )
        is_told = known["told"] == last or _told(text, context)
        return _result({**known, "told": last if is_told else known["told"]}, text)

    return _sensor(
        name,
        f"Tells the webhook of {WEBHOOK_URL} when no run of {graph.name} has been complete for {OVERDUE_HOURS} hours "
        f"(default {_USUAL_HOURS:g}); once, until one is.",
        look,
    )


def budget_sensor(name: str) -> dg.SensorDefinition:
    """Tells the webhook when 80 % of a day's, a month's or a run's budget are spent or reserved; once for each."""

    def look(context):  # type: ignore[no-untyped-def]
        before = set(json.loads(context.cursor)) if context.cursor else set()
        with opened(context.resources) as (_, ledger):
            near = list(_nearly_spent(ledger, utc_now()))
        told = []
        for mark, text in near:
            if mark in before or _told(text, context):
                told.append(mark)
        return _result(told, "; ".join(text for _, text in near) or "No budget is nearly spent.")

    return _sensor(
        name,
        f"Tells the webhook of {WEBHOOK_URL} when {BUDGET_SHARE:.0%} of the budget of the day, the month or a run are "
        "spent or reserved; once for each.",
        look,
    )


def _sensor(name: str, description: str, look: Any) -> dg.SensorDefinition:
    return dg.SensorDefinition(
        name=name,
        evaluation_fn=look,
        minimum_interval_seconds=_SENSOR_SECONDS,
        description=description,
        required_resource_keys={STORE, LEDGER},
        default_status=dg.DefaultSensorStatus.STOPPED,
    )


def _result(cursor: Any, said: str) -> dg.SensorResult:
    return dg.SensorResult(cursor=json.dumps(cursor), skip_reason=said)


def _told(text: str, context: Any) -> bool:
    if not webhook_is_set():
        context.log.warning(f"{WEBHOOK_URL} is not set: nobody is told.")
        return False
    return send(text, context.log)


def _last_complete(graph: Graph, ledger: Ledger) -> str:
    """When the newest complete run ended, as ISO text in UTC; '' where none is."""
    runs = {str(run["run_id"]) for run in ledger.runs(graph.name)}
    ended = [
        str(row["ended_at"])
        for row in ledger.phases()
        if row["phase"] == graph.last.name and row["status"] == "complete" and row["run_id"] in runs and row["ended_at"]
    ]
    return max(ended, default="")


def _last(ended: str) -> str:
    return f"the last one ended {datetime.fromisoformat(ended):%Y-%m-%d %H:%M} UTC" if ended else "there is none"


def _nearly_spent(ledger: Ledger, moment: datetime) -> Iterator[tuple[str, str]]:
    """Each budget that is nearly spent: a mark that stays the same, and the message."""
    day, month = ledger.spent_today()
    yield from _noted(f"day/{moment:%Y-%m-%d}", f"the day {moment:%Y-%m-%d}", day, "--day-usd")
    yield from _noted(f"month/{moment:%Y-%m}", f"the month {moment:%Y-%m}", month, "--month-usd")
    runs = [str(run["run_id"]) for run in ledger.runs(limit=_NEWEST_RUNS)]
    for run_id, spent in zip(runs, ledger.totals([f"run/{run_id}" for run_id in runs]), strict=True):
        if spent.spent + spent.reserved <= 0:
            continue
        cap = spent.cap if spent.cap is not None else _own_budget(run_id, ledger)
        capped = Spent(spent.spent, spent.reserved, spent.unsettled, spent.unpriced, cap)
        yield from _noted(f"run/{run_id}", f"run {run_id}", capped, f"{run_id} --usd")


def _own_budget(run_id: str, ledger: Ledger) -> float | None:
    settings = (ledger.registration(run_id) or {}).get("settings", {})
    cap = (settings.get("budget") or {}).get("run_usd")
    return None if cap is None else float(cap)


def _noted(scope: str, whose: str, spent: Spent, how: str) -> Iterator[tuple[str, str]]:
    taken, cap = spent.spent + spent.reserved, spent.cap
    if not cap or taken < BUDGET_SHARE * cap:
        return
    facts = [
        ("spent", money(spent.spent)),
        ("reserved", money(spent.reserved) if spent.reserved else ""),
        ("budget", money(cap)),
        ("launches", ui_link("runs")),
        ("next", f"enrich budget {how} AMOUNT raises it"),
    ]
    # Another budget is another mark: told of 80 % of 10 USD, people are told of 80 % of 20 again.
    yield f"{scope}@{cap}", message(f"{taken / cap:.0%} of the budget of {whose} is spent", facts)


def _hours() -> float:
    given = os.environ.get(OVERDUE_HOURS, "").strip()
    try:
        hours = float(given) if given else _USUAL_HOURS
    except ValueError:
        hours = 0.0
    if not 0 < hours < 100_000:
        raise UserError(f"{given!r:.40} is no number of hours.", where=OVERDUE_HOURS, fix="Set it to hours, like 36.")
    return hours
