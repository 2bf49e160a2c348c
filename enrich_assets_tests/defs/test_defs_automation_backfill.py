"""Backfills over run IDs: one launch a run, from any phase down, four at once, and no run's settings change."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from enrich_assets.defs.build import build_definitions
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room

PROJECT = Path(__file__).parents[2]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def registered(room: Room, run_id: str) -> Any:
    with room.ledger() as ledger:
        return ledger.registration(run_id)


def backfill(room: Room, job: str, run_ids: list[str]) -> list[dg.ExecuteInProcessResult]:
    """What the daemon does for a backfill of a job: one launch a partition, with the backfill's tag."""
    definition = build_definitions().resolve_job_def(job)
    return [
        definition.execute_in_process(
            instance=room.instance, partition_key=run_id, tags={"dagster/backfill": "over_all"}, run_config=QUIET
        )
        for run_id in run_ids
    ]


def test_a_backfill_from_a_phase_down_keeps_the_settings_of_every_run(
    demo_copy: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    stricter = demo_copy.begin(like=demo_copy.run_id, overrides=["ranked.keep=3"], title="stricter")
    assert demo_copy.execute(stricter).succeeded
    both = [demo_copy.run_id, stricter]
    before = {run_id: (registered(demo_copy, run_id), demo_copy.hashes(run_id)) for run_id in both}
    made = {run_id: demo_copy.envelope("tier3", run_id).artifact_id for run_id in both}
    # Whatever a project's defaults became in the meantime.
    monkeypatch.setattr("enrich_assets.defs.runs.DEFAULT_PRESET", "demo")
    results = backfill(demo_copy, "intelligence_from_ranked", both)

    assert all(result.success for result in results)
    assert {run_id: (registered(demo_copy, run_id), demo_copy.hashes(run_id)) for run_id in both} == before
    assert {run_id: demo_copy.envelope("tier3", run_id).artifact_id for run_id in both} == made
    assert demo_copy.envelope("ranked", stricter).counts.rows_out == 3
    assert demo_copy.envelope("ranked").counts.rows_out > 3


def test_the_first_phase_in_a_backfill_publishes_the_same_settings_again(demo_copy: Room) -> None:
    before = registered(demo_copy, demo_copy.run_id), demo_copy.envelope("initialized")
    dg.materialize(
        build_definitions().assets or (),
        selection=["initialized"],
        instance=demo_copy.instance,
        partition_key=demo_copy.run_id,
        resources=build_definitions().resources,
        run_config=QUIET,
    )
    after = registered(demo_copy, demo_copy.run_id), demo_copy.envelope("initialized")

    assert after[0] == before[0]
    assert after[1].artifact_id != before[1].artifact_id
    assert after[1].data_sha256 == before[1].data_sha256


def test_no_asset_lets_a_backfill_put_two_runs_into_one_launch() -> None:
    assets = build_definitions().resolve_asset_graph()

    # Without a policy Dagster launches each partition by itself; a policy of a single launch would be refused.
    assert all(assets.get(key).backfill_policy is None for key in assets.get_all_asset_keys())


def test_there_is_a_job_to_backfill_from_each_phase() -> None:
    names = {job.name for job in build_definitions().resolve_all_job_defs()}

    assert {"intelligence", *(f"intelligence_from_{name}" for name in INTELLIGENCE.names[1:])} <= names


def test_four_launches_of_runs_work_at_once_and_new_run_always_has_a_place() -> None:
    settings = yaml.safe_load((PROJECT / "dagster.yaml").read_text(encoding="utf-8"))["concurrency"]["runs"]
    new_run = build_definitions().resolve_job_def("new_run")

    # Each launch of a run has Dagster's own tag of its partition, whatever launched it; new_run has no partition.
    assert settings["tag_concurrency_limits"] == [{"key": "dagster/partition", "limit": 4}]
    assert settings["max_concurrent_runs"] > 4
    assert new_run.partitions_def is None
    assert int(new_run.tags["dagster/priority"]) > 0


def test_the_report_has_a_freshness_policy_and_nothing_else_has() -> None:
    assets = build_definitions(fresh_hours=12).resolve_asset_graph()
    fresh = {key.to_user_string(): assets.get(key).freshness_policy for key in assets.get_all_asset_keys()}
    policy = fresh.pop("report")

    assert policy == dg.FreshnessPolicy.time_window(timedelta(hours=12), timedelta(hours=8))
    assert set(fresh.values()) == {None}
