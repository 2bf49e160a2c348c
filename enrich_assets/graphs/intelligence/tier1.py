"""The first sieve: plain rules that cost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, Field

from enrich_assets.core.language_codes import same_language
from enrich_assets.core.result import PhaseResult
from enrich_assets.core.settings import LanguageCode, inherited
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.columns import Column
from enrich_assets.engine.graph import RunInfo
from enrich_assets.engine.phase import Check, Drop, Row, Selection, table
from enrich_assets.graphs.intelligence.settings import Category
from enrich_assets.models.text import keyword_hits
from enrich_assets.stats.figures.drop_reasons import DropReasons
from enrich_assets.stats.figures.histogram import Histogram
from enrich_assets.web.duplicates import Sketches, sketch


class Settings(SettingsBase):
    """What the rules let through."""

    language: LanguageCode = inherited("Language that articles must have, ISO 639-1.")
    categories: tuple[Category, ...] = inherited("The subjects with their keywords.")
    least_words: int = Field(default=120, ge=1)
    """Shorter articles are dropped (`too_short`), words."""
    oldest_days: float = Field(default=14.0, gt=0, le=36_500)
    """Older articles are dropped (`too_old`), days before the run's as_of."""
    least_score: float = Field(default=1.0, ge=0, le=10)
    """Lower keyword scores are dropped (`no_keyword`), points of 10."""
    excluded_keywords: tuple[str, ...] = ()
    """Words and phrases that no article of the report may have (`excluded_keyword`)."""
    reported_urls: tuple[str, ...] = ()
    """Addresses that count as reported already, besides those of earlier runs."""
    near_duplicate: float = Field(default=0.7, gt=0, le=1)
    """Estimated share of common word triples from which two articles are one (`near_duplicate`)."""
    follow_up_below: float = Field(default=0.8, ge=0, le=1)
    """An article that an earlier run reported is kept as follow-up when it overlaps less than this with it."""


class Copy(BaseModel):
    """Another place where an article's text stands."""

    url: str
    source_name: str
    title: str
    similarity: float
    """Share of common word triples, 0–1."""


def something_left(result: PhaseResult, settings: Settings) -> str | None:
    """At least one article passed the rules."""
    if result.counts.rows_in and not result.counts.kept:
        reasons = ", ".join(f"{n} {reason}" for reason, n in result.counts.dropped_by_reason.items())
        return f"no article passed the rules: {reasons}"
    return None


@table(
    settings=Settings,
    also=["initialized"],
    adds={
        "tier1_score": Column(float, "points 0–10: keywords in title and text, times the source's weight"),
        "categories": Column(list[str], "ids of the categories whose keywords occur, most hits first"),
        "keywords": Column(list[str], "the keywords that occur"),
        "follow_up": Column(bool, "whether an earlier run reported this and it has something new"),
        "also_at": Column(list[Copy], "the copies of it that were dropped: where they stand, and how alike they are"),
        "sketch": Column(list[int], "MinHash of the text's word triples, 64 values"),
    },
    figures=[DropReasons(), Histogram("tier1_score", label="tier1 score, points of 10")],
    checks=[Check("something_left", something_left)],
)
def tier1(articles: list[Row], settings: Settings, run: RunInfo, initialized: Mapping[str, Any]) -> Selection:
    """One row an article that plain rules let through: language, length, age, keywords, duplicates, news value.

    Costs nothing. Every dropped article keeps its reason. Of duplicates the one with the better source and the higher
    score stays, and lists the others.
    """
    dropped: dict[str, Drop] = {}
    passed: list[dict[str, Any]] = []
    oldest = run.as_of - timedelta(days=settings.oldest_days)
    for article in articles:
        verdict = _by_rules(article, settings, oldest)
        if isinstance(verdict, Drop):
            dropped[article["row_id"]] = verdict
        else:
            passed.append({**article, **verdict})
    passed.sort(key=lambda a: (-a["tier1_score"], a["published_at"].timestamp() if a["published_at"] else 0, a["url"]))
    kept = _without_duplicates(passed, settings, dropped)
    kept = _without_reported(kept, settings, initialized.get("earlier", ()), dropped)
    return Selection(kept=sorted(kept, key=lambda a: str(a["row_id"])), dropped=dropped)


