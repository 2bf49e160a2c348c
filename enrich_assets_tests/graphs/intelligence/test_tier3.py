"""tier3 without a model: the subject leads, cue words refine."""

from __future__ import annotations

from typing import Any

from enrich_assets.engine.phase import Drop
from enrich_assets.graphs.intelligence.settings import Category, Company
from enrich_assets.graphs.intelligence.tier3 import DIMENSIONS, Settings, five_dimensions_by_cues, tier3

STEEL = Category(
    id="steel", name="Steel", description="Steel.", keywords=("steel", "furnace", "foundry", "rolling mill")
)
SETTINGS = Settings(model="extractive", categories=(STEEL,), company=Company(), threshold=0)
SUBJECT = "The foundry in the valley has a second furnace, and its rolling mill takes steel of every width. " * 3
CUES = (
    "A million plants must comply, according to a new study: the regulator announced on Monday that results of the "
    "first independent trial, published this week, require an upgrade, and 40 percent of the industry should apply. "
) * 3  # fmt: skip


def article(text: str, **fields: Any) -> dict[str, Any]:
    return {"title": "A report", "text": text, "source_weight": 1.0, "category": "steel", **fields}


def total(row: dict[str, Any], settings: Settings = SETTINGS) -> float:
    found = tier3(row, five_dimensions_by_cues(row, settings), settings)
    assert not isinstance(found, Drop)
    score = found["tier3_score"]
    assert isinstance(score, float)
    return score


def test_the_subject_leads_however_many_cue_words_speak_for_another_text() -> None:
    assert total(article(SUBJECT)) > total(article(f"{CUES} Steel is one of them."))


def test_cue_words_refine_the_order_of_texts_that_are_equally_relevant() -> None:
    plain = "Nothing else was said of it by anybody, and the valley went on as it had before all of that. "
    refined = CUES + "Steel."
    padded = f"{plain * 10}"[: len(refined) - 7] + " Steel."
    assert total(article(refined)) > total(article(padded))


def test_only_relevance_depends_on_the_keywords() -> None:
    other = SETTINGS.model_copy(update={"categories": (STEEL.model_copy(update={"keywords": ("silk",)}),)})
    one, two = (five_dimensions_by_cues(article(SUBJECT + CUES), settings) for settings in (SETTINGS, other))
    assert [name for name in DIMENSIONS if getattr(one, name) != getattr(two, name)] == ["relevance"]
    assert one.relevance > two.relevance == 0


def test_the_interests_of_the_reader_raise_what_speaks_of_them() -> None:
    settings = SETTINGS.model_copy(update={"company": Company(interests=("crucible",))})
    assert total(article(SUBJECT + "A crucible."), settings) > total(article(SUBJECT + "A ladle."), settings)


def test_a_source_that_weighs_less_is_less_credible_and_a_score_stays_on_the_scale() -> None:
    light, heavy = (five_dimensions_by_cues(article(CUES, source_weight=w), SETTINGS) for w in (0.5, 3.0))
    assert light.credibility < heavy.credibility == 10


def test_the_reason_names_the_keywords() -> None:
    told = five_dimensions_by_cues(article(SUBJECT), SETTINGS).rationale
    assert told.startswith("Keywords: foundry, furnace, rolling mill, steel; cue words speak most for ")
