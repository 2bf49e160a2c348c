"""Settings that several phases of the intelligence graph share. Each phase adds its own in its module."""

from __future__ import annotations

from pydantic import Field, field_validator

from enrich_assets.core.settings import LanguageCode, Settings
from enrich_assets.engine.settings import EngineSettings
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint
from enrich_assets.web.settings import HttpSettings, SearchSettings
from enrich_assets.web.sources.source import Source


class Category(Settings):
    """One subject that the report covers."""

    id: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    """Short stable name."""
    name: str
    """Name for people."""
    description: str
    """One sentence: what belongs here."""
    keywords: tuple[str, ...]
    """Words and phrases that speak for it; matched as whole words, case does not matter."""


class Company(Settings):
    """Whose report this is: what makes an article matter to the reader."""

    name: str = "the reader"
    """Name of the organisation."""
    description: str = ""
    """What it does, in one or two sentences."""
    interests: tuple[str, ...] = ()
    """Subjects that matter to it, in its own words."""


class SharedSettings(EngineSettings):
    """The settings of a run that no single phase owns."""

    language: LanguageCode = "en"
    """Language of the report, ISO 639-1."""
    company: Company = Company()
    """Whose report this is."""
    categories: tuple[Category, ...] = ()
    """The subjects that the report covers."""
    sources: tuple[Source, ...] = ()
    """Where articles come from."""
    model: str = EXTRACTIVE
    """The model of every phase that names none: 'extractive', a name under `models`, or a litellm name."""
    models: dict[str, ModelEndpoint] = Field(default_factory=dict)
    """Named model endpoints."""
    compare_with: int = Field(default=5, ge=0, le=100)
    """Earlier complete runs of its series whose articles are not reported again."""
    http: HttpSettings = HttpSettings()
    """Limits of the web client."""
    search: SearchSettings = SearchSettings()
    """Where backgrounds are searched."""

    @field_validator("sources", mode="before")
    @classmethod
    def _empty_is_none(cls, sources: object) -> object:
        """The key with nothing below it is how a file begins."""
        return () if sources is None else sources

    @field_validator("categories", "sources")
    @classmethod
    def _ids_are_unique(cls, items: tuple[Category | Source, ...]) -> tuple[Category | Source, ...]:
        seen: set[str] = set()
        for item in items:
            if item.id in seen:
                raise ValueError(f"the id {item.id!r} stands twice")
            seen.add(item.id)
        return items

    def lacking(self) -> str:
        """A run reads sources, so it needs one; the model alone does without."""
        return "" if self.sources else "sources: a run needs at least one source"
