"""Where each number of the report comes from: JSON pointer (RFC 6901) → artifact and field.

Numbers that the report itself counts name `report` and the numbers they are made of, so that each can be followed
down to an artifact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from enrich_assets.core.envelope import Envelope
from enrich_assets.graphs.intelligence.report_content import (
    COUNTED,
    SCORE_COLUMNS,
    SPENT,
    Article,
    FunnelStep,
    Origin,
    SourceEntry,
    Usage,
)

SOURCES = "scraped/sources"

_COUNTED_HERE = {
    "/summary/articles_reported": "count of /articles",
    "/summary/sources": "count of /sources",
    "/summary/sources_down": "count of /sources/*/status that is not scraped",
    "/summary/entities": "count of distinct /articles/*/entities/*/name",
    "/summary/entities_supported": "count of distinct /articles/*/entities/*/name with the grade supported",
    "/news/new": "count of /articles/*/follow_up that is false",
    "/news/already_reported": "sum of /funnel/*/dropped_by_reason/already_reported",
    "/usage/totals/known_cost": "sum of the known /usage/phases/*/cost",
}


def provenance(
    articles: Sequence[Article],
    funnel: Sequence[FunnelStep],
    usage: Usage,
    sources: Sequence[SourceEntry],
    history: Mapping[str, Envelope],
    *,
    articles_from: str,
) -> dict[str, Origin]:
    """The origin of every number. `articles_from` names the phase that made the articles, '' where none did."""
    found: dict[str, Origin] = {}
    if articles_from:
        found["/summary/articles_read"] = Origin(artifact=articles_from, field="envelope.counts.rows_out")
    found.update((path, Origin(artifact="report", field=field)) for path, field in _COUNTED_HERE.items())
    found.update(_of_articles(articles, history))
    found.update(_of_funnel(funnel))
    found.update(_of_usage(usage, history))
    found.update(_of_sources(sources))
    return found


def _of_articles(articles: Sequence[Article], history: Mapping[str, Envelope]) -> Iterator[tuple[str, Origin]]:
    columns = {"rank": "rank", **{f"scores/{name}": column for name, column in SCORE_COLUMNS.items()}}
    makers = {column: _maker(column, history) for column in columns.values()}
    for index, article in enumerate(articles):
        for path, column in columns.items():
            origin = Origin(artifact=makers[column], field=column, row_id=article.row_id)
            yield f"/articles/{index}/{path}", origin


def _of_funnel(funnel: Sequence[FunnelStep]) -> Iterator[tuple[str, Origin]]:
    for index, step in enumerate(funnel):
        for field in COUNTED:
            yield f"/funnel/{index}/{field}", Origin(artifact=step.phase, field=f"envelope.counts.{field}")
        for field in ("dropped_by_reason", "failed_by_kind"):
            for key in getattr(step, field):
                origin = Origin(artifact=step.phase, field=f"envelope.counts.{field}[{key}]")
                yield f"/funnel/{index}/{field}/{_token(key)}", origin


def _of_usage(usage: Usage, history: Mapping[str, Envelope]) -> Iterator[tuple[str, Origin]]:
    for index, spent in enumerate(usage.phases):
        recorded = history[spent.phase].usage
        for field in SPENT:
            # An envelope of before all attempts were counted has the cost of its own making.
            source = "spent" if field == "cost" and recorded.paid == recorded.spent else field
            yield f"/usage/phases/{index}/{field}", Origin(artifact=spent.phase, field=f"envelope.usage.{source}")
        yield f"/usage/phases/{index}/seconds", Origin(artifact=spent.phase, field="envelope.duration_seconds")
    for field in (*SPENT, "seconds"):
        yield f"/usage/totals/{field}", Origin(artifact="report", field=f"sum of /usage/phases/*/{field}")
    for index, traffic in enumerate(usage.sources):
        for field in ("bytes", "seconds"):
            yield f"/usage/sources/{index}/{field}", Origin(artifact=SOURCES, field=field, row_id=traffic.source_id)


def _of_sources(sources: Sequence[SourceEntry]) -> Iterator[tuple[str, Origin]]:
    for index, source in enumerate(sources):
        for field in ("entries", "articles"):
            yield f"/sources/{index}/{field}", Origin(artifact=SOURCES, field=field, row_id=source.source_id)
        yield f"/sources/{index}/reported", Origin(artifact="report", field="count of /articles/*/source_id")


def _maker(column: str, history: Mapping[str, Envelope]) -> str:
    """The earliest phase whose artifact has the column; the last phase where no envelope lists it."""
    names = list(history)
    return next((name for name in names if column in history[name].columns), names[-1] if names else "")


def _token(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
