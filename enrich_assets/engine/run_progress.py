"""A run as the ledger alone shows it: one line a phase, whether it works and is heard of, what it has cost.

How it is written belongs to `cli.progress` and to the pages of `service`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from enrich_assets.core.units import total_cost

if TYPE_CHECKING:
    from enrich_assets.engine.ledger import Ledger
    from enrich_assets.engine.spending import Spent

_NUMBERS = ("rows_in", "rows_done", "rows_out", "dropped", "failed", "calls", "reused")
_MARKS = {"complete": "✓", "running": "▸", "blocked": "✗", "failed": "✗", "stopped": "✗", "paused": "‖"}
PAUSE_SECONDS = 15.0
"""The longest pause between two phases of a launch."""
BETWEEN = "between phases"
"""The state of a run of which a phase ended so lately that the next one may be about to start."""
SILENT_SECONDS = 60.0
"""A phase that works says so about once a second; after this long without a sign, people are told."""


@dataclass(frozen=True)
class PhaseProgress:
    """One phase as the ledger shows it; `status` is empty for a phase that nobody started."""

    number: int
    name: str
    status: str = ""
    rows_in: int | None = None
    rows_done: int | None = None
    rows_out: int | None = None
    dropped: int | None = None
    failed: int | None = None
    calls: int | None = None
    reused: int | None = None
    cost: float | None = 0.0
    unsettled: int = 0
    """Requests in the cost that are on the wire, or whose outcome nobody knows."""
    seconds: float | None = None
    silent_seconds: float = 0.0
    heard_at: datetime | None = None
    ended_before_seconds: float | None = None
    message: str = ""

    @property
    def mark(self) -> str:
        """✓ done, ▸ working, · waiting, ‖ paused, ✗ failed, blocked or stopped."""
        return _MARKS.get(self.status, "·")

    @property
    def rows(self) -> str:
        """Rows in → out; of a working phase the rows done so far."""
        if self.status == "running":
            return f"{_number(self.rows_done)} of {_number(self.rows_in)}" if self.rows_in else "working"
        if not self.status or self.status == "outdated":
            return self.status or "waiting"
        return f"{_number(self.rows_in)} → {_number(self.rows_out)}" if self.rows_out is not None else self.status


@dataclass(frozen=True)
class RunProgress:
    """A run with all phases of its graph."""

    run_id: str
    phases: tuple[PhaseProgress, ...]
    pause_seconds: float = 0.0

    @property
    def state(self) -> str:
        """prepared, running, silent, complete, unfinished, or what the phase that ended it says.

        That is failed, blocked, paused or stopped. A run is running only while a phase of it is, and silent when that
        phase gave no sign of life for `SILENT_SECONDS`. With `pause_seconds`, `BETWEEN` stands for unfinished so long.
        """
        statuses = [phase.status for phase in self.phases]
        working = [phase.silent_seconds for phase in self.phases if phase.status == "running"]
        if working and min(working) > SILENT_SECONDS:
            return "silent"
        for state in ("running", "failed", "blocked", "paused", "stopped"):
            if state in statuses:
                return state
        if not any(statuses):
            return "prepared"
        if all(status == "complete" for status in statuses):
            return "complete"
        last = min((p.ended_before_seconds for p in self.phases if p.ended_before_seconds is not None), default=None)
        return BETWEEN if last is not None and last < self.pause_seconds else "unfinished"

    @property
    def silent_since(self) -> datetime | None:
        """The last sign of life of a silent run, UTC."""
        heard = [phase.heard_at for phase in self.phases if phase.status == "running" and phase.heard_at is not None]
        return max(heard, default=None) if self.state == "silent" else None

    @property
    def cost(self) -> float | None:
        """USD that all attempts have cost so far; None when a price is unknown."""
        return total_cost([phase.cost for phase in self.phases])

    @property
    def unsettled(self) -> int:
        """Requests in the cost whose outcome nobody knows; of a phase that works they may be on the wire still."""
        return sum(phase.unsettled for phase in self.phases if phase.status != "running")

    @property
    def working(self) -> PhaseProgress | None:
        """The phase that somebody works on and is heard of."""
        alive = (p for p in self.phases if p.status == "running" and p.silent_seconds <= SILENT_SECONDS)
        return next(alive, None)

    @property
    def done(self) -> int:
        """Number of phases that are complete."""
        return sum(phase.status == "complete" for phase in self.phases)

    @property
    def seconds(self) -> float | None:
        """Seconds that its phases took together; None where none began."""
        taken = [phase.seconds for phase in self.phases if phase.seconds is not None]
        return sum(taken) if taken else None

    @property
    def rows_read(self) -> int | None:
        """Rows of the first phase that has any; None where none has."""
        return next((phase.rows_out for phase in self.phases if phase.rows_out), None)

    @property
    def rows_left(self) -> int | None:
        """Rows of the last phase that made its rows, 0 where it kept none; None before the first that makes any."""
        made = [phase.rows_out for phase in self.phases if phase.rows_out is not None]
        return made[-1] if any(made) else None

    @property
    def failed(self) -> int:
        """Rows that failed, in all phases."""
        return sum(phase.failed or 0 for phase in self.phases)


def read_progress(ledger: Ledger, run_id: str, names: Sequence[str], **how: Any) -> RunProgress:
    """The run as the ledger shows it now; `how` as in `run_progress`."""
    from enrich_assets.engine.ledger import utc_now
    from enrich_assets.engine.spending import scopes_of

    totals = ledger.totals([scopes_of(run_id, name)[1] for name in names])
    spent = dict(zip(names, totals, strict=True))
    return run_progress(run_id, names, ledger.phases(run_id), now=utc_now(), spent=spent, **how)


def run_progress(
    run_id: str,
    names: Sequence[str],
    recorded: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    spent: Mapping[str, Spent] | None = None,
    waiting: Sequence[str] = (),
    since: int | None = None,
    pause_seconds: float = 0.0,
) -> RunProgress:
    """The run out of the ledger's rows. Phases in `waiting` whose beginning has no number above `since` count as not
    started.

    While somebody works on the run, so does a phase that is older than one before it: it will be made again. Who
    follows a run live gives `pause_seconds`: after the end of a phase somebody may be at work for so long. `spent` is
    what each phase has cost in all attempts; without it, the cost is what the phase itself noted last.
    """
    known = {str(row["phase"]): row for row in recorded}
    is_worked_on = any(_is_fresh(row, now, pause_seconds) for row in recorded)
    before: list[Mapping[str, Any]] = []
    phases = []
    for place, name in enumerate(names, 1):
        row = known.get(name)
        if row is None:
            phases.append(PhaseProgress(place, name, **_cost(0.0, name, spent)))
            continue
        is_old = name in waiting and since is not None and (row["begun"] or 0) <= since
        if is_old or (is_worked_on and any(_began_before(row, other) for other in before)):
            phases.append(PhaseProgress(place, name, **_cost(0.0, name, spent)))
        else:
            phases.append(_phase(place, name, row, now, _cost(row["cost"], name, spent)))
        before.append(row)
    return RunProgress(run_id, tuple(phases), pause_seconds)


def cost_of(noted: float | None, spent: Spent) -> float | None:
    """What a phase has cost, USD: the ledger's sum over all attempts, or what was noted before there was one."""
    is_known = spent.spent or spent.reserved or spent.unsettled or spent.unpriced
    return spent.total if is_known else noted


