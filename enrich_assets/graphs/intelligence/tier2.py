"""The second sieve: one small question per article, several articles a call."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from enrich_assets.core.errors import MalformedAnswer
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.core.settings import inherited
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Drop, Row, ask
from enrich_assets.graphs.intelligence.settings import Category, Company
from enrich_assets.models.text import keyword_hits, sentences
from enrich_assets.stats.figures.drop_reasons import DropReasons
from enrich_assets.stats.figures.histogram import Histogram

NO_CATEGORY = "none"
PASSING_MENTION = 1.0
"""Points below which a category is only mentioned: one keyword, once, outside the title and the opening."""


class Settings(SettingsBase):
    """Who judges relevance, and from where on an article stays."""

    model: str = inherited("The model that is asked.")
    categories: tuple[Category, ...] = inherited("The subjects to choose from.")
    company: Company = inherited("Whose report this is.")
    threshold: float = Field(default=4.0, ge=0, le=10)
    """Articles below this relevance are dropped, points of 10."""
    batch: int = Field(default=8, ge=1, le=50)
    """Articles in one request."""


class Verdict(BaseModel):
    """What the model answers for an article."""

    model_config = ConfigDict(extra="forbid")

    relevance: float = Field(ge=0, le=10, description="How much this matters to the reader, 0 (not at all) to 10.")
    category: str = Field(description="The id of the one category it belongs to, or 'none'.", max_length=60)
    reason: str = Field(description="One line: why this relevance.", min_length=1, max_length=300)


def what_the_prompt_says(settings: Settings) -> dict[str, dict[str, Any]]:
    """The category is one of those that the prompt lists, the relevance a whole number of its scale."""
    # Whole, because llama.cpp's grammars keep the bounds of integers and not those of other numbers: a small model
    # answered 495897. https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
    listed = [*(category.id for category in settings.categories), NO_CATEGORY]
    return {"relevance": {"type": "integer"}, "category": {"enum": listed}}


def relevance_by_keywords(article: Row, settings: Settings) -> Verdict:
    """The stand-in without a model: density of the keywords, where they stand, and the reader's interests."""
    opening = " ".join(sentences(article["text"])[:4])
    best, best_points, found = NO_CATEGORY, 0.0, set[str]()
    for category in settings.categories:
        title = keyword_hits(article["title"], category.keywords)
        start = keyword_hits(opening, category.keywords)
        whole = keyword_hits(article["text"], category.keywords)
        # Different keywords say more than one that is repeated, and the beginning more than the rest.
        points = 2.0 * len(title) + 1.0 * len(start) + 0.7 * len(whole) + 0.2 * min(10, sum(whole.values()))
        found |= set(whole) | set(title)
        if points > best_points:
            best, best_points = category.id, points
    interests = keyword_hits(f"{article['title']} {article['text']}", settings.company.interests)
    if best_points < PASSING_MENTION:
        best = NO_CATEGORY
    relevance = min(10.0, 10 * best_points / (best_points + 4.0) + 0.5 * min(2, len(interests)))
    named = ", ".join(sorted(found)[:4])
    reason = f"{len(found)} keywords: {named}" if named else "no keyword of any category"
    return Verdict(relevance=round(relevance, 2), category=best, reason=reason[:300])


@ask(
    reads=["title", "text", "source_name"],
    prompt="tier2.md",
    answer=Verdict,
    schema_extra=what_the_prompt_says,
    batched=True,
    without_model=relevance_by_keywords,
    settings=Settings,
    adds={
        "tier2_score": Column(float, "relevance to the reader, points 0–10"),
        "category": Column(str, "id of the category it belongs to"),
        "tier2_reason": Column(str, "one line: why"),
    },
    figures=[DropReasons(), Histogram("tier2_score", label="tier2 score, points of 10", bounds=("threshold",))],
)
def tier2(article: Row, verdict: Verdict, settings: Settings) -> dict[str, object] | Drop:
    """One row an article that matters to the reader, with the category it belongs to.

    Costs one small call for every eight articles (`batch`); changing the threshold costs none.
    """
    known = {category.id for category in settings.categories}
    if verdict.category not in known | {NO_CATEGORY}:
        raise MalformedAnswer(f"category: {verdict.category!r} is none of {', '.join(sorted(known))}, {NO_CATEGORY}")
    if verdict.category == NO_CATEGORY:
        return Drop("no_category", verdict.relevance, verdict.reason)
    if verdict.relevance < settings.threshold:
        return Drop("below_threshold", verdict.relevance, verdict.reason)
    return {"tier2_score": verdict.relevance, "category": verdict.category, "tier2_reason": verdict.reason}
