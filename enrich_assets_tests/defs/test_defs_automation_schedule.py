"""The daily schedule: one run a day, however late or often its tick comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.core.errors import SettingsError, UserError
from enrich_assets.defs.build import build_definitions, graph_jobs
from enrich_assets.defs.partitions import partitions_name
from enrich_assets.defs.registered import SETTINGS_TAG
from enrich_assets.defs.schedules import daily_schedule
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room

MOMENT = datetime(2031, 3, 4, 6, 0, tzinfo=UTC)
RUN_ID = "20310304_060000"


def schedule(now: datetime = MOMENT, name: str = "daily") -> dg.ScheduleDefinition:
    return daily_schedule(INTELLIGENCE, name, graph_jobs(INTELLIGENCE)[0], at="06:00", now=lambda: now)


def tick(room: Room, daily: dg.ScheduleDefinition, moment: datetime = MOMENT) -> Any:
    with dg.build_schedule_context(
        instance=room.instance, scheduled_execution_time=moment, resources=build_definitions().resources
    ) as context:
        return daily(context)


@pytest.fixture(autouse=True)
def preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENRICH_DAILY_SETTINGS", "demo")


def runs(room: Room) -> list[tuple[str, str]]:
    with room.ledger() as ledger:
        return sorted((run["run_id"], run["preset"]) for run in ledger.runs())


def test_a_tick_makes_the_run_of_its_moment_and_twenty_hours_late_the_same(room: Room) -> None:
    first = tick(room, schedule())
    late = tick(room, schedule(MOMENT + timedelta(hours=20)))

    assert (first.run_key, first.partition_key) == (RUN_ID, RUN_ID)
    assert first.tags[SETTINGS_TAG] == late.tags[SETTINGS_TAG] != ""
    assert late.run_key == RUN_ID
    assert runs(room) == [(RUN_ID, "demo")]
    assert list(room.instance.get_dynamic_partitions(partitions_name("intelligence"))) == [RUN_ID]


def test_dagster_itself_makes_a_launch_of_the_partition_of_it(room: Room) -> None:
    defs = build_definitions()
    with dg.build_schedule_context(
        instance=room.instance,
        instance_ref=room.instance.get_ref(),
        scheduled_execution_time=MOMENT,
        resources=defs.resources,
        repository_def=defs.get_repository_def(),
    ) as context:
        (request,) = schedule().evaluate_tick(context).run_requests or ()

    assert request.tags["dagster/partition"] == RUN_ID
    assert request.tags["dagster/schedule_name"] == "daily"


def test_of_ticks_that_were_missed_for_days_the_newest_alone_makes_a_run(room: Room) -> None:
    now = MOMENT + timedelta(hours=5)
    made = [tick(room, schedule(now), MOMENT - timedelta(days=days)) for days in (3, 2, 1, 0)]

    assert [type(one).__name__ for one in made] == ["SkipReason"] * 3 + ["RunRequest"]
    assert runs(room) == [(RUN_ID, "demo")]


def test_a_run_of_somebody_else_in_the_same_second_is_left_alone(room: Room) -> None:
    with room.ledger() as ledger:
        ledger.claim_run("intelligence", {"title": "mine", "notes": ["typed by hand"]}, run_id=RUN_ID)
    first, second = tick(room, schedule()), tick(room, schedule())
    other = tick(room, schedule(name="another"))

    assert first.run_key == second.run_key == f"{RUN_ID}-2"
    assert other.run_key == f"{RUN_ID}-3"
    assert len(runs(room)) == 3


def test_the_run_says_who_began_it_and_its_settings_may_come_from_a_file(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "title: Mine\nsources: [{id: a, name: A, url: 'https://a.example/feed.xml'}]\n"
        "categories: [{id: c, name: C, description: D, keywords: [k]}]\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("ENRICH_DAILY_SETTINGS", str(file))
    run_id = tick(room, schedule()).run_key
    with room.ledger() as ledger:
        registered = ledger.registration(run_id) or {}

    as_json = tmp_path / "mine.json"
    as_json.write_text('{"title": "Of JSON", "preset": "demo"}', encoding="utf-8")
    monkeypatch.setenv("ENRICH_DAILY_SETTINGS", str(as_json))
    with pytest.raises(SettingsError, match="sources"):
        tick(room, schedule(), MOMENT + timedelta(minutes=1))

    assert registered["title"] == "Mine"
    assert registered["notes"][-1] == "Begun by the schedule daily of 2031-03-04 06:00 UTC."


def test_settings_that_cannot_be_used_fail_the_tick_and_begin_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENRICH_DAILY_SETTINGS", "demmo")
    with pytest.raises(SettingsError, match=r"Did you mean 'demo'"):
        tick(room, schedule())

    assert runs(room) == []


def test_the_time_of_day_is_the_projects_own() -> None:
    schedules = build_definitions(daily_at="17:45").schedules or ()
    (daily,) = [one for one in schedules if getattr(one, "name", "") == "intelligence_daily"]

    assert isinstance(daily, dg.ScheduleDefinition)
    assert (daily.cron_schedule, daily.execution_timezone) == ("45 17 * * *", "UTC")
    with pytest.raises(UserError, match="is no time of day"):
        build_definitions(daily_at="noon")
