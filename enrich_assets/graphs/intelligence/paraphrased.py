"""The analysis of each article: 500 to 600 characters, counted, faithful to the text."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, model_validator

from enrich_assets.core.errors import MalformedAnswer
from enrich_assets.core.result import PhaseResult
from enrich_assets.core.settings import LanguageCode, inherited
from enrich_assets.core.settings import Settings as SettingsBase
from enrich_assets.engine.columns import Column
from enrich_assets.engine.phase import Check, Drop, Row, ask
from enrich_assets.graphs.intelligence.settings import Company
from enrich_assets.models.extractive import summary
from enrich_assets.stats.figures.drop_reasons import DropReasons
from enrich_assets.stats.figures.histogram import Histogram


class Settings(SettingsBase):
    """Who writes, and how long."""

    model: str = inherited("The model that is asked.")
    company: Company = inherited("Whose report this is.")
    language: LanguageCode = inherited("Language of the analysis, ISO 639-1.")
    shortest: int = Field(default=500, ge=50)
    """Fewest characters of an analysis."""
    longest: int = Field(default=600, ge=100)
    """Most characters of an analysis."""
    text_characters: int = Field(default=8000, ge=500)
    """Characters of the text that the model sees."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Settings:
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) is above longest ({self.longest})")
        return self


class Analysis(BaseModel):
    """What the model answers for an article."""

    model_config = ConfigDict(extra="forbid")

    analysis: str = Field(description="The analysis, or an empty text when the article has too little to tell.")


_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def summary_of_sentences(article: Row, settings: Settings) -> Analysis:
    """The stand-in without a model: the most telling sentences of the text, word by word, in their order."""
    found = summary(article["text"], lowest=settings.shortest, highest=settings.longest, query=article["title"])
    return Analysis(analysis=found or "")


def analyses_have_their_length(result: PhaseResult, settings: Settings) -> str | None:
    """Every analysis has between `shortest` and `longest` characters."""
    assert result.table is not None
    lengths = result.table.column("analysis_characters").to_pylist()
    wrong = [length for length in lengths if not settings.shortest <= length <= settings.longest]
    return f"{len(wrong)} analyses are out of bounds, for example {wrong[0]} characters" if wrong else None


@ask(
    reads=["title", "text", "source_name"],
    prompt="paraphrased.md",
    answer=Analysis,
    without_model=summary_of_sentences,
    settings=Settings,
    adds={
        "analysis": Column(str, "what happened and why it matters, 500–600 characters unless the settings differ"),
        "analysis_characters": Column(int, "length of the analysis, characters"),
    },
    figures=[
        Histogram("analysis_characters", label="length of the analysis, characters", bounds=("shortest", "longest")),
        DropReasons(),
    ],
    checks=[Check("analyses_have_their_length", analyses_have_their_length)],
)
def paraphrased(article: Row, answer: Analysis, settings: Settings) -> dict[str, object] | Drop:
    """One row an article with its analysis of 500 to 600 characters.

    Costs one call an article, and another where the length is wrong or a number does not stand in the text. The
    embedded model takes whole sentences of the article instead of writing.
    """
    analysis = " ".join(answer.analysis.split())
    if not analysis:
        return Drop("too_little_prose", detail="the text has too few whole sentences for an analysis")
    if not settings.shortest <= len(analysis) <= settings.longest:
        raise MalformedAnswer(
            f"the analysis has {len(analysis)} characters, it must have {settings.shortest} to {settings.longest}"
        )
    told = set(_NUMBER.findall(f"{article['title']} {article['text']}"))
    invented = [number for number in _NUMBER.findall(analysis) if number not in told]
    if invented:
        raise MalformedAnswer(f"the number {invented[0]} does not stand in the article")
    return {"analysis": analysis, "analysis_characters": len(analysis)}
