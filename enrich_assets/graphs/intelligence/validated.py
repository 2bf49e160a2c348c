"""The phase `validated`: every rule that a published row must keep. A new rule is one function and one line in RULES.

A rule judges one row and nothing it cannot see; what a whole table must look like is a check.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import Field

from enrich_assets.core.result import PhaseResult
from enrich_assets.core.scripts import fewest_characters
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Check, Drop, Row, Selection, table
from enrich_assets.evidence.grade import Grade
from enrich_assets.evidence.quote import locate, normalised, tells_about
from enrich_assets.stats.figures.drop_reasons import DropReasons
from enrich_assets.stats.figures.histogram import Histogram
from enrich_assets.web.urls import canonicalize


class Settings(SettingsBase):
    """Settings of validated."""

    max_quarantined: float = Field(default=0.5, ge=0, le=1)
    """Largest share of rows that may break a rule before nothing is published."""


@dataclass(frozen=True)
class Facts:
    """What rules know besides the row; a rule does not ask for what is None.

    `scraped`: the scraped articles by URL. `shortest` and `longest`: bounds of an analysis in characters.
    """

    scraped: Mapping[str, Row] | None = None
    shortest: int | None = None
    longest: int | None = None


SCORES = (
    "tier1_score",
    "tier2_score",
    "tier3_score",
    "final_score",
    "relevance",
    "impact",
    "novelty",
    "credibility",
    "actionability",
)
WRITTEN = ("analysis", "tier2_reason", "rationale")
LEFTOVERS = (
    "as an ai language model", "as a large language model", "as an ai assistant", "here is the analysis",
    "here's the analysis", "here is a summary", "here is the summary", "i cannot fulfill", "i can't assist",
    "lorem ipsum", "{{", "}}", "{%", "<row id", "</row>", "<<<data", "data>>>", "=== row ===", "```",
    "ignore previous instructions", "ignore all previous",
)  # fmt: skip
GRADES = get_args(Grade)


def _empty_field(row: Row, facts: Facts) -> str:
    for name in ("url", "title", "text", "source_id", "category", "analysis"):
        if name in row and not str(row[name] or "").strip():
            return name
    return next((f"entities[{i}].name" for i, e in _entities(row) if not str(e.get("name") or "").strip()), "")


def _schema_bounds(row: Row, facts: Facts) -> str:
    for name in SCORES:
        if name in row and not _is_number(row[name], lowest=0, highest=10):
            return f"{name}: {row[name]!r} is not within 0–10"
    rank = row.get("rank", 1)
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        return f"rank: {rank!r} is no place in an order"
    return ""


def _analysis_bounds(row: Row, facts: Facts) -> str:
    analysis = str(row.get("analysis") or "")
    count = len(analysis)
    fewest = None if facts.shortest is None else fewest_characters(facts.shortest, analysis)
    if fewest is not None and count < fewest:
        return f"analysis: {count} characters, fewer than {fewest}"
    if facts.longest is not None and count > facts.longest:
        return f"analysis: {count} characters, more than {facts.longest}"
    if row.get("analysis_characters", count) != count:
        return f"analysis_characters: {row['analysis_characters']!r}, but the analysis has {count}"
    return ""


def _link_not_fetched(row: Row, facts: Facts) -> str:
    url = str(row.get("url") or "")
    seen = row if facts.scraped is None else facts.scraped.get(url)
    if seen is None:
        return f"url: {url} was never fetched"
    status = seen.get("http_status")
    if facts.scraped is None and status is None:
        return ""
    return "" if status is not None and 200 <= int(status) < 300 else f"url: {url} was answered with {status}"


def _quote_not_found(row: Row, facts: Facts) -> str:
    for index, entity in _entities(row):
        problem = _quote_problem(entity, row, facts)
        if problem:
            return f"entities[{index}] {entity.get('name')}: {problem}"
    return ""


def _prompt_leftover(row: Row, facts: Facts) -> str:
    texts = {name: row.get(name) for name in WRITTEN}
    texts |= {f"entities[{i}].background": entity.get("background") for i, entity in _entities(row)}
    for where, text in texts.items():
        folded = normalised(str(text or "")).casefold()
        for phrase in LEFTOVERS:
            if phrase in folded:
                return f"{where}: {phrase!r}"
    return ""


RULES: Mapping[str, Callable[[Row, Facts], str]] = {
    "empty_field": _empty_field,
    "schema_bounds": _schema_bounds,
    "analysis_bounds": _analysis_bounds,
    "link_not_fetched": _link_not_fetched,
    "quote_not_found": _quote_not_found,
    "prompt_leftover": _prompt_leftover,
}
"""Name → rule. A rule returns where and how the row breaks it, or an empty string."""


def broken_rule(row: Row, facts: Facts) -> Drop | None:
    """The first rule that the row breaks, with its name as the reason; None when it keeps them all."""
    for name, rule in RULES.items():
        where = rule(row, facts)
        if where:
            return Drop(name, detail=where)
    return None


def no_broken_rows_published(result: PhaseResult, settings: Settings) -> str | None:
    """Every published row keeps every rule, as far as the table itself can tell."""
    rows = result.table.to_pylist() if result.table is not None else []
    broken = [(row, drop) for row in rows if (drop := broken_rule(row, Facts())) is not None]
    if not broken:
        return None
    row, drop = broken[0]
    return f"{len(broken)} of {len(rows)} rows break a rule; the first: {row['row_id']}, {drop.reason}, {drop.detail}"


def few_rows_quarantined(result: PhaseResult, settings: Settings) -> str | None:
    """The share of rows that broke a rule is within max_quarantined."""
    counts = result.counts
    if counts.rows_in == 0 or counts.dropped / counts.rows_in <= settings.max_quarantined:
        return None
    reasons = ", ".join(f"{name} {count}" for name, count in counts.dropped_by_reason.items())
    return (
        f"{counts.dropped} of {counts.rows_in} rows broke a rule ({reasons}), more than the allowed share of "
        f"{settings.max_quarantined:g}"
    )


@table(
    adds={"rules_passed": Column(int, "rules that the row was held against and keeps")},
    settings=Settings,
    also=["initialized", "scraped"],
    quarantines=True,
    figures=[
        DropReasons(label="what the rules let through"),
        Histogram("final_score", label="final score, points of 10"),
    ],
    checks=[
        Check("no_broken_rows_published", no_broken_rows_published, blocking=True),
        Check("few_rows_quarantined", few_rows_quarantined, blocking=True),
    ],
)
def validated(
    enriched: Sequence[Row], settings: Settings, initialized: Mapping[str, Any], scraped: Sequence[Row]
) -> Selection:
    """One row an article that keeps every rule: fields filled, scores in bounds, the analysis of the right length, a
    link that was really fetched, quotes that really occur, no leftovers of a prompt.

    A row that breaks a rule goes into quarantine (the dropped rows) under the rule's name. Costs nothing.
    """
    asked = initialized["settings"].get("paraphrased", {})
    facts = Facts({str(row["url"]): row for row in scraped}, asked.get("shortest"), asked.get("longest"))
    outcomes = [(row, broken_rule(row, facts)) for row in enriched]
    return Selection(
        kept=[{"row_id": row["row_id"], "rules_passed": len(RULES)} for row, drop in outcomes if drop is None],
        dropped={row["row_id"]: drop for row, drop in outcomes if drop is not None},
    )


def _quote_problem(entity: Mapping[str, Any], row: Row, facts: Facts) -> str:
    name, grade = str(entity.get("name") or ""), entity.get("grade")
    quote, url = str(entity.get("quote") or ""), str(entity.get("url") or "")
    if grade not in GRADES:
        return f"{grade!r} is no grade"
    if grade == "unsupported":
        return "unsupported, and yet it has a background or a quote" if quote or entity.get("background") else ""
    if not tells_about(quote, name):
        return "the quote does not say anything about it by name"
    if not entity.get("background"):
        return "supported, and yet it has no background"
    own = canonicalize(str(row.get("url") or ""))
    if grade == "supported" and canonicalize(url) == own:
        return "the quote stands on the article's own page only"
    if not re.match(r"https?://", url) or not entity.get("page_sha256"):
        return "the quote has no page"
    page = facts.scraped.get(url) if facts.scraped is not None else None
    # The stored text counts only if it was made of the same document that was quoted, and by the rules that quotes are
    # read by: a source's own selectors may leave out what these find.
    same_document = page is not None and page.get("page_sha256") == entity["page_sha256"]
    same_text = same_document and page is not None and page.get("extracted_by") != "selectors"
    if same_text and page is not None and locate(quote, str(page.get("text") or "")) is None:
        return f"the quote does not stand on {url}"
    return ""


def _entities(row: Row) -> Iterator[tuple[int, Mapping[str, Any]]]:
    yield from enumerate(row.get("entities") or ())


def _is_number(value: Any, *, lowest: float, highest: float) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and lowest <= value <= highest
