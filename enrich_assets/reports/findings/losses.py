"""Findings about rows that a run lost: a phase that keeps none, and pages that could not be read."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from enrich_assets.core.envelope import Counts
from enrich_assets.core.units import counted
from enrich_assets.engine.phase import Phase
from enrich_assets.reports.findings.finding import Facts, FindingRow, Found, percent, row_ids

LEAST_SHARE = 0.05
"""Of any hundred links a few lead nowhere; from one page in twenty on it is worth a look."""
LARGE_SHARE = 0.2
"""When one page in five is missing, the run no longer shows what its sources wrote."""


def makes_rows(phase: Phase) -> bool:
    """Whether the phase makes rows out of rows."""
    return phase.creates


def nothing_left(facts: Facts) -> Iterator[Found]:
    """The phase leaves rows for the next one."""
    if sentence := empty_sentence(facts.counts):
        table = facts.table("dropped")
        rows = [] if table is None else _rows(table, "drop_reason")
        yield Found(
            sentence,
            f"Look at them: enrich show RUN {facts.phase.name} --rows. A new run with other settings pays for nothing "
            "that was answered: enrich run --like RUN --set KEY=VALUE",
            rows,
        )


def empty_sentence(counts: Counts) -> str:
    """That a phase got rows and leaves none, and why; '' where it leaves some, or got none."""
    if counts.rows_out or not (counts.rows_in or counts.rows_judged):
        return ""
    lost = counts.rows_dropped + counts.rows_failed
    if not lost:
        return f"Nothing is left: {counted(counts.rows_in, 'row')} came in and gave none."
    reasons = {**counts.dropped_by_reason, **{f"failed: {kind}": n for kind, n in counts.failed_by_kind.items()}}
    most_first = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{reason} {number:,}" for reason, number in most_first)
    return f"Nothing is left: {_every(lost)} left out ({told})."


def _every(count: int) -> str:
    return "the only row was" if count == 1 else f"all {count:,} rows were"


def pages_failed(facts: Facts) -> Iterator[Found]:
    """Nearly every page that a source lists can be read."""
    failed, tried = facts.counts.failed_on_the_way, facts.counts.tried_on_the_way
    if not failed or failed < LEAST_SHARE * tried:
        return
    table = facts.table("failed")
    waiting = facts.counts.waiting
    later = f"enrich resume RUN reads {counted(waiting, 'page')} again whose cause may have passed. " if waiting else ""
    yield Found(
        f"{failed:,} of {counted(tried, 'page')}, {percent(failed / tried)}, could not be read.",
        f"{later}What each said: enrich show RUN {facts.phase.name} --rows --state failed; "
        "enrich resume RUN --retry-failed reads all of them again.",
        [] if table is None else _rows(table, "failure_kind"),
        severity="warning" if failed >= LARGE_SHARE * tried else "notice",
    )


def _rows(table: pa.Table, column: str) -> list[FindingRow]:
    titles, values = table.column("title").to_pylist(), table.column(column).to_pylist()
    return [
        FindingRow(row_id=row_id, title=str(title or ""), value=str(value))
        for row_id, title, value in zip(row_ids(table), titles, values, strict=True)
    ]
