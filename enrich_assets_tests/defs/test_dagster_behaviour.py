"""What this project takes for granted of Dagster. A test that fails here after an upgrade says what to look at."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from enrich_assets.defs.build import build_definitions
from enrich_assets.defs.partitions import partitions_name
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="upper", blocking=True)])
def upper():  # type: ignore[no-untyped-def]
    """Fails its blocking check."""
    return dg.MaterializeResult(value=1, check_results=[dg.AssetCheckResult(passed=False, check_name="sound")])


@dg.asset
def lower(upper):  # type: ignore[no-untyped-def]
    """Stands below it."""
    return upper + 1


def test_adding_a_dynamic_partition_twice_is_silent() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            instance.add_dynamic_partitions("runs", ["one"])

        assert list(instance.get_dynamic_partitions("runs")) == ["one"]


@pytest.mark.parametrize("key", ["a/b", "a,b", "..", " ", '"', "x" * 300])
def test_dagster_takes_any_text_for_a_dynamic_partition(key: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("runs", [key])

        assert instance.has_dynamic_partition("runs", key)


def test_a_blocking_check_stops_what_is_below_in_the_same_launch_but_not_alone(tmp_path: Path) -> None:
    resources = {"io_manager": dg.FilesystemIOManager(base_dir=str(tmp_path))}
    with dg.DagsterInstance.ephemeral() as instance:
        together = dg.materialize(
            [upper, lower], instance=instance, resources=resources, raise_on_error=False, run_config=QUIET
        )
        alone = dg.materialize(
            [upper, lower], selection=[lower], instance=instance, resources=resources, run_config=QUIET
        )

    # What failed the check is published all the same.
    assert not together.success
    assert [e.asset_key for e in together.get_asset_materialization_events()] == [dg.AssetKey("upper")]
    assert alone.success


def test_two_runs_in_one_launch_are_refused_and_leave_nothing(room: Room) -> None:
    room.instance.add_dynamic_partitions(partitions_name("intelligence"), ["one", "two"])
    result = (
        build_definitions()
        .resolve_job_def("intelligence")
        .execute_in_process(
            instance=room.instance,
            tags={"dagster/asset_partition_range_start": "one", "dagster/asset_partition_range_end": "two"},
            asset_selection=[dg.AssetKey("initialized")],
            raise_on_error=False,
            run_config=QUIET,
        )
    )
    (failure,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    told = failure.event_specific_data.user_failure_data  # type: ignore[union-attr]

    assert not result.success
    assert told is not None and "2 runs were launched as one" in told.description
    assert not (room.home / "data").exists()


def test_a_job_takes_its_partitions_from_its_assets(room: Room) -> None:
    for job in build_definitions().resolve_all_job_defs():
        if job.name.startswith("intelligence"):
            assert isinstance(job.partitions_def, dg.DynamicPartitionsDefinition), job.name
            assert job.partitions_def.name == "intelligence_runs"


def test_the_job_from_a_phase_down_executes_just_those(demo_copy: Room) -> None:
    names = INTELLIGENCE.names
    before = {name: demo_copy.envelope(name).artifact_id for name in names}
    result = (
        build_definitions()
        .resolve_job_def("intelligence_from_tier3")
        .execute_in_process(instance=demo_copy.instance, partition_key=demo_copy.run_id, run_config=QUIET)
    )
    changed = {name for name in names if demo_copy.envelope(name).artifact_id != before[name]}

    assert result.success
    assert changed == set(names[names.index("tier3") :])


def test_one_asset_is_materialized_alone(demo_copy: Room) -> None:
    before = {name: demo_copy.envelope(name).artifact_id for name in INTELLIGENCE.names}
    launched = demo_copy.execute(demo_copy.run_id, ["ranked"])

    assert launched.succeeded, launched.failure
    assert {n for n in INTELLIGENCE.names if demo_copy.envelope(n).artifact_id != before[n]} == {"ranked"}
