"""What a run costs and how it goes, as people read it: all attempts, unknown outcomes, a pause, the rows of a phase."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from enrich_assets.cli.output import console
from enrich_assets.cli.progress import launch_line, notes_of, progress_table, run_progress, working_line
from enrich_assets.engine.progress import Pace
from enrich_assets.engine.spending import Spent

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def row(phase: str, status: str, **values: Any) -> dict[str, Any]:
    numbers = dict.fromkeys(("rows_in", "rows_done", "rows_out", "dropped", "failed", "calls", "reused"))
    unknown = dict.fromkeys(("message", "seconds", "begun"))
    began = (NOW - timedelta(seconds=100)).isoformat()
    times = {"started_at": began, "heartbeat_at": NOW.isoformat(), "ended_at": None}
    return {"phase": phase, "status": status, **numbers, **times, "cost": 0.0, **unknown, **values}


def test_the_cost_is_that_of_all_attempts_and_an_older_record_keeps_its_own() -> None:
    recorded = [row("a", "complete", cost=0.2), row("b", "complete", cost=0.3), row("c", "failed", cost=0.1)]
    spent = {"a": Spent(0.5), "b": Spent(), "c": Spent(0.1, 0.05, 2)}
    progress = run_progress("r", ["a", "b", "c"], recorded, now=NOW, spent=spent)
    assert [phase.cost for phase in progress.phases] == pytest.approx([0.5, 0.3, 0.15])
    assert progress.cost == pytest.approx(0.95)
    assert (
        notes_of(progress)[-1] == "cost at most: 2 requests of unknown outcome or usage are counted at the upper bound"
    )


def test_a_price_that_is_unknown_stays_unknown() -> None:
    spent = {"a": Spent(0.5, unpriced=1), "b": Spent(0.1)}
    progress = run_progress("r", ["a", "b"], [row("a", "complete", cost=0.5)], now=NOW, spent=spent)
    assert progress.phases[0].cost is None
    assert progress.cost is None


def test_requests_on_the_wire_are_no_unknown_outcomes() -> None:
    spent = {"a": Spent(0.5, 0.1, 4)}
    progress = run_progress("r", ["a"], [row("a", "running", rows_in=9)], now=NOW, spent=spent)
    assert (progress.unsettled, notes_of(progress)) == (0, [])


def test_the_working_phase_says_how_fast_it_goes() -> None:
    working = row("a", "running", rows_in=1200, rows_done=340, failed=3, reused=12)
    progress = run_progress("r", ["a"], [working], now=NOW, spent={"a": Spent(0.12)})
    told = working_line(progress, Pace())
    assert told == "a: 340 of 1,200 rows, 3.4 rows/s, 3 failed, 12 reused, $0.1200, about 4 min left"
    silent = run_progress("r", ["a"], [working], now=NOW + timedelta(minutes=5))
    assert working_line(silent, Pace()) == ""


def test_a_paused_run_says_so_and_how_to_go_on() -> None:
    recorded = [row("a", "complete"), row("b", "paused", ended_at=NOW.isoformat(), message="b: paused after 3 rows.")]
    progress = run_progress("r", ["a", "b", "c"], recorded, now=NOW)
    assert progress.state == "paused"
    assert progress.phases[1].mark == "‖"
    assert notes_of(progress) == ["go on with: enrich resume r"]


def test_the_table_fits_eighty_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    wide = {"rows_in": 123_456, "rows_done": 99_999, "dropped": 9_999, "failed": 999, "calls": 99_999, "reused": 9_999}
    progress = run_progress("r", ["paraphrased"], [row("paraphrased", "running", **wide, cost=99.99)], now=NOW)
    console().print(progress_table(progress))
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80


def test_the_rows_of_a_phase_are_listed_by_state(demo_place: Any, call: Any) -> None:
    shown = call(demo_place, "show", "latest", "tier1", "--rows", "--json")
    rows = json.loads(shown.stdout)
    states = {row["state"] for row in rows}
    assert states == {"completed", "skipped"}
    dropped = [row for row in rows if row["state"] == "skipped"]
    assert all(row["drop_reason"] for row in dropped)
    only = json.loads(call(demo_place, "show", "latest", "tier1", "--rows", "--state", "skipped", "--json").stdout)
    assert only == dropped
    plain = call(demo_place, "show", "latest", "tier1", "--rows").stdout
    assert f"skipped {len(dropped)}" in plain
    assert len(rows) > 50 and "the first 50" in plain
    assert max(len(line) for line in plain.splitlines()) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "latest", "--rows"], "--rows needs a PHASE"),
        (["show", "latest", "tier1", "--state", "failed"], "--state needs --rows"),
        (["show", "latest", "tier1", "--rows", "--state", "lost"], "'lost' is no state of a row"),
        (["show", "latest", "initialized", "--rows"], "no rows come in"),
    ],
)
def test_a_request_for_rows_that_cannot_be_met_says_why(
    demo_place: Any, call: Any, arguments: list[str], words: str
) -> None:
    done = call(demo_place, *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_the_phase_before_has_to_be_there(demo_place: Any, empty_place: Any, call: Any) -> None:
    prepared = call(empty_place, "run", "--preset", "demo", "--prepare")
    assert prepared.exit_code == 0
    done = call(empty_place, "show", "latest", "tier1", "--rows")
    assert done.exit_code == 2
    assert "scraped" in done.stderr


@pytest.mark.parametrize(
    ("before", "after", "reused", "told"),
    [
        (Spent(), Spent(), 0, ""),
        (Spent(0.5), Spent(0.75), 0, "this launch paid $0.2500"),
        (Spent(0.5), Spent(0.5, reserved=0.25, unsettled=1), 0, "this launch paid $0.2500"),
        (Spent(0.5, reserved=0.2, unsettled=1), Spent(0.6), 0, ""),
        (Spent(0.5, unpriced=2), Spent(0.75, unpriced=2), 0, "this launch paid $0.2500"),
        (Spent(unpriced=2), Spent(unpriced=3), 0, "what this launch paid is unknown: a price is"),
        (Spent(0.5), Spent(0.5), 1, "this launch paid $0, 1 request answered from the ledger at no cost"),
        (Spent(), Spent(2), 1200, "this launch paid $2.00, 1,200 requests answered from the ledger at no cost"),
    ],
)
def test_the_line_on_a_launch_tells_what_it_paid_and_what_the_ledger_answered(
    before: Spent, after: Spent, reused: int, told: str
) -> None:
    assert launch_line(before, after, reused) == told
