"""Launches of runs that were registered: they take the settings of their own ledger, and never a preset instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from enrich_assets.defs.build import build_definitions
from enrich_assets.defs.partitions import add_run
from enrich_assets.defs.registered import SETTINGS_TAG, settings_tag
from enrich_assets.graphs.intelligence import INTELLIGENCE
from enrich_assets_tests.defs.conftest import Room

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def launch(room: Room, run_id: str, tags: dict[str, str], asset: str = "initialized") -> dg.ExecuteInProcessResult:
    add_run(room.instance, INTELLIGENCE, run_id)
    return (
        build_definitions()
        .resolve_job_def("intelligence")
        .execute_in_process(
            instance=room.instance, partition_key=run_id, asset_selection=[dg.AssetKey(asset)],
            raise_on_error=False, run_config=QUIET, tags=tags,
        )
    )  # fmt: skip


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    told = event.event_specific_data.user_failure_data  # type: ignore[union-attr]
    assert told is not None, event.message
    return str(told.description)


def tags_of(room: Room, run_id: str) -> dict[str, str]:
    with room.ledger() as ledger:
        return settings_tag(run_id, ledger)


def test_a_launch_of_a_registered_run_is_refused_where_the_ledger_does_not_know_it(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = room.begin(preset="demo")
    tags = tags_of(room, run_id)
    monkeypatch.setenv("ENRICH_STORAGE", str(tmp_path / "elsewhere"))
    result = launch(room, run_id, tags)

    assert not result.success
    told = failure_of(result)
    assert f"the settings of {run_id} are not in the ledger of this process" in told
    assert "ENRICH_STORAGE and ENRICH_LEDGER_URL" in told and f"enrich resume {run_id}" in told
    assert not list((tmp_path / "elsewhere").rglob("initialized.json"))


def test_a_launch_is_refused_where_the_ledger_has_another_run_of_that_id(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = room.begin(preset="demo")
    tags = tags_of(room, run_id)
    monkeypatch.setenv("ENRICH_STORAGE", str(tmp_path / "elsewhere"))
    assert launch(room, run_id, {}).success, "a key typed by hand takes the default preset there"

    assert f"has other settings for {run_id} than those of this launch" in failure_of(launch(room, run_id, tags))


def test_with_its_own_ledger_or_its_own_snapshot_the_launch_goes_on(room: Room) -> None:
    run_id = room.begin(preset="demo")
    tags = tags_of(room, run_id)
    assert tags[SETTINGS_TAG]
    assert launch(room, run_id, tags).success
    for path in (room.home / "data").glob("ledger.db*"):
        path.unlink()
    assert launch(room, run_id, tags).success
    document = room.store.load("intelligence", run_id, "initialized").document or {}
    assert document["preset"] == "demo"


def test_a_snapshot_with_other_settings_than_the_ledgers_is_outdated_and_made_again(demo_copy: Room) -> None:
    run_id = demo_copy.run_id
    assert {one.state for one in demo_copy.standings()} == {"done"}
    for path in (demo_copy.home / "data").glob("ledger.db*"):
        path.unlink()
    assert {one.state for one in demo_copy.standings()} == {"done"}, "a ledger that knows nothing contradicts nothing"
    wanted = demo_copy.begin(preset="demo", overrides=["tier1.least_words=121"], title="Wanted")
    with demo_copy.ledger() as ledger:
        registered: Any = ledger.registration(wanted)
        ledger.claim_run("intelligence", {**registered, "preset": "mine"}, run_id=run_id)
    first = demo_copy.standings()[0]

    assert (first.phase.name, first.state) == ("initialized", "outdated")
    assert "other settings than those registered for this run (preset demo there, preset mine here)" in first.why
    assert demo_copy.execute(run_id, ["initialized"]).succeeded
    assert demo_copy.standings()[0].state == "done"
    assert (demo_copy.store.load("intelligence", run_id, "initialized").document or {})["title"] == "Wanted"
