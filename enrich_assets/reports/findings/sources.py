"""Findings about where articles come from: one source that gives nearly all, and sources that gave up giving."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from enrich_assets.engine.phase import Phase
from enrich_assets.reports.findings.finding import Facts, FindingRow, Found, median, percent, rows_where

DOMINANT_SHARE = 0.8
"""From four fifths on, a report speaks with one voice, whatever the other sources say."""
FEWEST_ARTICLES = 10
"""Below this many articles a share says more about chance than about the sources."""
SILENT_FACTOR = 3.0
"""A source is silent when it has had nothing new for three times as long as its entries usually lie apart."""
LEAST_SILENT_DAYS = 3.0
"""Shorter silences are weekends and holidays."""
SILENT_DAYS_WITHOUT_HISTORY = 30.0
"""A source of which nothing is known is silent after a month: monthly publications are the rarest that are read."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def reads_sources(phase: Phase) -> bool:
    """Whether the phase makes articles out of sources."""
    return "sources" in phase.sides and "source_id" in phase.adds


def one_source_dominates(facts: Facts) -> Iterator[Found]:
    """No source gives four fifths of the articles or more."""
    table = facts.table("")
    if table is None or table.num_rows < FEWEST_ARTICLES:
        return
    named = "source_name" if "source_name" in table.column_names else "source_id"
    sources = facts.table("sources")
    asked = table.column("source_id").unique().to_pylist() if sources is None else sources.column("row_id").to_pylist()
    top = max(table.column(named).value_counts().to_pylist(), key=lambda entry: entry["counts"])
    share = top["counts"] / table.num_rows
    if share < DOMINANT_SHARE or len(asked) < 2:
        return
    yield Found(
        f"{top['values']} gives {top['counts']:,} of {table.num_rows:,} articles, {percent(share)}; "
        f"{len(asked)} sources were read.",
        "Lower its max_items, add sources, or see why the others give so little: enrich show RUN scraped.",
        rows_where(table, named, top["values"]),
    )


def source_gone_silent(facts: Facts) -> Iterator[Found]:
    """No source that used to give something new has stopped to do so."""
    sources = facts.table("sources")
    if sources is None or "last_new_at" not in sources.column_names:
        return
    silent: list[FindingRow] = []
    plain = sources.select(["row_id", "source_id", "name", "status", "new_items"]).to_pylist()
    for row, moment in zip(plain, _last_new(sources), strict=True):
        row = {**row, "last_new_at": moment}
        said = _silence(row["source_id"], row, facts)
        if said:
            silent.append(FindingRow(row_id=str(row["row_id"]), title=str(row["name"] or ""), value=said))
    if silent:
        first = silent[0]
        more = f", and {len(silent) - 1} more" if len(silent) > 1 else ""
        yield Found(
            f"{first.title} has gone silent: {first.value}{more}.",
            "Open its address; a feed that moved or ended has to be corrected or removed: enrich sources check.",
            silent,
        )


def _silence(source_id: str, row: dict[str, object], facts: Facts) -> str:
    """How long a source has had nothing new, in words; '' where it has, or where it could not be read at all."""
    last = row["last_new_at"]
    if row["status"] != "scraped" or row["new_items"] or not isinstance(last, datetime):
        return ""  # a source that fails has a check of its own
    days = (facts.as_of - last).total_seconds() / 86_400
    usual = _usual_gap(source_id, facts)
    patience = SILENT_DAYS_WITHOUT_HISTORY if usual is None else max(LEAST_SILENT_DAYS, SILENT_FACTOR * usual)
    if days < patience:
        return ""
    told = f"nothing new for {days:.0f} days"
    return told if usual is None else f"{told}, and earlier every {usual:.1f} days"


def _usual_gap(source_id: str, facts: Facts) -> float | None:
    """Days between the moments at which earlier runs found something new; None where fewer than two did."""
    moments: set[datetime] = set()
    for earlier in facts.earlier:
        table = earlier.table("sources")
        if table is not None and "last_new_at" in table.column_names:
            pairs = zip(table.column("source_id").to_pylist(), _last_new(table), strict=True)
            moments |= {moment for known, moment in pairs if known == source_id and moment is not None}
    ordered = sorted(moments)
    gaps = [(b - a).total_seconds() / 86_400 for a, b in itertools.pairwise(ordered)]
    return median(gaps) if gaps else None


def _last_new(sources: pa.Table) -> list[datetime | None]:
    # By their microseconds, because Arrow imports pandas to make datetimes.
    counts = sources.column("last_new_at").cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
    return [None if count is None else _EPOCH + timedelta(microseconds=count) for count in counts]
