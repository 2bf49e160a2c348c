"""Rate and time left: steady, honest about what nobody can know yet, and the words for them."""

from __future__ import annotations

import pytest

from enrich_assets.engine.progress import Pace, RowsSoFar, how_it_goes, unknown_outcomes
from enrich_assets.engine.run_progress import PhaseProgress, RunProgress


def paced(*notes: tuple[float, int]) -> Pace:
    pace = Pace()
    for moment, done in notes:
        pace.note(moment, done)
    return pace


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    # 10 rows a second at first, 1 a second from the 60th second on.
    notes = [(float(s), 10 * s if s <= 60 else 600 + s - 60) for s in range(1, 121)]
    assert paced(*notes).rate == pytest.approx(1.0, rel=0.05)
    assert paced(*notes[:60]).rate == pytest.approx(10.0)


def test_who_looks_for_the_first_time_learns_the_rate_since_the_beginning() -> None:
    assert paced((100.0, 50)).rate == pytest.approx(0.5)
    assert paced((100.0, 50)).seconds_left(60) == pytest.approx(20.0)


@pytest.mark.parametrize(
    "notes",
    [[], [(0.5, 40)], [(4.0, 40)], [(60.0, 2)], [(60.0, 40), (100.0, 40)]],
    ids=["nothing", "half a second", "four seconds", "two rows", "nothing moves"],
)
def test_no_time_left_is_told_while_it_would_be_a_guess(notes: list[tuple[float, int]]) -> None:
    assert paced(*notes).seconds_left(1000) is None


def test_a_phase_that_begins_anew_forgets_the_earlier_attempt() -> None:
    assert paced((100.0, 900), (2.0, 4)).rate == pytest.approx(2.0)


def test_the_line_says_what_there_is_and_nothing_else() -> None:
    pace = paced((10.0, 410))
    told = how_it_goes(RowsSoFar(1271, 410, 9, 3), pace, cost=0.12)
    assert told == "410 of 1,271 rows, 41 rows/s, 3 failed, $0.1200, about 21 s left"
    assert how_it_goes(RowsSoFar(5, 0), Pace(), cost=0.0) == "0 of 5 rows"
    assert "cost unknown" in how_it_goes(RowsSoFar(5, 0), Pace(), cost=None)
    assert "at most $2.50" in how_it_goes(RowsSoFar(5, 0), Pace(), cost=2.5, unsettled=4)
    assert how_it_goes(RowsSoFar(410, 410), pace, cost=0.0) == "410 of 410 rows, 41 rows/s"


def test_requests_of_unknown_outcome_are_said_in_words() -> None:
    assert unknown_outcomes(0) == ""
    assert unknown_outcomes(1) == "at most: 1 request of unknown outcome or usage is counted at the upper bound"
    assert (
        unknown_outcomes(2000) == "at most: 2,000 requests of unknown outcome or usage are counted at the upper bound"
    )


def test_a_run_that_keeps_nothing_has_no_row_left_and_one_that_made_none_yet_says_nothing() -> None:
    def left(*rows_out: int | None) -> int | None:
        phases = tuple(PhaseProgress(n, f"p{n}", rows_out=rows) for n, rows in enumerate(rows_out, 1))
        return RunProgress(run_id="r", phases=phases).rows_left

    assert left(0, 6, 0, 0) == 0
    assert left(0, 6, 5, None) == 5
    assert left(0, None, None) is None and left(None) is None
