"""The phase `report`: everything the run found, left out and spent, as one document.

Here the document is filled; its shape is `report_content.py`, the origin of its numbers `report_provenance.py`; its
Markdown, page and workbook are made in the room `reports`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.core.settings import inherited
from enrich_assets.engine.phase import Row, table
from enrich_assets.graphs.intelligence.report_content import (
    COUNTED,
    SCORE_COLUMNS,
    SPENT,
    AlsoAt,
    Article,
    Embedded,
    Empty,
    EntityNote,
    FailedCheck,
    FunnelStep,
    News,
    PhaseSpent,
    Reader,
    ReportContent,
    Scores,
    SourceEntry,
    SourceTraffic,
    Summary,
    TotalSpent,
    Usage,
    counted_at,
)
from enrich_assets.graphs.intelligence.report_provenance import provenance
from enrich_assets.graphs.intelligence.settings import Category, Company
from enrich_assets.models.settings import EXTRACTIVE
from enrich_assets.stats.figures.funnel import Funnel
from enrich_assets.stats.figures.phase_bars import PhaseBars

if TYPE_CHECKING:
    from enrich_assets.engine.graph import RunInfo


class Settings(SettingsBase):
    """Settings of the report; all of them follow the run unless set here."""

    company: Company | None = inherited("Whose report this is.")
    categories: tuple[Category, ...] | None = inherited("The subjects, for their names.")
    language: str | None = inherited("Language of the report, ISO 639-1.")


@table(
    makes="document",
    also=["initialized", "scraped/sources"],
    settings=Settings,
    figures=[Funnel(), PhaseBars("duration"), PhaseBars("cost")],
)
def report(
    validated: Sequence[Row],
    settings: Settings,
    run: RunInfo,
    history: Mapping[str, Envelope],
    initialized: Mapping[str, Any],
    sources: Sequence[Row],
) -> dict[str, Any]:
    """The report's content: ranked articles with their evidence, what was left out and why, sources, models, costs.

    One document a run. Each number in the funnel, the scores and the costs names the artifact and field that it was
    taken from. It asks no model and costs nothing. Without an article it says which phase let nothing through.
    """
    names = {category.id: category.name for category in settings.categories or ()}
    articles = [_article(place, row, names) for place, row in enumerate(sorted(validated, key=_rank), 1)]
    funnel = [_step(name, envelope) for name, envelope in history.items()]
    maker = _maker_of_articles(funnel)
    models = _models(history, initialized.get("settings") or {})
    embedded = [phase for phase, used in models.items() if EXTRACTIVE in used]
    entries = _sources(sources, articles)
    usage = _usage(history, models, sources)
    content = ReportContent(
        title=run.title or str(initialized.get("title") or "") or f"Report {run.run_id}",
        run_id=run.run_id,
        graph=run.graph,
        preset=str(initialized.get("preset") or ""),
        as_of=_utc(run.as_of),
        language=settings.language or "en",
        reader=Reader(**(settings.company or Company()).model_dump()),
        summary=_summary(articles, maker, entries),
        models=models,
        embedded_model=Embedded(used=bool(embedded), phases=embedded),
        articles=articles,
        empty=None if articles else _empty(funnel),
        news=_news(articles, funnel, initialized),
        funnel=funnel,
        sources=entries,
        notes=[str(note) for note in initialized.get("notes") or ()],
        usage=usage,
        provenance=provenance(articles, funnel, usage, entries, history, articles_from=maker.phase if maker else ""),
    )
    return content.model_dump(mode="json")


def _rank(row: Row) -> float:
    rank = row.get("rank")
    return math.inf if rank is None else float(rank)


def _article(place: int, row: Row, names: Mapping[str, str]) -> Article:
    category = str(row.get("category") or "")
    texts = ("row_id", "title", "url", "canonical_url", "content_hash", "source_id", "author", "language")
    return Article(
        **{name: str(row.get(name) or "") for name in (*texts, "analysis", "rationale", "rank_reason")},
        place=place,
        rank=int(row.get("rank") or 0),
        sketch=list(row.get("sketch") or ()),
        source=str(row.get("source_name") or row.get("source_id") or ""),
        published_at=None if row.get("published_at") is None else _utc(row["published_at"]),
        category=category,
        category_name=names.get(category, category.replace("_", " ")),
        categories=[str(item) for item in row.get("categories") or ()],
        scores=Scores(**{name: row.get(column) for name, column in SCORE_COLUMNS.items()}),
        follow_up=bool(row.get("follow_up")),
        also_at=[_also_at(item) for item in row.get("also_at") or ()],
        copies=len(row.get("also_at") or ()),
        entities=[_entity(item) for item in row.get("entities") or ()],
    )


def _entity(item: Any) -> EntityNote:
    values = item if isinstance(item, Mapping) else item.model_dump()
    return EntityNote(**{k: v for k, v in values.items() if k in EntityNote.model_fields and v is not None})


def _also_at(item: Any) -> AlsoAt:
    values = item if isinstance(item, Mapping) else item.model_dump()
    return AlsoAt(url=str(values["url"]), source=str(values["source_name"] or ""), title=str(values["title"] or ""))


def _step(name: str, envelope: Envelope) -> FunnelStep:
    counts = envelope.counts
    return FunnelStep(
        phase=name,
        number=envelope.number,
        has_rows=bool(envelope.columns) or any(getattr(counts, field) for field in COUNTED),
        **{name: getattr(counts, field) for name, field in counted_at(counts).items()},
        dropped_by_reason=_largest_first(counts.dropped_by_reason),
        failed_by_kind=_largest_first(counts.failed_by_kind),
        failed_checks=[
            FailedCheck(name=check.name, message=check.message, blocking=check.blocking)
            for check in envelope.checks
            if not check.passed
        ],
    )


def _largest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _models(history: Mapping[str, Envelope], snapshot: Mapping[str, Any]) -> dict[str, list[str]]:
    """Models by phase: those that the envelope names, else (all answers reused) the one that the settings name."""
    found: dict[str, list[str]] = {}
    by_phase = snapshot.get("phases") or snapshot
    shared = snapshot.get("shared") or snapshot
    for phase, envelope in history.items():
        own = by_phase.get(phase)
        if envelope.usage.models:
            found[phase] = sorted(envelope.usage.models)
        elif isinstance(own, Mapping) and "model" in own:
            model = own["model"] or shared.get("model")
            if model:
                found[phase] = [str(model)]
    return found


def _sources(rows: Sequence[Row], articles: Sequence[Article]) -> list[SourceEntry]:
    entries = []
    for row in rows:
        known = {name: row[name] for name in SourceEntry.model_fields if row.get(name) is not None}
        met = row.get("errors")
        if met is not None:
            counted = [item if isinstance(item, Mapping) else item.model_dump() for item in met]
            known["entry_errors"] = sum(item["count"] for item in counted)
            known["error_kinds"] = [item["kind"] for item in counted]
        if known.get("last_new_at") is not None:
            known["last_new_at"] = _utc(known["last_new_at"])
        reported = sum(article.source_id == row.get("source_id") for article in articles)
        entries.append(SourceEntry(**{"name": str(row.get("source_id")), **known, "reported": reported}))
    return entries


def _usage(history: Mapping[str, Envelope], models: Mapping[str, list[str]], sources: Sequence[Row]) -> Usage:
    phases = [
        PhaseSpent(
            phase=name,
            models=models.get(name, []),
            seconds=envelope.duration_seconds,
            cost=envelope.usage.paid,
            **{field: getattr(envelope.asked, field) for field in SPENT if field != "cost"},
        )
        for name, envelope in history.items()
    ]
    unknown = [phase.phase for phase in phases if phase.cost is None]
    known = math.fsum(phase.cost for phase in phases if phase.cost is not None)
    sums = {name: sum(getattr(phase, name) for phase in phases) for name in SPENT if name != "cost"}
    traffic = [
        SourceTraffic(**{name: row[name] for name in SourceTraffic.model_fields if row.get(name) is not None})
        for row in sources
    ]
    totals = TotalSpent(
        **sums,
        cost=None if unknown else known,
        known_cost=known,
        unknown_cost_phases=unknown,
        seconds=math.fsum(phase.seconds for phase in phases),
    )
    return Usage(phases=phases, totals=totals, sources=traffic)


def _summary(articles: Sequence[Article], maker: FunnelStep | None, sources: Sequence[SourceEntry]) -> Summary:
    entities = [entity for article in articles for entity in article.entities]
    return Summary(
        sources=len(sources),
        sources_read=sum(not source.is_down for source in sources),
        sources_down=sum(source.is_down for source in sources),
        articles_read=0 if maker is None else maker.rows_out,
        articles_reported=len(articles),
        entities=len({(entity.kind, entity.name) for entity in entities}),
        entities_supported=len({(entity.kind, entity.name) for entity in entities if entity.is_supported}),
    )


def _maker_of_articles(funnel: Sequence[FunnelStep]) -> FunnelStep | None:
    """The step that made the articles: the first that fans out, else the first with rows."""
    with_rows = [step for step in funnel if step.has_rows]
    return next((step for step in with_rows if step.created), with_rows[0] if with_rows else None)


def _news(articles: Sequence[Article], funnel: Sequence[FunnelStep], initialized: Mapping[str, Any]) -> News:
    follow_ups = [article.row_id for article in articles if article.follow_up]
    return News(
        compared_with=sorted({str(article["run_id"]) for article in initialized.get("earlier") or ()}),
        new=len(articles) - len(follow_ups),
        follow_ups=follow_ups,
        already_reported=sum(step.dropped_by_reason.get("already_reported", 0) for step in funnel),
    )


def _empty(funnel: Sequence[FunnelStep]) -> Empty:
    """Names the first phase that let nothing through."""
    blocker = next((step for step in funnel if step.has_rows and step.rows_out == 0), None)
    if blocker is None:
        return Empty(sentence="No article reached the report, and no phase of this run recorded why.")
    parts = []
    for verb, number, by in (
        ("dropped", blocker.dropped, blocker.dropped_by_reason),
        ("failed", blocker.failed, blocker.failed_by_kind),
    ):
        if number:
            reasons = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in by.items())
            parts.append(f"{number} {verb}" + (f" ({reasons})" if reasons else ""))
    rows = "1 row" if blocker.rows_in == 1 else f"{blocker.rows_in} rows"
    why = f"of {rows}, {' and '.join(parts)}" if parts else f"{rows} came in and none went out"
    return Empty(phase=blocker.phase, sentence=f"The phase {blocker.phase} let nothing through: {why}.")


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