def _cost(noted: float | None, name: str, spent: Mapping[str, Spent] | None) -> dict[str, Any]:
    own = None if spent is None else spent.get(name)
    return {"cost": noted} if own is None else {"cost": cost_of(noted, own), "unsettled": own.unsettled}


def _phase(place: int, name: str, row: Mapping[str, Any], now: datetime, cost: Mapping[str, Any]) -> PhaseProgress:
    ended, heard = _moment(row["ended_at"]), _moment(row["heartbeat_at"])
    return PhaseProgress(
        number=place,
        name=name,
        status=str(row["status"]),
        **{key: row[key] for key in _NUMBERS},
        **cost,
        seconds=_seconds(row, now),
        silent_seconds=_apart(now, heard) if heard else 0.0,
        heard_at=heard,
        ended_before_seconds=_apart(now, ended) if ended else None,
        message=str(row["message"] or ""),
    )


def _is_fresh(row: Mapping[str, Any], now: datetime, pause_seconds: float) -> bool:
    ended = _moment(row["ended_at"])
    return row["status"] == "running" or (ended is not None and _apart(now, ended) < pause_seconds)


def _began_before(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a phase began before another one: by the numbers of their beginnings, which no clock moves. A view that
    was rebuilt, or that an earlier version wrote, has none: there the moments have to do."""
    if row["begun"] is not None and other["begun"] is not None:
        return int(row["begun"]) < int(other["begun"])
    started, others = _moment(row["started_at"]), _moment(other["started_at"])
    return others is not None and (started is None or started < others)


def _seconds(row: Mapping[str, Any], now: datetime) -> float | None:
    """Seconds of work: as the phase measured them, else between its moments where they stand in their order."""
    if row["seconds"] is not None:
        return float(row["seconds"])
    started = _moment(row["started_at"])
    return max(0.0, ((_moment(row["ended_at"]) or now) - started).total_seconds()) if started else None


def _apart(now: datetime, then: datetime) -> float:
    """Seconds between two moments. One that lies ahead was noted before a clock was set back: as far away as it says,
    so that a process that died before does not count as heard of until the clock comes there again."""
    return abs((now - then).total_seconds())


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
