"""The launchpad of `initialized`: it gives a run ID that has no settings yet its settings, and changes no others."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from enrich_assets.defs.build import build_definitions
from enrich_assets.defs.launchpad import AS_REGISTERED, NOTHING, wanted_of
from enrich_assets.defs.partitions import partitions_name
from enrich_assets_tests.defs.conftest import Room

LOGGERS = {"console": {"config": {"log_level": "CRITICAL"}}}
PARTITIONS = partitions_name("intelligence")


@pytest.fixture(scope="module")
def job() -> Any:
    return build_definitions().resolve_job_def("intelligence")


def materialized(job: Any, room: Room, run_id: str, **config: Any) -> Any:
    if not room.instance.has_dynamic_partition(PARTITIONS, run_id):
        room.instance.add_dynamic_partitions(PARTITIONS, [run_id])
    return job.execute_in_process(
        instance=room.instance,
        partition_key=run_id,
        asset_selection=[dg.AssetKey("initialized")],
        run_config={"loggers": LOGGERS, "ops": {"initialized": {"config": config}}},
        raise_on_error=False,
    )


def failure_of(result: Any) -> str:
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    return str(event.event_specific_data.user_failure_data.description)


def document_of(room: Room, run_id: str) -> dict[str, Any]:
    return dict(room.store.load("intelligence", run_id, "initialized").document or {})


def test_a_key_typed_by_hand_takes_the_preset_and_the_settings_of_its_launchpad(job: Any, room: Room) -> None:
    result = materialized(
        job, room, "monday", preset="demo", title="Harbour", overrides={"tier3": {"threshold": 6}, "language": "de"}
    )
    document = document_of(room, "monday")

    assert result.success
    assert (document["preset"], document["title"], document["settings"]["language"]) == ("demo", "Harbour", "de")
    assert document["settings"]["tier3"]["threshold"] == 6
    assert document["notes"] == [
        "The settings of monday were chosen in the launchpad of initialized: the preset demo with tier3.threshold=6, "
        'language="de".'
    ]
    with room.ledger() as ledger:
        assert [(run["run_id"], run["preset"], run["title"]) for run in ledger.runs()] == [
            ("monday", "demo", "Harbour")
        ]


def test_what_is_left_as_it_was_changes_no_run_and_asking_for_the_same_again_changes_nothing(
    job: Any, room: Room
) -> None:
    run_id = room.begin(preset="demo", overrides=["tier3.threshold=6"])
    for config in (
        {},
        {"preset": AS_REGISTERED, "title": "", "overrides": {}},
        {"preset": "demo", "overrides": {"tier3.threshold": 6}},
    ):
        assert materialized(job, room, run_id, **config).success, config
    document = document_of(room, run_id)

    assert (document["preset"], document["settings"]["tier3"]["threshold"]) == ("demo", 6)
    assert document["notes"] == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"preset": "ai_news"}, "its preset is demo, not ai_news"),
        ({"title": "another"}, "its title is 'Harbour', not 'another'"),
        ({"overrides": {"tier3.threshold": 7}}, "its tier3.threshold is 6.0, not 7.0"),
        ({"overrides": ["language=fr"]}, "its language is 'en', not 'fr'"),
    ],
)
def test_other_settings_for_a_run_that_has_settings_are_refused_with_both_values(
    job: Any, room: Room, config: dict[str, Any], words: str
) -> None:
    run_id = room.begin(preset="demo", title="Harbour", overrides=["tier3.threshold=6"])
    told = failure_of(materialized(job, room, run_id, **config))

    assert f"{run_id} has its settings already, and they never change: " in told and words in told
    assert "the job new_run" in told and f"enrich run --like {run_id}" in told
    assert room.store.runs("intelligence") == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"overrides": {"tier3.thresold": 6}}, "overrides: tier3.thresold: unknown key; did you mean 'threshold'"),
        ({"overrides": {"sources.9": 1}}, "overrides 'sources.9=1'"),
        ({"overrides": ["tier3.threshold"]}, "overrides: 'tier3.threshold' is not KEY=VALUE"),
        ({"title": "latest"}, "latest stands for another run"),
    ],
)
def test_settings_that_cannot_be_used_are_told_in_the_launchpads_words_and_nothing_is_registered(
    job: Any, room: Room, config: dict[str, Any], words: str
) -> None:
    told = failure_of(materialized(job, room, "monday", preset="demo", **config))

    assert words in told and "--set" not in told and "Traceback" not in told
    with room.ledger() as ledger:
        assert ledger.runs() == []


def test_only_the_first_phase_has_fields_and_each_says_what_it_is_and_shows_its_default(job: Any) -> None:
    configured = {node.name: node.definition.config_schema for node in job.nodes}
    fields = configured.pop("initialized").config_type.fields

    assert set(fields) == {"preset", "title", "overrides"}
    assert all(field.description and field.default_provided for field in fields.values())
    # A null would not be shown.
    assert {name: field.default_value for name, field in fields.items()} == {
        "preset": AS_REGISTERED, "title": "", "overrides": {}
    }  # fmt: skip
    assert [value.config_value for value in fields["preset"].config_type.enum_values] == [
        AS_REGISTERED, "ai_news", "demo"
    ]  # fmt: skip
    assert {name for name, schema in configured.items() if getattr(schema.config_type, "fields", None)} == set()


def test_nothing_written_asks_for_nothing() -> None:
    asked = wanted_of({"preset": AS_REGISTERED, "title": " ", "overrides": None})
    assert asked == NOTHING and not asked
    assert wanted_of(None) == NOTHING
    assert wanted_of({"preset": "demo", "title": "", "overrides": {}})


def test_a_prefix_and_a_second_graph_of_definitions_load_with_their_own_choice() -> None:
    dg.Definitions.validate_loadable(dg.Definitions.merge(build_definitions(key_prefix="theirs")))
    theirs = build_definitions(key_prefix="theirs").resolve_job_def("theirs_intelligence")
    named = {"ops": {"theirs__initialized": {"config": {"preset": "demo"}}}}
    assert dg.validate_run_config(theirs, named) is not None
