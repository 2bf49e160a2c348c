"""Where each number of the report comes from: JSON pointer (RFC 6901) → artifact and field.

Sums over numbers of the report name `report` and the numbers they are made of, so that each can be followed down to
an artifact. What a field may say stands in `report_content.Origin`; `reports/origins.py` reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from enrich_assets.core.envelope import Envelope
from enrich_assets.graphs.intelligence.report_content import (
    SCORE_COLUMNS,
    SPENT,
    Article,
    FunnelStep,
    Origin,
    SourceEntry,
    Usage,
    counted_at,
)

SOURCES = "scraped/sources"

# Of the articles' artifact, of the sources' side table, and of this document.
_OF_ARTICLES = {
    "/summary/articles_reported": "rows",
    "/summary/entities": "distinct entities.kind+name",
    "/summary/entities_supported": "distinct entities.kind+name where grade is supported",
    "/news/new": "rows where follow_up is not true",
}
_OF_SOURCES = {
    "/summary/sources": "rows",
    "/summary/sources_read": "rows where status is scraped",
    "/summary/sources_down": "rows where status is not scraped",
}
_OF_NUMBERS = {
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
    last = next(reversed(list(history)), "")
    for artifact, counted in ((last, _OF_ARTICLES), (SOURCES, _OF_SOURCES), ("report", _OF_NUMBERS)):
        found.update((path, Origin(artifact=artifact, field=field)) for path, field in counted.items() if artifact)
    found.update(_of_articles(articles, history))
    found.update(_of_funnel(funnel, history))
    found.update(_of_usage(usage, history))
    found.update(_of_sources(sources, last))
    return found


def _of_articles(articles: Sequence[Article], history: Mapping[str, Envelope]) -> Iterator[tuple[str, Origin]]:
    columns = {"rank": "rank", **{f"scores/{name}": column for name, column in SCORE_COLUMNS.items()}}
    makers = {column: _maker(column, history) for column in columns.values()}
    for index, article in enumerate(articles):
        for path, column in columns.items():
            origin = Origin(artifact=makers[column], field=column, row_id=article.row_id)
            yield f"/articles/{index}/{path}", origin
        if article.copies:
            origin = Origin(artifact=_maker("also_at", history), field="length of also_at", row_id=article.row_id)
            yield f"/articles/{index}/copies", origin


def _of_funnel(funnel: Sequence[FunnelStep], history: Mapping[str, Envelope]) -> Iterator[tuple[str, Origin]]:
    for index, step in enumerate(funnel):
        for name, field in counted_at(history[step.phase].counts).items():
            yield f"/funnel/{index}/{name}", Origin(artifact=step.phase, field=f"envelope.counts.{field}")
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
            whole = "asked" if field != "cost" and recorded != history[spent.phase].asked else "usage"
            yield f"/usage/phases/{index}/{field}", Origin(artifact=spent.phase, field=f"envelope.{whole}.{source}")
        yield f"/usage/phases/{index}/seconds", Origin(artifact=spent.phase, field="envelope.duration_seconds")
    for field in (*SPENT, "seconds"):
        yield f"/usage/totals/{field}", Origin(artifact="report", field=f"sum of /usage/phases/*/{field}")
    for index, traffic in enumerate(usage.sources):
        # Also for what has no value now: two honest runs differ in that, and the origins count for the data hash.
        for field in ("bytes", "seconds", "not_modified_share"):
            yield f"/usage/sources/{index}/{field}", Origin(artifact=SOURCES, field=field, row_id=traffic.source_id)


def _of_sources(sources: Sequence[SourceEntry], articles_in: str) -> Iterator[tuple[str, Origin]]:
    columns = {name: name for name in ("entries", "articles", "new_items", "failed_in_row")}
    columns["entry_errors"] = "sum of errors.count"
    for index, source in enumerate(sources):
        for name, field in columns.items():
            if getattr(source, name) is not None:
                yield f"/sources/{index}/{name}", Origin(artifact=SOURCES, field=field, row_id=source.source_id)
        field = f"rows where source_id is {source.source_id}"
        yield f"/sources/{index}/reported", Origin(artifact=articles_in, field=field)


def _maker(column: str, history: Mapping[str, Envelope]) -> str:
    """The earliest phase whose artifact has the column; the last phase where no envelope lists it."""
    names = list(history)
    return next((name for name in names if column in history[name].columns), names[-1] if names else "")


def _token(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
