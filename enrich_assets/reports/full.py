"""The full report as PDF: news, funnel, sources, figures, evidence, and where each number comes from, for paper.

The text of the report reaches typst as data (JSON), never as markup: https://typst.app/docs/reference/data-loading/json/
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from enrich_assets.core.envelope import Frozen
from enrich_assets.core.errors import UserError
from enrich_assets.graphs.intelligence.report_content import (
    DIMENSIONS,
    Article,
    EntityNote,
    FunnelStep,
    Origin,
    ReportContent,
    SourceEntry,
)
from enrich_assets.reports import phrases
from enrich_assets.reports.kinds import Rendering, ReportType
from enrich_assets.reports.material import Material
from enrich_assets.reports.text import (
    clean,
    counted,
    day,
    host_of,
    number,
    percent,
    points,
    safe_url,
    seconds,
    short,
    usd,
    words,
)

ARTICLES_LIMIT = 100
"""Articles that are printed; a sentence names the file that has the others."""
SOURCES_LIMIT = 300
FIGURES_LIMIT = 24
_TEMPLATE = Path(__file__).parent / "templates" / "full.typ"


class FigureNote(Frozen):
    """A figure that is printed: its phase, its name below the run's folder, its title."""

    phase: str
    name: str
    title: str


class FullContent(Frozen):
    """The news with the figures of its phases."""

    news: ReportContent
    figures: list[FigureNote] = Field(default_factory=list)
    provenance: dict[str, Origin] = Field(default_factory=dict)


def content(material: Material) -> FullContent:
    """The content; raises ArtifactMissing for a run that did not reach its report."""
    news = material.news
    figures = [FigureNote(phase=f.phase, name=f.name, title=f.title) for f in material.figures]
    origins = {f"/news{pointer}": _nested(origin) for pointer, origin in news.provenance.items()}
    return FullContent(news=news, figures=figures[:FIGURES_LIMIT], provenance=origins)


def _nested(origin: Origin) -> Origin:
    """Sums over the report's numbers stand one level deeper here."""
    if origin.artifact != "report":
        return origin
    return origin.model_copy(update={"artifact": "full", "field": origin.field.replace(" /", " /news/")})


def files(full: FullContent, rendering: Rendering) -> dict[str, bytes]:
    """`full_report.pdf`; equal content gives equal bytes. Raises UserError where typst is not installed."""
    try:
        import typst
    except ImportError as error:
        raise UserError(
            "the full report needs typst, which is not installed.",
            fix="Install the extra `pdf`, or ask for the other types: --type news,summary,quality.",
        ) from error
    svgs = {figure.name: figure.svg for figure in rendering.material.figures}
    with tempfile.TemporaryDirectory(prefix="enrich-pdf-") as place:
        folder = Path(place)
        printed = _printed(full)
        for index, figure in enumerate(full.figures):
            (folder / f"figure-{index}.svg").write_bytes(svgs[figure.name])
        (folder / "report.json").write_text(json.dumps(printed, ensure_ascii=False), encoding="utf-8")
        (folder / "main.typ").write_bytes(_TEMPLATE.read_bytes())
        # typst refuses a moment with microseconds, which is what `as_of` is wherever the settings leave it open.
        moment = full.news.as_of.replace(microsecond=0)
        made = typst.compile(folder / "main.typ", root=folder, format="pdf", timestamp=moment)
    return {"full_report.pdf": bytes(made)}


def _printed(full: FullContent) -> dict[str, Any]:
    """What the template prints: texts and numbers as they are read, every address checked, in its order."""
    report = full.news
    summary, totals = report.summary, report.usage.totals
    notes = _Notes(report.provenance)
    described = phrases.first_described(report)
    articles = report.articles[:ARTICLES_LIMIT]
    left = len(report.articles) - len(articles)
    printed = {
        "title": report.title,
        "reader": report.reader.name,
        "dateline": phrases.dateline(report),
        "run_id": report.run_id,
        "embedded": phrases.embedded_note(report),
        "notes": list(report.notes),
        "cards": [
            _card("Articles read", number(summary.articles_read), notes, "/summary/articles_read"),
            _card("In this report", number(summary.articles_reported), notes, "/summary/articles_reported"),
            _card(
                "Sources read",
                f"{number(summary.sources_read)} of {number(summary.sources)}",
                notes,
                "/summary/sources_read",
            ),
            _card(
                "Backgrounds supported",
                f"{number(summary.entities_supported)} of {number(summary.entities)}",
                notes,
                "/summary/entities_supported",
            ),
            _card("Cost", phrases.cost(totals), notes, "/usage/totals/known_cost"),
        ],
        "empty": "" if report.empty is None else report.empty.sentence,
        "articles": [_article(article, described, notes, index) for index, article in enumerate(articles)],
        "articles_left": f"{counted(left, 'further article')} in report.json and articles.xlsx." if left else "",
        "news": " ".join(phrases.news(report)),
        "funnel": [_step(step) for step in report.funnel if step.has_rows],
        "most_rows": max((max(step.rows_in, step.rows_out) for step in report.funnel), default=0),
        "sources": [
            _source(source, unchanged)
            for source, unchanged in zip(report.sources[:SOURCES_LIMIT], phrases.unchanged(report), strict=False)
        ],
        "sources_left": max(0, len(report.sources) - SOURCES_LIMIT),
        "usage": [_spent(spent.phase, spent) for spent in report.usage.phases] + [_spent("Together", totals)],
        "figures": [{"title": figure.title, "phase": figure.phase, "name": figure.name} for figure in full.figures],
        "marks": {
            "funnel": notes.mark("/funnel/0/rows_in"),
            "dropped": notes.mark("/funnel/0/dropped"),
            "sources": notes.mark("/sources/0/entries"),
            "reported": notes.mark("/sources/0/reported"),
            "usage": notes.mark("/usage/phases/0/model_calls"),
            "cost": notes.mark("/usage/phases/0/cost"),
            "time": notes.mark("/usage/phases/0/seconds"),
        },
        "origins": [{"number": kind, "told": told} for kind, told in phrases.origins(report)],
    }
    return dict(clean(printed | {"footnotes": notes.lines}))


