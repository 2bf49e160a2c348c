"""The analysis of each article: 500 to 600 characters, counted, faithful to the text."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from enrich_assets.core.errors import MalformedAnswer
from enrich_assets.core.result import PhaseResult
from enrich_assets.core.scripts import fewest_characters
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
    """Fewest characters of an analysis; half as many are enough in Chinese and Japanese."""
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


def the_length(settings: Settings) -> dict[str, dict[str, Any]]:
    """The analysis has the length that the prompt asks for, or is empty."""
    whole = {"type": "string", "minLength": settings.shortest, "maxLength": settings.longest}
    return {"analysis": {"type": None, "anyOf": [whole, {"type": "string", "maxLength": 0}]}}


# With a closing quotation mark or bracket behind it; the full stops of Chinese and Japanese too.
_SENTENCE_END = re.compile(r"""[.!?…。！？]["'”’»)\]]*$""")
_SENTENCE_ENDS = re.compile(r"""[.!?…]["'”’»)\]]*(?=\s)|[。！？]["”’」』）]*""")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def summary_of_sentences(article: Row, settings: Settings) -> Analysis:
    """The stand-in without a model: the most telling sentences of the text, word by word, in their order."""
    text = article["text"]
    for lowest in sorted({settings.shortest, fewest_characters(settings.shortest, text)}, reverse=True):
        found = summary(text, lowest=lowest, highest=settings.longest, query=article["title"])
        if found is not None:
            return Analysis(analysis=found)
    return Analysis(analysis="")


def analyses_have_their_length(result: PhaseResult, settings: Settings) -> str | None:
    """Every analysis has between `shortest` and `longest` characters."""
    assert result.table is not None
    analyses = result.table.column("analysis").to_pylist()
    wrong = [len(text) for text in analyses if not has_its_length(text, settings.shortest, settings.longest)]
    return f"{len(wrong)} analyses are out of bounds, for example {wrong[0]} characters" if wrong else None


def has_its_length(analysis: str, shortest: int, longest: int) -> bool:
    """Whether an analysis has as many characters as the settings ask of its script."""
    return fewest_characters(shortest, analysis) <= len(analysis) <= longest


def ended(analysis: str, settings: Settings) -> str:
    """An analysis as long as the schema lets it be, without the sentence within which the limit cut it off."""
    # Decoding by the schema ends a text at its last character, wherever that is.
    if len(analysis) > settings.longest or _SENTENCE_END.search(analysis):
        return analysis  # it was not cut off: too long, which is said below, or whole
    whole = max((match.end() for match in _SENTENCE_ENDS.finditer(analysis)), default=0)
    if whole >= settings.shortest:
        return analysis[:whole].rstrip()
    return f"{analysis[: settings.longest - 2].rsplit(None, 1)[0]} …"


@ask(
    reads=["title", "text", "source_name"],
    prompt="paraphrased.md",
    answer=Analysis,
    schema_extra=the_length,
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

    Costs one call an article, and another where the length is wrong or a number does not stand in the text; an article
    whose every analysis invents a number is dropped. The embedded model takes whole sentences of the article instead
    of writing.
    """
    analysis = " ".join(answer.analysis.split())
    if len(answer.analysis) >= settings.longest:
        analysis = ended(analysis, settings)
    if not analysis:
        return Drop("too_little_prose", detail="the text has too few whole sentences for an analysis")
    if not has_its_length(analysis, settings.shortest, settings.longest):
        raise MalformedAnswer(
            f"the analysis has {len(analysis)} characters, it must have {settings.shortest} to {settings.longest}"
        )
    told = set(_NUMBER.findall(f"{article['title']} {article['text']}"))
    invented = [number for number in _NUMBER.findall(analysis) if number not in told]
    if invented:
        problem = f"the number {invented[0]} does not stand in the article"
        raise MalformedAnswer(problem, fallback=Drop("invented_number", invented[0], problem))
    return {"analysis": analysis, "analysis_characters": len(analysis)}
