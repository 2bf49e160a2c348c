"""How a source fares: what it listed and gave, what went wrong, and what its runs before say of it.

Reading the source and its articles belongs to `scraped`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.clients import Page
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Failed
from enrich_assets.web.sources import Listing
from enrich_assets.web.sources.source import Source

FAILED_TOO_OFTEN = 3
"""Failed runs in a row after which a source is marked."""
_OVER_THE_WIRE = {"http", "browser", "not_modified"}


class ErrorCount(BaseModel):
    """How often one kind of error met the entries of a source."""

    kind: str
    count: int


SOURCES = {
    "source_id": Column(str, "the source's id in the settings"),
    "name": Column(str, "name for people"),
    "url": Column(str, "the feed, sitemap, listing, site, page, file or folder"),
    "kind": Column(str, "what kind of source it is"),
    "status": Column(str, "scraped or failed"),
    "error": Column(str, "why it failed, empty otherwise"),
    "entries": Column(int, "entries that it lists"),
    "articles": Column(int, "articles that came of them"),
    "new_items": Column(int, "entries that its run before did not list; all of them in its first run"),
    "errors": Column(list[ErrorCount], "kinds of errors that its entries met, most frequent first"),
    "warnings": Column(list[str], "what reading it brought up: a bound that was reached, a part that is broken"),
    "unreadable_dates": Column(int, "items that state a date which cannot be read"),
    "doubtful_dates": Column(int, "items that state a date more than two days after the reading"),
    "failed_in_row": Column(int, "runs in a row in which it failed, this one included"),
    "last_new_at": Column(datetime, "when it last had a new item, UTC: of publication, else of the reading"),
    "bytes": Column(int, "bytes of its documents, decompressed"),
    "bytes_fetched": Column(int, "bytes of documents that came over the wire now, decompressed", volatile=True),
    "not_modified_share": Column(
        float, "share of its requests that the server answered with 304, 0–1; empty without requests", volatile=True
    ),
    "seconds": Column(float, "time it took, seconds", volatile=True),
    "listed": Column(list[str], "row_ids of the entries that it listed last, for the next run to compare with"),
}


@dataclass(frozen=True)
class Before:
    """What the last run that read a source says of it; `listed` is None where none did."""

    listed: frozenset[str] | None = None
    failed_in_row: int = 0
    last_new_at: datetime | None = None


def before_of(source: Mapping[str, Any]) -> Before:
    """The history of a source, as `initialized` froze it beside its settings."""
    known = source.get("before")
    if not known:
        return Before()
    moment = known.get("last_new_at")
    return Before(
        frozenset(known["listed"]), int(known["failed_in_row"]), datetime.fromisoformat(moment) if moment else None
    )


def failed_source(source: Source, before: Before, *, error: str, seconds: float) -> dict[str, Any]:
    """The row of a source that could not be read."""
    return {
        **_named(source),
        "status": "failed",
        "error": error,
        "entries": 0,
        "articles": 0,
        "new_items": 0,
        "errors": [],
        "warnings": [],
        "unreadable_dates": 0,
        "doubtful_dates": 0,
        "failed_in_row": before.failed_in_row + 1,
        "last_new_at": before.last_new_at,
        "bytes": 0,
        "bytes_fetched": 0,
        "not_modified_share": None,
        "seconds": round(seconds, 3),
        "listed": sorted(before.listed or ()),
    }


def read_source(
    source: Source,
    before: Before,
    listing: Listing,
    listed: Mapping[str, datetime | None],
    pages: Iterable[Page],
    failures: Iterable[Failed],
    *,
    articles: int,
    seconds: float,
) -> dict[str, Any]:
    """The row of a source that was read.

    `listed`: row_id of each entry → when it was published. `pages` are the articles' own, the listing's left out.
    """
    documents = [*listing.documents, *pages]
    asked = [page for page in documents if page.fetch_method in _OVER_THE_WIRE]
    unchanged = sum(page.fetch_method == "not_modified" for page in asked)
    new = [row_id for row_id in listed if before.listed is None or row_id not in before.listed]
    return {
        **_named(source),
        "status": "scraped",
        "error": "",
        "entries": len(listing.entries),
        "articles": articles,
        "new_items": len(new),
        "errors": _counted(failures),
        "warnings": list(listing.warnings),
        "unreadable_dates": listing.unreadable_dates,
        "doubtful_dates": listing.doubtful_dates,
        "failed_in_row": 0,
        "last_new_at": _newest([listed[row_id] for row_id in new], listing, documents) if new else before.last_new_at,
        "bytes": sum(len(page.body) for page in documents),
        "bytes_fetched": sum(len(page.body) for page in asked if page.fetch_method != "not_modified"),
        "not_modified_share": unchanged / len(asked) if asked else None,
        "seconds": round(seconds, 3),
        "listed": sorted(listed),
    }


def most_sources_answered(result: PhaseResult, settings: Any) -> str | None:
    """At least half of the sources gave articles."""
    counts = result.counts
    if counts.rows_in and counts.kept * 2 < counts.rows_in:
        return f"only {counts.kept} of {counts.rows_in} sources could be read"
    return None


def no_source_fails_for_long(result: PhaseResult, settings: Any) -> str | None:
    """No source failed in three runs in a row."""
    lasting = [row for row in result.sides["sources"].to_pylist() if row["failed_in_row"] >= FAILED_TOO_OFTEN]
    told = "; ".join(f"{row['name']}: {row['failed_in_row']} runs in a row, now {row['error']}" for row in lasting)
    return f"mend or remove them: {told}" if lasting else None


def dates_can_be_read(result: PhaseResult, settings: Any) -> str | None:
    """No source states dates that cannot be read, or that lie ahead of the reading."""
    rows = [row for row in result.sides["sources"].to_pylist() if row["unreadable_dates"] or row["doubtful_dates"]]
    if not rows:
        return None
    told = "; ".join(
        f"{row['name']}: {row['unreadable_dates']} unreadable, {row['doubtful_dates']} ahead of the reading"
        for row in rows[:10]
    )
    more = f" and {len(rows) - 10} sources more" if len(rows) > 10 else ""
    return f"undated articles pass the age limit; see the warnings of the sources: {told}{more}"


def _named(source: Source) -> dict[str, Any]:
    return {
        "row_id": source.id,
        "source_id": source.id,
        "name": source.name,
        "url": source.url,
        "kind": source.kind,
    }


def _counted(failures: Iterable[Failed]) -> list[ErrorCount]:
    kinds = Counter(failure.kind for failure in failures)
    ordered = sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))
    return [ErrorCount(kind=kind, count=count) for kind, count in ordered]


def _newest(published: Sequence[datetime | None], listing: Listing, documents: Sequence[Page]) -> datetime | None:
    read_at = min((page.fetched_at for page in documents), default=None)
    known = [moment for moment in published if moment is not None]
    # A date to come is the source's mistake, or an announcement; the item was there when it was read.
    newest = max(known, default=read_at)
    return newest if newest is None or read_at is None else min(newest, read_at)