def _by_rules(article: Row, settings: Settings, oldest: Any) -> dict[str, Any] | Drop:
    if article["language"] and not same_language(article["language"], settings.language):
        return Drop("wrong_language", article["language"])
    if article["word_count"] < settings.least_words:
        return Drop("too_short", article["word_count"])
    if article["published_at"] is not None and article["published_at"] < oldest:
        return Drop("too_old", article["published_at"].date().isoformat())
    body = f"{article['title']}\n{article['text']}"
    excluded = keyword_hits(body, settings.excluded_keywords)
    if excluded:
        return Drop("excluded_keyword", ", ".join(sorted(excluded)))
    score, categories, keywords = _by_keywords(article, settings.categories)
    if score < settings.least_score:
        return Drop("no_keyword", round(score, 2))
    return {
        "tier1_score": score,
        "categories": categories,
        "keywords": keywords,
        "follow_up": False,
        "sketch": sketch(article["text"]),
    }


def _by_keywords(article: Row, categories: Iterable[Category]) -> tuple[float, list[str], list[str]]:
    hits: dict[str, int] = {}
    by_category: dict[str, int] = {}
    for category in categories:
        in_title = keyword_hits(article["title"], category.keywords)
        in_text = keyword_hits(article["text"], category.keywords)
        # A headline is worth three mentions, and a keyword counts at most three times in a text.
        points = {word: 3 * in_title.get(word, 0) + min(3, in_text.get(word, 0)) for word in {*in_title, *in_text}}
        if points:
            by_category[category.id] = sum(points.values())
            hits |= {word: max(hits.get(word, 0), count) for word, count in points.items()}
    raw = sum(hits.values())
    # Saturates: 8 points of hits give half of the scale, so that one long text cannot run away.
    score = 10 * raw / (raw + 8) * article["source_weight"]
    ordered = sorted(by_category, key=lambda name: (-by_category[name], name))
    return round(min(10.0, score), 3), ordered, sorted(hits)


def _without_duplicates(
    articles: Sequence[dict[str, Any]], settings: Settings, dropped: dict[str, Drop]
) -> list[dict[str, Any]]:
    """The first of each cluster, with the others of it in `also_at`."""
    kept: list[dict[str, Any]] = []
    by_name: dict[str, dict[str, Any]] = {}
    sketches = Sketches()
    for article in articles:
        names = (article["content_hash"], article["canonical_url"])
        twin = next((by_name[name] for name in names if name in by_name), None)
        if twin is not None:
            dropped[article["row_id"]] = Drop("exact_duplicate", twin["url"], "the same text is kept from there")
            twin["also_at"].append(_copy(article, 1.0))
            continue
        close = sketches.closest(article["sketch"], least=settings.near_duplicate)
        if close is not None:
            number, share = close
            best = kept[number]
            dropped[article["row_id"]] = Drop("near_duplicate", round(share, 2), f"kept instead: {best['url']}")
            best["also_at"].append(_copy(article, round(share, 2)))
            continue
        first = {**article, "also_at": []}
        by_name |= dict.fromkeys(names, first)
        sketches.add(article["sketch"])
        kept.append(first)
    return kept


def _copy(article: Row, similarity: float) -> Copy:
    return Copy(url=article["url"], source_name=article["source_name"], title=article["title"], similarity=similarity)


def _without_reported(
    articles: Sequence[dict[str, Any]],
    settings: Settings,
    earlier: Sequence[Mapping[str, Any]],
    dropped: dict[str, Drop],
) -> list[dict[str, Any]]:
    kept = []
    listed = set(settings.reported_urls)
    sketches = Sketches()
    for known in earlier:
        sketches.add(known["sketch"])
    for article in articles:
        if article["canonical_url"] in listed or article["url"] in listed:
            dropped[article["row_id"]] = Drop("already_reported", "settings", "its address is listed as reported")
            continue
        shares = sketches.shares(article["sketch"])
        same = [
            (max(share, float(known["content_hash"] == article["content_hash"])), known)
            for number, known in enumerate(earlier)
            if (share := shares.get(number, 0.0)) >= settings.near_duplicate
            or known["canonical_url"] == article["canonical_url"]
        ]
        if not same:
            kept.append(article)
            continue
        share, known = max(same, key=lambda item: item[0])
        if share < settings.follow_up_below:
            kept.append({**article, "follow_up": True})
        else:
            dropped[article["row_id"]] = Drop("already_reported", known["run_id"], f"as {known['title']}")
    return kept
