"""Findings about what was left out: a reason that takes far more rows than it did before."""

from __future__ import annotations

from collections.abc import Iterator

from enrich_assets.engine.phase import Phase
from enrich_assets.reports.findings.finding import Facts, Found, median, percent, rows_where

FACTOR = 2.0
"""The share of a reason has doubled: more than the day-to-day change of what sources publish."""
FEWEST_ROWS = 10
"""Rows that a reason has to take: shares of a few rows double by themselves."""
LEAST_SHARE = 0.1
"""A reason that takes less than a tenth changes little, doubled or not."""
FEWEST_RUNS = 2
"""Earlier runs that are needed: one alone does not say what is usual."""


def leaves_rows_out(phase: Phase) -> bool:
    """Whether the phase is one that drops rows."""
    return phase.makes == "table"


def drop_reason_doubled(facts: Facts) -> Iterator[Found]:
    """No reason drops twice the share of rows that it dropped in earlier runs."""
    rows_in = _rows_in(facts.counts.rows_in, facts.counts.created, facts.counts.dropped_by_reason)
    for reason, count in facts.counts.dropped_by_reason.items():
        if count < FEWEST_ROWS or count < LEAST_SHARE * rows_in:
            continue
        shares = [
            counts.dropped_by_reason.get(reason, 0) / total
            for earlier in facts.earlier
            if (counts := earlier.envelope.counts)
            and (total := _rows_in(counts.rows_in, counts.created, counts.dropped_by_reason))
        ]
        if len(shares) < FEWEST_RUNS:
            continue
        usual, share = median(shares), count / rows_in
        if share < FACTOR * usual or share < usual + LEAST_SHARE / 2:
            continue
        was = f"against {percent(usual)} in {len(shares)} earlier runs" if usual else "and none in earlier runs"
        table = facts.table("dropped")
        yield Found(
            f"{count:,} of {rows_in:,} rows, {percent(share)}, were dropped as {reason}, {was}.",
            f"Look at some of them: enrich show RUN {facts.phase.name}; a source, a setting or a prompt has changed.",
            [] if table is None else rows_where(table, "drop_reason", reason, value=reason),
        )


def _rows_in(rows_in: int, created: int, dropped: dict[str, int]) -> int:
    """The rows that a reason could take: of a phase that makes its rows, those that it made or dropped on the way."""
    return created + sum(dropped.values()) if created else rows_in
