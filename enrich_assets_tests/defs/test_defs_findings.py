"""Findings in a launch: one check a phase that warns, says what stands out and what to do, and stops nothing."""

from __future__ import annotations

import dagster as dg

from enrich_assets.defs.findings import NOTHING_STANDS_OUT
from enrich_assets_tests.defs.conftest import Room

ONE_VOICE = (
    'sources=[{id: signal_review, name: Signal Review, url: "http://signal-review.example/feed"},'
    ' {id: quiet_mirror, name: Quiet Mirror, url: "http://quiet-mirror.example/feed"}]'
)


def evaluation(room: Room, phase: str) -> dg.AssetCheckEvaluation:
    """What Dagster holds as the outcome of the latest check on a phase."""
    key = dg.AssetCheckKey(dg.AssetKey(phase), NOTHING_STANDS_OUT)
    latest = room.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    event = latest[key].event
    assert event is not None and event.dagster_event is not None
    return event.dagster_event.asset_check_evaluation_data


def test_what_stands_out_warns_in_the_launch_and_the_run_goes_on(room: Room) -> None:
    run_id = room.begin(preset="demo", overrides=[ONE_VOICE])
    launched = room.execute(run_id, ["initialized", "scraped", "tier1"])
    found = evaluation(room, "scraped")

    assert launched.succeeded, launched.failure
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == (
        "1 of 12 pages, 8 %, could not be read. Signal Review gives 11 of 11 articles, 100 %; 2 sources were read."
    )
    assert "Lower its max_items" in str(found.metadata["one_source_dominates"].value)


def test_a_phase_in_which_nothing_stands_out_passes_the_check(demo: Room) -> None:
    found = evaluation(demo, "scraped")
    assert (found.passed, found.description, dict(found.metadata)) == (True, None, {})
