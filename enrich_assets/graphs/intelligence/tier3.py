"""The deep look: five dimensions for each article, one article a call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from enrich_assets.core.result import PhaseResult
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.core.settings import inherited
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Check, Drop, Row, ask
from enrich_assets.graphs.intelligence.settings import Category, Company
from enrich_assets.models.relevance import subject_points
from enrich_assets.models.text import keyword_hits, sentences
from enrich_assets.stats.figures.drop_reasons import DropReasons
from enrich_assets.stats.figures.histogram import Histogram
from enrich_assets.stats.figures.scatter import Scatter
from enrich_assets.stats.figures.spreads import Spreads


class Weights(SettingsBase):
    """Weight of each dimension in the total; they need not add up to one."""

    relevance: float = Field(default=0.30, ge=0, le=1000)
    """Weight of relevance."""
    impact: float = Field(default=0.25, ge=0, le=1000)
    """Weight of impact."""
    novelty: float = Field(default=0.20, ge=0, le=1000)
    """Weight of novelty."""
    credibility: float = Field(default=0.15, ge=0, le=1000)
    """Weight of credibility."""
    actionability: float = Field(default=0.10, ge=0, le=1000)
    """Weight of actionability."""


class Settings(SettingsBase):
    """Who judges, how the dimensions weigh, and what stays."""

    model: str = inherited("The model that is asked.")
    categories: tuple[Category, ...] = inherited("The subjects of the report.")
    company: Company = inherited("Whose report this is.")
    weights: Weights = Weights()
    """Weights of the five dimensions."""
    threshold: float = Field(default=4.0, ge=0, le=10)
    """Articles with a lower total are dropped, points of 10."""
    keep: int = Field(default=40, ge=1)
    """Articles that stay at most: the best."""
    text_characters: int = Field(default=6000, ge=500)
    """Characters of the text that the model sees."""


class Assessment(BaseModel):
    """What the model answers for an article."""

    model_config = ConfigDict(extra="forbid")

    relevance: float = Field(ge=0, le=10, description="Bearing on the reader's business, 0 to 10.")
    impact: float = Field(ge=0, le=10, description="How much it changes, for how many, 0 to 10.")
    novelty: float = Field(ge=0, le=10, description="How new it is against what was known, 0 to 10.")
    credibility: float = Field(ge=0, le=10, description="How well it is evidenced in the text, 0 to 10.")
    actionability: float = Field(ge=0, le=10, description="Whether the reader can act on it, 0 to 10.")
    rationale: str = Field(min_length=1, max_length=600, description="One or two sentences: why these numbers.")


DIMENSIONS = tuple(Weights.model_fields)


def whole_numbers(settings: Settings) -> dict[str, dict[str, Any]]:
    """Each dimension is a whole number of its scale: grammars keep the bounds of no other numbers."""
    return {name: {"type": "integer"} for name in DIMENSIONS}


_IMPACT = (
    "billion",
    "million",
    "percent",
    "per cent",
    "nationwide",
    "worldwide",
    "standard",
    "ban",
    "law",
    "recall",
    "shortage",
    "record",
    "doubled",
    "halved",
    "thousand",
    "mandatory",
    "industry",
    "plants",
    "patients",
)
_NOVELTY = (
    "first",
    "new",
    "unveiled",
    "announced",
    "launch",
    "launched",
    "release",
    "released",
    "breakthrough",
    "discovered",
    "debut",
    "prototype",
    "this week",
    "on monday",
    "on tuesday",
    "on wednesday",
    "on thursday",
    "on friday",
    "published",
)
_CREDIBILITY = (
    "study",
    "trial",
    "data",
    "report",
    "according to",
    "researchers",
    "measured",
    "paper",
    "regulator",
    "audit",
    "results",
    "independent",
    "peer",
    "tested",
    "filing",
    "spokesperson",
)
_ACTION = (
    "available",
    "deadline",
    "must",
    "should",
    "require",
    "required",
    "price",
    "pilot",
    "guidance",
    "license",
    "open source",
    "download",
    "training",
    "upgrade",
    "comply",
    "compliance",
    "deploy",
    "install",
    "apply",
    "plan",
)
_NUMBER = re.compile(r"\b\d[\d.,]*\b")
_QUOTE = re.compile(r"[\"“”]")
_HALF_OF_SUBJECT, _HALF_OF_INTERESTS, _HALF_OF_CUES = 20.0, 10.0, 2.5
"""Points that give half of the scale: of the subject about four keywords, of the interests two, of cue words two."""
_INTERESTS_SHARE = 0.5
"""Share of the reader's interests in the relevance, where the settings name any."""
_CUES_SHARE = 0.05
"""How far cue words move a dimension from the middle of the scale, as a share of the scale: they order articles whose
relevance is nearly equal, and no more."""
_USUAL_WORDS = 400
"""Words of a usual article: a longer one holds more cue words without meaning more by them."""


