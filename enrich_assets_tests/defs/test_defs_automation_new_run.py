"""The job `new_run`: what its launchpad takes, what it refuses in words for everybody, and how the run goes on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.core.errors import SettingsError
from enrich_assets.defs.build import build_definitions
from enrich_assets.defs.inbox import INBOX
from enrich_assets.defs.launchpad import changed_settings
from enrich_assets.defs.new_run import RUN_TAG
from enrich_assets.defs.partitions import partitions_name
from enrich_assets.defs.registered import SETTINGS_TAG, settings_tag
from enrich_assets.defs.schedules import DAILY_SETTINGS
from enrich_assets.defs.watching import OVERDUE_HOURS
from enrich_assets.defs.webhook import UI_URL, WEBHOOK_URL
from enrich_assets_tests.defs.conftest import Room

LOGGERS = {"console": {"config": {"log_level": "CRITICAL"}}}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_definitions()


def launched(defs: dg.Definitions, room: Room, **config: Any) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("new_run").execute_in_process(
        instance=room.instance,
        run_config={"ops": {"new_run_settings": {"config": config}}, "loggers": LOGGERS},
        raise_on_error=False,
    )


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    told = event.event_specific_data.user_failure_data  # type: ignore[union-attr]
    assert told is not None
    return str(told.description)


def test_a_launch_claims_a_run_with_its_settings_and_adds_its_partition(defs: dg.Definitions, room: Room) -> None:
    result = launched(
        defs, room, preset="demo", title="Harbour news", overrides={"tier3.threshold": 6, "language": "de"}, sample=3
    )
    with room.ledger() as ledger:
        (run,) = ledger.runs()
        settings = ledger.registration(run["run_id"])["settings"]  # type: ignore[index]
    launch = room.instance.get_run_by_id(result.run_id)

    assert result.success
    assert (run["title"], run["preset"]) == ("Harbour news", "demo")
    assert (settings["tier3"]["threshold"], settings["language"], settings["sample"]) == (6, "de", 3)
    assert list(room.instance.get_dynamic_partitions(partitions_name("intelligence"))) == [run["run_id"]]
    assert launch is not None and launch.tags[RUN_TAG] == run["run_id"]
    # Nothing is executed yet: that is the sensor's part.
    assert room.store.runs("intelligence") == []


def test_its_sensor_launches_the_graph_for_the_run_and_once_only(defs: dg.Definitions, room: Room) -> None:
    (sensor,) = [sensor for sensor in defs.sensors or () if sensor.name == "new_run_continues"]
    assert isinstance(sensor, dg.SensorDefinition)

    def tick(cursor: str | None) -> Any:
        with dg.build_sensor_context(
            instance=room.instance, instance_ref=room.instance.get_ref(), cursor=cursor, definitions=defs
        ) as context:
            return sensor.evaluate_tick(context)

    begin = tick(None).cursor
    first = launched(defs, room, preset="demo")
    second = launched(defs, room, preset="demo", title="another")
    launched(defs, room, preset="demo", overrides=["language=nowhere"])
    begun = [dict(room.instance.get_run_by_id(r.run_id).tags)[RUN_TAG] for r in (first, second)]  # type: ignore[union-attr]
    # Dagster looks at one launch a tick.
    ticks = [tick(begin)]
    for _ in range(2):
        ticks.append(tick(ticks[-1].cursor))
    requests = [request for one in ticks for request in one.run_requests]

    assert [(request.run_key, request.partition_key) for request in requests] == [(r, r) for r in begun]
    with room.ledger() as ledger:
        for request, run_id in zip(requests, begun, strict=True):
            assert request.tags[SETTINGS_TAG] == settings_tag(run_id, ledger)[SETTINGS_TAG] != ""
    assert {request.job_name for request in requests} <= {None, "intelligence"}
    assert ticks[2].run_requests == []
    # A cursor that was lost on the way gives the same run key again, which Dagster launches once.
    assert [request.run_key for request in tick(begin).run_requests] == begun[:1]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"overrides": {"tier3.thresold": 6}}, "did you mean 'threshold'"),
        ({"overrides": {"tier3": {"threshold": "high"}}}, "tier3.threshold: should be a number (got 'high'). "),
        ({"overrides": ["tier3.threshold"]}, "'tier3.threshold' is not KEY=VALUE"),
        ({"overrides": {"": 5}}, "overrides: '' names no setting"),
        ({"overrides": {"tier3": {" ": 5}}}, "overrides: ' ' names no setting"),
        ({"overrides": 7}, "it is 7, not settings with their values"),
        ({"sample": 0}, "sample: it is 0, and no number of rows"),
        ({"title": "latest"}, "latest stands for another run"),
        ({"overrides": {"model": "gpt-nowhere"}}, "gpt-nowhere"),
        ({"overrides": {"models": {"own": {"model": "openai/x", "api_key": "sk-0123456789abcdefghij"}}}}, "secret"),
    ],
)
def test_bad_settings_are_told_in_a_sentence_and_nothing_is_begun(
    defs: dg.Definitions, room: Room, config: dict[str, Any], words: str
) -> None:
    result = launched(defs, room, preset="demo", **config)
    told = failure_of(result)
    with room.ledger() as ledger:
        assert ledger.runs() == []

    assert not result.success
    assert told.startswith("No run was begun: ") and words in told
    assert "--set" not in told and "Traceback" not in told and "sk-0123" not in told and "\n" not in told
    assert room.instance.get_dynamic_partitions(partitions_name("intelligence")) == []


def test_every_field_of_the_launchpad_has_a_description_and_a_default_and_presets_are_a_choice(
    defs: dg.Definitions, room: Room
) -> None:
    job = defs.resolve_job_def("new_run")
    (node,) = job.nodes
    fields: Any = node.definition.config_schema.config_type.fields  # type: ignore[attr-defined]

    assert set(fields) == {"preset", "title", "overrides", "sample"}
    assert all(field.description and field.default_provided for field in fields.values())
    assert {value.config_value for value in fields["preset"].config_type.enum_values} == {"ai_news", "demo"}
    assert dg.validate_run_config(job, None) is not None  # all of it may be left out
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(job, {"ops": {"new_run_settings": {"config": {"preset": "nowhere"}}}})


def test_settings_may_be_a_mapping_a_nested_one_or_a_list() -> None:
    assert changed_settings({"tier3.threshold": 6, "language": "de"}) == ["tier3.threshold=6", 'language="de"']
    assert changed_settings({"tier3": {"threshold": 6, "keep": None}}) == ["tier3.threshold=6", "tier3.keep=null"]
    assert changed_settings(["tier3.threshold=6", {"language": "de"}]) == ["tier3.threshold=6", 'language="de"']
    assert changed_settings(None) == changed_settings({}) == changed_settings("") == []
    assert changed_settings("tier3.threshold=6") == ["tier3.threshold=6"]
    with pytest.raises(SettingsError, match="is not KEY=VALUE"):
        changed_settings(["=6"])


def test_only_the_sensor_of_new_run_is_running_when_it_ships(defs: dg.Definitions) -> None:
    sensors = {sensor.name: sensor.default_status.value for sensor in defs.sensors or ()}

    assert [name for name, status in sensors.items() if status == "RUNNING"] == ["new_run_continues"]
    assert [schedule.default_status.value for schedule in defs.schedules or ()] == ["STOPPED", "STOPPED"]  # type: ignore[union-attr]


def test_the_page_about_automation_names_what_there_is(defs: dg.Definitions) -> None:
    page = (Path(__file__).parents[2] / "docs" / "automation.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| (?:sensor|schedule) `(\w+)` \|.*?\| (\w+) \|", page, re.M))
    made = [*(defs.sensors or ()), *(defs.schedules or ())]

    assert told == {one.name: one.default_status.value.lower() for one in made}  # type: ignore[union-attr]
    assert set(re.findall(r"^\| `(ENRICH_\w+)`", page, re.M)) == {
        DAILY_SETTINGS, INBOX, WEBHOOK_URL, UI_URL, OVERDUE_HOURS
    }  # fmt: skip


def test_in_another_project_all_names_carry_the_prefix() -> None:
    theirs = build_definitions(key_prefix=["their", "own"])
    named = [*(theirs.sensors or ()), *(theirs.schedules or ()), *(theirs.jobs or ())]
    (new_run,) = [job for job in theirs.resolve_all_job_defs() if job.name.endswith("new_run")]

    assert all(one.name.startswith("their_own_") for one in named)  # type: ignore[union-attr]
    assert [node.name for node in new_run.nodes] == ["their_own_new_run_settings"]
    dg.Definitions.validate_loadable(theirs)