class _Notes:
    """Numbered notes: a number's origin is told once and its mark is used wherever the same one stands."""

    def __init__(self, provenance: Mapping[str, Origin]) -> None:
        self.lines: list[str] = []
        self._provenance = provenance

    def mark(self, pointer: str) -> str:
        """The mark of the origin of a number; '' where none is recorded."""
        origin = self._provenance.get(pointer)
        if origin is None:
            return ""
        line = phrases.note_of(pointer, origin)
        if line not in self.lines:
            self.lines.append(line)
        return str(self.lines.index(line) + 1)


def _card(label: str, shown: str, notes: _Notes, pointer: str) -> dict[str, str]:
    return {"label": label, "shown": shown, "mark": notes.mark(pointer)}


def _article(article: Article, described: dict[tuple[str, ...], int], notes: _Notes, index: int) -> dict[str, Any]:
    facts = [article.category_name, article.source, day(article.published_at)]
    if article.follow_up:
        facts.append("follow-up")
    return {
        "place": article.place,
        "title": short(article.title),
        "url": safe_url(article.url),
        "facts": [fact for fact in facts if fact],
        "row_id": article.row_id,
        "also": [
            {"name": short(also.source) or host_of(also.url) or "page", "url": safe_url(also.url)}
            for also in article.also_at
        ],
        "analysis": article.analysis,
        "why": " ".join(text for text in (article.rank_reason, article.rationale) if text),
        "total": points(article.scores.total),
        "mark": notes.mark(f"/articles/{index}/scores/total"),
        "scores": [
            {
                "name": name,
                "shown": points(getattr(article.scores, name)),
                "share": max(0.0, min(100.0, 10 * (getattr(article.scores, name) or 0.0))),
            }
            for name in DIMENSIONS
        ],
        "scores_mark": notes.mark(f"/articles/{index}/scores/relevance"),
        "entities": [_entity(entity, article, described) for entity in article.entities],
    }


def _entity(entity: EntityNote, article: Article, described: dict[tuple[str, ...], int]) -> dict[str, Any]:
    first = described[phrases.entity_key(entity)]
    told = {"name": short(entity.name), "kind": words(entity.kind), "grade": phrases.grade(entity)}
    if first != article.place:
        return {**told, "supported": entity.is_supported, "first": first}
    return {
        **told,
        "supported": entity.is_supported,
        "first": 0,
        "background": phrases.background(entity),
        "unsupported": phrases.unsupported_note(entity),
        "quote": entity.quote,
        "url": safe_url(entity.url),
        "host": host_of(entity.url),
    }


def _step(step: FunnelStep) -> dict[str, Any]:
    return {
        "phase": step.phase,
        "rows_in": number(step.rows_in),
        "rows_out": number(step.rows_out),
        "dropped": number(step.dropped),
        "failed": number(step.failed),
        "out": step.rows_out,
        "why": phrases.reasons(step),
        "checks": [f"{words(check.name)}: {check.message}" for check in step.failed_checks],
    }


def _source(source: SourceEntry, unchanged: float | None) -> dict[str, Any]:
    return {
        "name": short(source.name),
        "url": safe_url(source.url),
        "down": source.is_down,
        "error": source.error or source.status if source.is_down else phrases.trouble(source),
        "entries": number(source.entries),
        "new_items": "–" if source.new_items is None else number(source.new_items),
        "articles": number(source.articles),
        "reported": number(source.reported),
        "last_new_at": day(source.last_new_at) or "–",
        "unchanged": percent(unchanged),
    }


def _spent(name: str, spent: Any) -> dict[str, str]:
    return {
        "phase": name,
        "models": ", ".join(getattr(spent, "models", ())) or "–",
        "calls": number(spent.model_calls),
        "requests": number(spent.page_requests + spent.search_requests),
        "tokens": f"{number(spent.tokens_in)} / {number(spent.tokens_out)}",
        "cost": usd(spent.cost),
        "time": seconds(spent.seconds),
    }


REPORT = ReportType(
    name="full",
    title="news, funnel, sources, figures, evidence and origins on paper: full_report.pdf (needs typst)",
    content=content,
    files=files,
)
