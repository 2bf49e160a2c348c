"""What happened while a phase ran, line by line: its log, and the answers that broke a rule and were asked for again.

Both are bounded: what has no more room is counted. Lines hold no addresses and no text of pages, so that a page that
is forgotten leaves nothing here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from enrich_assets.engine.meter import Meter
from enrich_assets.engine.progress import RowsSoFar

LINES = 1_000
"""Lines of a log, besides the first and the last ones."""
REFUSED = 10_000
"""Answers that broke a rule, of which the row and the rule are kept."""
_MESSAGE = 300
_FIRST_PROGRESS, _GROWTH = 5.0, 1.1
"""Seconds until the first line of progress, and the factor by which the next ones are apart: 100 in a day."""


class Journal:
    """The log of one phase of one run. `now` is the clock of its lines, `seconds` one that nobody sets."""

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.refused: list[Mapping[str, Any]] = []
        self._now = now
        self._seconds = seconds
        self._began = seconds()
        self._lines: list[Mapping[str, Any]] = []
        self._left_out: Counter[str] = Counter()
        self._next_progress = _FIRST_PROGRESS

    def note(self, event: str, **facts: Any) -> None:
        """Adds a line; beyond the bound it is only counted."""
        if len(self._lines) >= LINES:
            self._left_out[event] += 1
            return
        short = {name: fact[:_MESSAGE] if isinstance(fact, str) else fact for name, fact in facts.items()}
        self._lines.append({"at": self._now().isoformat(timespec="milliseconds"), "event": event, **short})

    def refuse(self, row_id: str, problem: str, attempt: int) -> None:
        """Notes that an answer for a row broke a rule and that the row is asked again."""
        self.note("asked_again", row_id=row_id, attempt=attempt, problem=problem)
        if len(self.refused) < REFUSED:
            self.refused.append({"row_id": row_id, "problem": problem[:_MESSAGE], "attempt": attempt})
        else:
            self._left_out["refused"] += 1

    def progress(self, rows: RowsSoFar, meter: Meter) -> None:
        """Adds a line of how far it is, at times that are ever further apart."""
        seconds = self._seconds() - self._began
        if seconds < self._next_progress:
            return
        self._next_progress = max(seconds + _FIRST_PROGRESS, seconds * _GROWTH)
        self.note(
            "progress",
            rows_in=rows.rows_in,
            done=rows.done,
            dropped=rows.dropped,
            failed=rows.failed,
            model_calls=meter.model_calls,
            retries=meter.retries,
        )

    def lines(self, **ended: Any) -> tuple[Mapping[str, Any], ...]:
        """All lines, and one more that says how it ended and, where some were left out, how many of which."""
        last: dict[str, Any] = {"at": self._now().isoformat(timespec="milliseconds"), "event": "ended", **ended}
        if self._left_out:
            last["lines_left_out"] = dict(self._left_out)
        return (*self._lines, last)
