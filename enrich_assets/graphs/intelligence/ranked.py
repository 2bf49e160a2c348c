"""The final order: score, diversity, caps."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import Field

from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Drop, Row, Selection, table
from enrich_assets.models.text import cosine, tfidf
from enrich_assets.stats.figures.bars import Bars
from enrich_assets.stats.figures.drop_reasons import DropReasons


class Settings(SettingsBase):
    """How the order comes about."""

    keep: int = Field(default=20, ge=1)
    """Articles of the report at most."""
    per_source: int = Field(default=4, ge=1)
    """Articles of one source at most."""
    per_category: int = Field(default=6, ge=1)
    """Articles of one category at most."""
    diversity: float = Field(default=0.3, ge=0, le=1)
    """Weight of being unlike the articles placed before, against the score: 0 order by score alone."""


@table(
    settings=Settings,
    adds={
        "rank": Column(int, "place in the report, from 1"),
        "final_score": Column(float, "score that placed it, points 0–10: tier3 less what it shares with those before"),
        "rank_reason": Column(str, "why it stands here, in words"),
    },
    figures=[Bars("category", label="articles per category"), DropReasons()],
)
def ranked(articles: list[Row], settings: Settings) -> Selection:
    """One row an article of the report, in its order, with the reason for its place.

    Places one article after the other by maximal marginal relevance (Carbonell and Goldstein, 1998): the score less
    the likeness to what stands above. Caps per source and category keep the report broad. Costs nothing.
    """
    vectors = {a["row_id"]: tfidf(f"{a['title']}\n{a['text']}") for a in articles}
    waiting = sorted(articles, key=lambda a: (-a["tier3_score"], a["row_id"]))
    likeness = {a["row_id"]: 0.0 for a in waiting}
    placed: list[dict[str, Any]] = []
    dropped: dict[str, Drop] = {}
    sources: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    while waiting:
        best = max(
            waiting, key=lambda a: (_marginal(a, likeness[a["row_id"]], settings), a["tier3_score"], a["row_id"])
        )
        waiting.remove(best)
        drop = _over_a_cap(best, settings, sources, categories, len(placed))
        if drop is not None:
            dropped[best["row_id"]] = drop
            continue
        score = round(_marginal(best, likeness[best["row_id"]], settings), 3)
        reason = _reason(best, likeness[best["row_id"]], waiting)
        placed.append({"row_id": best["row_id"], "rank": len(placed) + 1, "final_score": score, "rank_reason": reason})
        sources[best["source_id"]] += 1
        categories[best["category"]] += 1
        for article in waiting:
            alike = cosine(vectors[article["row_id"]], vectors[best["row_id"]])
            likeness[article["row_id"]] = max(likeness[article["row_id"]], alike)
    return Selection(kept=placed, dropped=dropped)


def _marginal(article: Row, likeness: float, settings: Settings) -> float:
    return float((1 - settings.diversity) * article["tier3_score"] + settings.diversity * 10 * (1 - likeness))


def _over_a_cap(
    article: Row, settings: Settings, sources: Counter[str], categories: Counter[str], placed: int
) -> Drop | None:
    if placed >= settings.keep:
        return Drop("beyond_limit", article["tier3_score"], f"the report has {settings.keep} articles")
    if sources[article["source_id"]] >= settings.per_source:
        return Drop("source_cap", article["source_id"], f"{settings.per_source} of this source stand above")
    if categories[article["category"]] >= settings.per_category:
        return Drop("category_cap", article["category"], f"{settings.per_category} of this category stand above")
    return None


def _reason(article: Row, likeness: float, waiting: list[Row]) -> str:
    better = [a for a in waiting if a["tier3_score"] > article["tier3_score"]]
    score = f"score {article['tier3_score']:.2f}"
    if better:
        return f"{score}; placed above {len(better)} with a higher score because it is less like those before it."
    if likeness > 0.35:
        return f"{score}, the highest left, although it resembles one above."
    return f"{score}, the highest left."