def five_dimensions_by_cues(article: Row, settings: Settings) -> Assessment:
    """The stand-in without a model: the subject by its keywords, and cue words and figures for the other dimensions.

    Cue words are in texts of every subject and tell little, so what they say is shrunk towards the middle of the
    scale (as an estimate of low reliability is); the subject uses the whole scale. So it leads, and they refine.
    """
    text = f"{article['title']}. {article['text']}"
    own = next((c for c in settings.categories if c.id == article["category"]), None)
    subject = subject_points(article["title"], article["text"], own.keywords if own else ())
    interests = subject_points(article["title"], article["text"], settings.company.interests)
    numbers = len(set(_NUMBER.findall(text)))
    cues = {
        "impact": 1.0 * len(keyword_hits(text, _IMPACT)) + 0.25 * min(12, numbers),
        "novelty": 1.2 * len(keyword_hits(text, _NOVELTY)) + 0.8 * len(keyword_hits(article["title"], _NOVELTY)),
        "credibility": 1.0 * len(keyword_hits(text, _CREDIBILITY)) + 0.3 * min(8, len(_QUOTE.findall(text))) + 1.0,
        "actionability": 1.2 * len(keyword_hits(text, _ACTION)),
    }
    relevance = _saturated(subject, half=_HALF_OF_SUBJECT)
    if settings.company.interests:
        relevance = (1 - _INTERESTS_SHARE) * relevance + _INTERESTS_SHARE * _saturated(
            interests, half=_HALF_OF_INTERESTS
        )
    longer = 0.25 + 0.75 * len(text.split()) / _USUAL_WORDS
    told = {name: _saturated(points / longer, half=_HALF_OF_CUES) for name, points in cues.items()}
    scores = {name: 5 + _CUES_SHARE * (10 * share - 5) for name, share in told.items()}
    # The source's weight is the user's own word on it, so it counts fully.
    scores["credibility"] = min(10.0, scores["credibility"] * float(article["source_weight"]))
    scores = {name: round(score, 2) for name, score in {"relevance": 10 * relevance, **scores}.items()}
    best = sorted(told, key=lambda name: (-told[name], name))[:2]
    title = article["title"].strip().rstrip(".")
    lead = [s for s in sentences(article["text"])[:2] if s.strip().rstrip(".") != title][:1]
    rationale = f"{_keywords_told(text, own)}; cue words speak most for {best[0]} and {best[1]}."
    if lead:
        rationale += f" It opens: {lead[0]}"
    return Assessment(**scores, rationale=rationale[:600])


def _keywords_told(text: str, category: Category | None) -> str:
    named = sorted(keyword_hits(text, category.keywords if category else ()))
    return f"Keywords: {', '.join(named[:4])}" if named else "No keyword of its category"


def _saturated(points: float, *, half: float) -> float:
    """0-1, rising with `points`: a half where they are `half`."""
    return points / (points + half)


def keep_the_best(kept: Sequence[Row], settings: Settings) -> Mapping[str, Drop]:
    """Drops what is beyond the best `keep` articles."""
    ordered = sorted(kept, key=lambda a: (-a["tier3_score"], a["row_id"]))
    return {a["row_id"]: Drop("beyond_limit", a["tier3_score"]) for a in ordered[settings.keep :]}


def scores_vary(result: PhaseResult, settings: Settings) -> str | None:
    """The totals of more than five articles are not all the same."""
    assert result.table is not None
    scores = result.table.column("tier3_score").to_pylist()
    if len(scores) > 5 and len(set(scores)) == 1:
        return f"all {len(scores)} articles have the total {scores[0]}"
    return None


@ask(
    reads=["title", "text", "source_name", "source_weight", "category"],
    prompt="tier3.md",
    answer=Assessment,
    schema_extra=whole_numbers,
    without_model=five_dimensions_by_cues,
    settings=Settings,
    select=keep_the_best,
    adds={
        "relevance": Column(float, "bearing on the reader's business, points 0–10"),
        "impact": Column(float, "how much it changes, points 0–10"),
        "novelty": Column(float, "how new it is, points 0–10"),
        "credibility": Column(float, "how well it is evidenced, points 0–10"),
        "actionability": Column(float, "whether the reader can act on it, points 0–10"),
        "rationale": Column(str, "one or two sentences: why these numbers"),
        "tier3_score": Column(float, "weighted mean of the five, points 0–10"),
    },
    figures=[
        DropReasons(),
        Histogram("tier3_score", label="tier3 score, points of 10", bounds=("threshold",)),
        Spreads(DIMENSIONS, label="the five dimensions, points of 10", called="dimensions"),
        Scatter("tier2_score", "tier3_score", "tier2 score, points of 10", "tier3 score, points of 10"),
    ],
    checks=[Check("scores_vary", scores_vary)],
)
def tier3(article: Row, assessment: Assessment, settings: Settings) -> dict[str, object] | Drop:
    """One row an article that was judged in five dimensions and is among the best.

    Costs one call an article. Changing weights, threshold or `keep` costs none.
    """
    weights = settings.weights.model_dump()
    scores = {name: getattr(assessment, name) for name in DIMENSIONS}
    total = sum(weights[name] * scores[name] for name in DIMENSIONS) / (sum(weights.values()) or 1.0)
    total = round(total, 3)
    if not total >= settings.threshold:  # so that no total that is not a number stays
        return Drop("below_threshold", total, assessment.rationale)
    return {**scores, "rationale": assessment.rationale, "tier3_score": total}
