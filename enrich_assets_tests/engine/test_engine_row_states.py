"""Where each row of a phase stands, from what is published and from what the ledger knows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.requests import Reply, Request, Stored
from enrich_assets.engine.row_states import Published, RowRequest, row_states
from enrich_assets.engine.spending import Caps

ROWS = [("kept", "A"), ("out", "B"), ("bad", "C"), ("flying", "D"), ("again", "E"), ("new", "F")]
REQUESTS = [
    RowRequest("kept", True),
    RowRequest("bad", True, "refusal: no"),
    RowRequest("again", True, "503: busy"),
    RowRequest("again", True, "503: still busy"),
    RowRequest("flying", False),
]
ANSWERED = {"kept": "", "bad": "refusal"}


def states(**given: Any) -> dict[str, str]:
    return {row.row_id: row.state for row in row_states(ROWS, **{"status": "stopped", **given})}


def test_a_published_phase_says_where_every_row_ended() -> None:
    published = Published({"out": "too_old"}, {"bad": "refusal: no"})
    found = {row.row_id: row for row in row_states(ROWS, status="complete", requests=REQUESTS, published=published)}
    assert {row_id: row.state for row_id, row in found.items()} == {
        **dict.fromkeys(("kept", "flying", "again", "new"), "completed"), "out": "skipped", "bad": "failed",
    }  # fmt: skip
    assert (found["out"].drop_reason, found["bad"].last_error) == ("too_old", "refusal: no")
    assert (found["again"].attempts, found["again"].last_error) == (2, "503: still busy")
    assert [row.row_id for row in found.values()] == [row_id for row_id, _ in ROWS]


@pytest.mark.parametrize(
    ("status", "flying", "again", "new"),
    [
        ("running", "running", "running", "pending"),
        ("paused", "paused", "paused", "paused"),
        ("stopped", "pending", "pending", "pending"),
        ("failed", "pending", "pending", "pending"),
        ("", "pending", "pending", "pending"),
    ],
)
def test_before_that_the_ledger_says_it(status: str, flying: str, again: str, new: str) -> None:
    found = states(status=status, requests=REQUESTS, answered=ANSWERED)
    assert found == {
        "kept": "completed", "out": new, "bad": "failed", "flying": flying, "again": again, "new": new,
    }  # fmt: skip


def test_a_phase_that_is_made_again_shows_the_new_attempt() -> None:
    published = Published({}, {})
    assert set(states(status="running", published=published).values()) == {"pending"}
    assert set(states(status="stopped", published=published).values()) == {"completed"}


def test_a_request_of_unknown_outcome_is_said_once_nobody_waits_for_it() -> None:
    def error(status: str) -> str:
        return next(r.last_error for r in row_states(ROWS, status=status, requests=REQUESTS) if r.row_id == "flying")

    assert (error("running"), error("stopped")) == ("", "left, outcome unknown")


def test_the_ledger_tells_of_requests_and_answers_of_the_phase_alone(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        async def reserved(row_id: str, phase: str = "p") -> Any:
            reservation = ledger.reservation(
                run_id="r", phase=phase, row_id=row_id, kind="model", endpoint="e", most=0.1, caps=Caps()
            )
            assert await ledger.reserve(reservation) is None
            return reservation

        ledger.settle(await reserved("again"), error="503: busy")
        stored = Stored(Reply({"n": 1}, cost=0.01))
        kept = await reserved("kept")
        await ledger.keep_answer(
            Request("model", {"n": 1}), stored, run_id="r", phase="p", row_id="kept", reservation=kept
        )
        refused = Stored(Reply({}), final="no", final_kind="refusal")
        await ledger.keep_answer(Request("model", {"n": 2}), refused, run_id="r", phase="p", row_id="bad")
        await reserved("flying")
        await reserved("elsewhere", phase="q")

    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        asyncio.run(work(ledger))
        asyncio.run(ledger.written())
        assert sorted(ledger.row_requests("r", "p"), key=lambda r: r.row_id) == [
            RowRequest("again", True, "503: busy"), RowRequest("flying", False), RowRequest("kept", True),
        ]  # fmt: skip
        assert ledger.row_answers("r", "p") == {"kept": "", "bad": "no"}
        assert ledger.row_answers("r", "q") == {}
