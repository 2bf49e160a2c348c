"""How a run is written as the ledger alone shows it, for `enrich watch`, `enrich runs` and running commands.

What the ledger shows of it belongs to `engine.run_progress`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enrich_assets.cli.output import DASH, clean, counted, duration, money, number, plain_table
from enrich_assets.engine.progress import Pace, RowsSoFar, how_it_goes, unknown_outcomes
from enrich_assets.engine.run_progress import BETWEEN as BETWEEN
from enrich_assets.engine.run_progress import PAUSE_SECONDS as PAUSE_SECONDS
from enrich_assets.engine.run_progress import SILENT_SECONDS, PhaseProgress, RunProgress
from enrich_assets.engine.run_progress import cost_of as cost_of
from enrich_assets.engine.run_progress import run_progress as run_progress

if TYPE_CHECKING:
    from rich.table import Table

    from enrich_assets.engine.spending import Spent

_STYLES = {"✓": "green", "▸": "yellow", "✗": "red", "‖": "yellow", "·": "dim"}


def progress_table(progress: RunProgress) -> Table:
    """One line a phase: mark, number, name, in → out, dropped, failed, requests (model, page, search), cost, time."""
    from rich.text import Text

    headings = ("", "#", "phase", "in → out", "dropped", "failed", "requests", "reused", "cost", "time")
    table = plain_table(*headings, right=("#", "in → out", "dropped", "failed", "requests", "reused", "cost", "time"))
    for phase in progress.phases:
        started = bool(phase.status)
        table.add_row(
            Text(phase.mark, style=_STYLES[phase.mark]),
            str(phase.number),
            phase.name,
            phase.rows,
            *(_count(value) if started else "" for value in (phase.dropped, phase.failed, phase.calls, phase.reused)),
            money(phase.cost) if started else "",
            duration(phase.seconds) if started else "",
            style="" if started else "dim",
        )
    return table


def working_line(progress: RunProgress, pace: Pace) -> str:
    """How fast the working phase goes: `tier3: 340 of 1,200 rows, 41 rows/s, …`; '' while none does.

    `pace` has to be the same from frame to frame.
    """
    phase = progress.working
    if phase is None or not phase.rows_in or phase.seconds is None:
        return ""
    rows = RowsSoFar(phase.rows_in, phase.rows_done or 0, phase.dropped or 0, phase.failed or 0)
    pace.note(phase.seconds, rows.done)
    return (
        f"{phase.name}: {how_it_goes(rows, pace, cost=phase.cost, unsettled=phase.unsettled, reused=phase.reused or 0)}"
    )


def finished_line(phase: PhaseProgress) -> str:
    """One plain line on a phase that ended."""
    parts = [f"{phase.mark} {phase.number:>2} {phase.name:<12} {phase.rows:>12}"]
    left_out = ((phase.dropped, "dropped"), (phase.failed, "failed"))
    parts += [f"{number(value)} {word}" for value, word in left_out if value]
    parts += [f"{counted(phase.calls, 'request')}"] if phase.calls else []
    parts += [money(phase.cost)] if phase.cost != 0 else []
    parts.append(duration(phase.seconds))
    return "  ".join(parts)


def notes_of(progress: RunProgress) -> list[str]:
    """What a frame says below its table: messages of phases that failed, a phase that gives no sign of life, how to
    go on with a run that is paused, and what of its cost is not certain."""
    ended = [phase for phase in progress.phases if phase.message and phase.mark == "✗"]
    notes = [f"{phase.name}: {clean(phase.message)}" for phase in ended]
    for phase in progress.phases:
        if phase.status == "running" and phase.silent_seconds > SILENT_SECONDS:
            notes.append(
                f"{phase.name} gave no sign of life for {duration(phase.silent_seconds)}. "
                f"If nobody works on it: enrich resume {progress.run_id}"
            )
    if progress.state == "paused":
        notes.append(f"go on with: enrich resume {progress.run_id}")
    return notes + sure_of_cost(progress.unsettled)


def sure_of_cost(unsettled: int) -> list[str]:
    """The sentence on requests of unknown outcome or usage, where there are any."""
    told = unknown_outcomes(unsettled)
    return [f"cost {told}"] if told else []


def launch_line(before: Spent, after: Spent, reused: int) -> str:
    """What a launch paid, by the totals of its run before and after it, and how many requests the ledger answered;
    empty where both are nothing."""
    paid = max(0.0, round(after.spent + after.reserved - before.spent - before.reserved, 9))
    if after.unpriced > before.unpriced:
        parts = ["what this launch paid is unknown: a price is"]
    else:
        parts = [f"this launch paid {money(paid)}"] if paid or reused else []
    if reused:
        parts.append(f"{counted(reused, 'request')} answered from the ledger at no cost")
    return ", ".join(parts)


def _count(value: int | None) -> str:
    return DASH if value is None else "" if value == 0 else number(value)
