"""A run whose clock is set back an hour: every phase is told, and no duration is negative or absurd."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from enrich_assets.engine import ledger as ledgers
from enrich_assets.engine.ledger import Ledger
from enrich_assets.graphs.catalog import GRAPHS

NAMES = GRAPHS["intelligence"].names
SET_BACK_AT = "tier2"


def test_a_run_whose_clock_is_set_back_tells_every_phase_and_no_absurd_time(
    empty_place: Any, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [timedelta(0)]

    def clock() -> datetime:
        return datetime.now(UTC) + ahead[0]

    started = Ledger.phase_started

    def phase_started(self: Ledger, run_id: str, phase: str, *how: Any) -> None:
        started(self, run_id, phase, *how)
        if phase == SET_BACK_AT:  # in the middle of the phase
            ahead[0] = -timedelta(hours=1)

    monkeypatch.setitem(Ledger.for_storage.__func__.__kwdefaults__, "now", clock)  # type: ignore[attr-defined]
    monkeypatch.setattr(ledgers, "utc_now", clock)
    monkeypatch.setattr(Ledger, "phase_started", phase_started)
    began = time.monotonic()
    told = call(empty_place, "demo")
    # Each phase is measured in whole; the sum of all is not more than what passed here.
    passed = time.monotonic() - began
    assert told.exit_code == 0, told.output
    assert ahead[0]
    lines = told.stdout.splitlines()
    assert [line.split()[2] for line in lines if re.match(r"✓ +\d+ \w+ +\S+ → ", line)] == list(NAMES)

    recorded = empty_place.recorded(empty_place.run_ids()[0])
    assert recorded[SET_BACK_AT]["ended_at"] < recorded[SET_BACK_AT]["started_at"]
    assert [recorded[name]["begun"] for name in NAMES] == list(range(1, len(NAMES) + 1))
    taken = [recorded[name]["seconds"] for name in NAMES]
    assert min(taken) >= 0 and sum(taken) <= passed
    (listed,) = json.loads(call(empty_place, "runs", "--json").stdout)
    assert listed["seconds"] == pytest.approx(sum(taken), abs=0.01)
    assert listed["state"] == "complete"
    for command in (("show", "latest"), ("watch", "latest"), ("runs",)):
        shown = call(empty_place, *command)
        assert shown.exit_code == 0, shown.output
        assert not re.search(r"-\d+(\.\d+)? (s|min|h)\b|\b\d+(\.\d+)? h\b|\b(59|60|61) min\b", shown.stdout), (
            shown.stdout
        )
    assert call(empty_place, "check").exit_code == 0
