"""The log of a phase: what happened, bounded, and nothing of what pages say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from enrich_assets.engine.journal import LINES, REFUSED, Journal
from enrich_assets.engine.meter import Meter
from enrich_assets.engine.progress import RowsSoFar

START = datetime(2026, 10, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


def test_a_log_begins_and_ends_and_counts_what_it_has_no_room_for() -> None:
    journal = Journal(Clock())
    journal.note("started", phase="p")
    for attempt in range(LINES + 7):
        journal.note("retry", attempt=attempt, message="x" * 1000)
    lines = journal.lines(kept=3)
    assert len(lines) == LINES + 1 and lines[0]["event"] == "started"
    assert lines[-1] == {**lines[-1], "event": "ended", "kept": 3, "lines_left_out": {"retry": 8}}
    assert len(str(lines[1]["message"])) == 300


def test_lines_of_progress_come_ever_further_apart() -> None:
    clock = Clock()
    journal = Journal(clock, seconds=lambda: clock.seconds)
    for second in range(86_400):
        clock.seconds = second
        journal.progress(RowsSoFar(10, 1), Meter())
    at = [datetime.fromisoformat(str(line["at"])) for line in journal.lines()[:-1]]
    assert at[0] == START + timedelta(seconds=5) and 50 < len(at) < 150


def test_lines_of_progress_go_on_when_the_clock_is_set_back() -> None:
    clock, passed = Clock(), [0.0]
    journal = Journal(clock, seconds=lambda: passed[0])
    for second in range(60):
        passed[0] = second
        clock.seconds = second if second < 10 else second - 3600
        journal.progress(RowsSoFar(10, 1), Meter())
    assert len(journal.lines()) > 5


def test_answers_that_broke_a_rule_are_kept_up_to_a_bound() -> None:
    journal = Journal(Clock())
    for number in range(REFUSED + 2):
        journal.refuse(f"row {number}", "too long", 1)
    assert len(journal.refused) == REFUSED
    assert journal.refused[0] == {"row_id": "row 0", "problem": "too long", "attempt": 1}
    assert journal.lines()[-1]["lines_left_out"]["refused"] == 2
