"""What people read when they ask for what is not there, is done already, or is somebody else's at the moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.engine.ledger import Ledger


@pytest.fixture
def copy(demo_place: Any, tmp_path: Path) -> Any:
    """A copy of the shared demo run that a test may damage."""
    (tmp_path / "copy").mkdir()
    return demo_place.copied_to(tmp_path / "copy")


def test_resume_refuses_a_run_that_is_worked_on_before_it_says_what_it_would_do(
    copy: Any, call: Callable[..., Any]
) -> None:
    run_id = copy.run_ids()[0]
    (copy.storage / "intelligence" / run_id / "ranked.parquet").unlink()
    with Ledger.for_storage(str(copy.storage)) as ledger:
        lease = ledger.lease_phase(run_id, "ranked")
        try:
            refused = call(copy, "resume", run_id)
        finally:
            lease.release()

    assert refused.exit_code == 2
    assert "is being worked on by" in refused.stderr
    assert refused.stdout == ""


def test_a_pause_of_a_complete_run_says_that_it_is_complete(demo_place: Any, call: Callable[..., Any]) -> None:
    run_id = demo_place.run_ids()[0]
    done = call(demo_place, "pause", run_id)

    assert done.exit_code == 0
    assert done.stdout == f"Run {run_id} is complete: there is nothing to pause.\n"


def test_a_run_without_a_preset_says_which_one_it_starts_from(empty_place: Any, call: Callable[..., Any]) -> None:
    unnamed = call(empty_place, "run", "--prepare")
    named = call(empty_place, "run", "--prepare", "--preset", "demo")

    assert unnamed.exit_code == named.exit_code == 0, unnamed.output + named.output
    assert "No preset is named: it starts from ai_news. enrich presets lists them." in unnamed.stderr
    assert "ai_news" not in unnamed.stdout and "No preset" not in named.stderr


def test_rows_whose_input_is_missing_name_the_command_that_makes_it(empty_place: Any, call: Callable[..., Any]) -> None:
    assert call(empty_place, "run", "--prepare", "--preset", "demo").exit_code == 0
    run_id = empty_place.run_ids()[0]
    refused = call(empty_place, "show", run_id, "tier3", "--rows")

    assert refused.exit_code == 2
    assert f"tier2 has published nothing for the run {run_id}" in refused.stderr
    assert f"enrich resume {run_id} makes it" in refused.stderr and "--only" not in refused.stderr


def test_failed_rows_that_a_phase_made_itself_are_among_its_rows(demo_place: Any, call: Callable[..., Any]) -> None:
    from enrich_assets.store.store import Store

    run_id = demo_place.run_ids()[0]
    failed = Store(str(demo_place.storage)).side("intelligence", run_id, "scraped", "failed").to_pylist()
    listed = json.loads(call(demo_place, "show", run_id, "scraped", "--rows", "--state", "failed", "--json").stdout)
    every = json.loads(call(demo_place, "show", run_id, "scraped", "--rows", "--json").stdout)

    assert len(failed) > 1, "the demo site lost no page"
    assert {row["row_id"]: row["last_error"] for row in listed} == {
        row["row_id"]: f"{row['failure_kind']}: {row['failure_message']}" for row in failed
    }
    assert [row["row_id"] for row in every if row["state"] == "failed"] == [row["row_id"] for row in listed]


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("Demonstratoin", "Did you mean 'Demonstration'?"),
        ("{run_id}7", "Did you mean '{run_id}'?"),
        ("nothing like it", "The newest are {run_id}"),
    ],
)
def test_a_run_that_nobody_knows_is_answered_with_the_near_misses(
    demo_place: Any, call: Callable[..., Any], asked: str, hint: str
) -> None:
    run_id = demo_place.run_ids()[0]
    refused = call(demo_place, "show", asked.format(run_id=run_id))

    assert refused.exit_code == 2
    assert hint.format(run_id=run_id) in refused.stderr
    assert ("Did you mean" in refused.stderr) == hint.startswith("Did")
