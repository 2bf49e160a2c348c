"""How far a phase is, how fast it goes, and how long it may still take: in numbers, and in the words for them.

Where and how often they are shown is decided in `defs.observing` and `cli`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from enrich_assets.core.units import duration, money

WINDOW_SECONDS = 30.0
"""A rate is that of the last half minute: long enough to be steady, short enough to notice that something stalls."""
_LEAST_SECONDS = 5.0
"""Before that the first rows, whose answers the ledger may hold, say nothing about the next."""
_LEAST_ROWS = 3
"""Rows whose time has to be known before the time of the others is guessed."""


@dataclass(frozen=True)
class RowsSoFar:
    """Rows that came in, and how many of them are done, dropped and failed (the last two are among the done)."""

    rows_in: int
    done: int
    dropped: int = 0
    failed: int = 0


class Pace:
    """Rows a second, from counts that are noted as time goes by."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, moment: float, done: int) -> None:
        """Notes how many rows are done so many seconds after the phase began; the first time also that it began.

        What was noted of an earlier phase, or an earlier attempt, is forgotten.
        """
        if self._noted and (moment < self._noted[-1][0] or done < self._noted[-1][1]):
            self._noted.clear()
        if not self._noted:
            self._noted.append((0.0, 0))
        self._noted.append((moment, done))
        # The newest of those that are too old stays: the window begins there.
        while len(self._noted) > 2 and self._noted[1][0] <= moment - WINDOW_SECONDS:
            self._noted.popleft()

    @property
    def rate(self) -> float | None:
        """Rows a second over the window, or since the beginning; None before that can be told."""
        if len(self._noted) < 2:
            return None
        (first, before), (last, now) = self._noted[0], self._noted[-1]
        return (now - before) / (last - first) if last - first >= 1.0 else None

    def seconds_left(self, rows_in: int) -> float | None:
        """Seconds until all rows are done at the present rate; None while that would be a guess, or nothing moves."""
        rate = self.rate
        if not rate:
            return None
        (first, before), (last, now) = self._noted[0], self._noted[-1]
        if last - first < _LEAST_SECONDS or now - before < _LEAST_ROWS:
            return None
        return max(0, rows_in - now) / rate


def how_it_goes(rows: RowsSoFar, pace: Pace, *, cost: float | None, unsettled: int = 0, reused: int = 0) -> str:
    """`340 of 1,200 rows, 41 rows/s, 3 failed, $0.12, about 21 s left`: what is nothing is left out.

    While `unsettled` requests are on the wire, the cost counts them at their upper bound.
    """
    rate, left = pace.rate, pace.seconds_left(rows.rows_in)
    parts = [f"{rows.done:,} of {rows.rows_in:,} rows"]
    parts += [] if not rate else [f"{rate:.0f} rows/s" if rate >= 9.5 else f"{rate:.1f} rows/s"]
    parts += [f"{rows.failed:,} failed"] if rows.failed else []
    parts += [f"{reused:,} reused"] if reused else []
    parts += ["cost unknown"] if cost is None else ["at most " * bool(unsettled) + money(cost)] if cost else []
    if left is not None and rows.done < rows.rows_in:
        parts.append(f"about {f'{max(1.0, left):.0f} s' if left < 10 else duration(left)} left")
    return ", ".join(parts)


def unknown_outcomes(unsettled: int) -> str:
    """What people are told of the requests in a cost whose outcome or usage nobody knows; '' where there are none."""
    if not unsettled:
        return ""
    are = "1 request of unknown outcome or usage is"
    if unsettled > 1:
        are = f"{unsettled:,} requests of unknown outcome or usage are"
    return f"at most: {are} counted at the upper bound"
