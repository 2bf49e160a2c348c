"""Settings that several phases of the intelligence graph share. Each phase adds its own in its module."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, field_validator

from enrich_assets.core.settings import Settings
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint
from enrich_assets.web.settings import HttpSettings, SearchSettings, Source


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


class SharedSettings(Settings):
    """The settings of a run that no single phase owns."""

    preset: str = ""
    """The preset these settings started from."""
    title: str = ""
    """Title of the run, shown in lists and on the report."""
    language: str = "en"
    """Language of the report, ISO 639-1."""
    as_of: datetime | None = None
    """The moment that counts as now: ages are measured and stored answers are judged against it. UTC."""
    company: Company = Company()
    """Whose report this is."""
    categories: tuple[Category, ...] = Field(default=(), min_length=0)
    """The subjects that the report covers."""
    sources: tuple[Source, ...] = ()
    """Where articles come from."""
    model: str = EXTRACTIVE
    """The model of every phase that names none: 'extractive', a name under `models`, or a litellm name."""
    models: dict[str, ModelEndpoint] = Field(default_factory=dict)
    """Named model endpoints."""
    concurrency: int = Field(default=16, ge=1, le=1000)
    """Rows in flight in a phase."""
    max_failed_fraction: float = Field(default=0.5, ge=0, le=1)
    """A phase with a larger share of failed rows fails as a whole."""
    attempts: int = Field(default=4, ge=1, le=20)
    """Times a request is sent before it is given up."""
    compare_with: int = Field(default=5, ge=0, le=100)
    """Earlier complete runs whose reported articles are not reported again."""
    http: HttpSettings = HttpSettings()
    """Limits of the web client."""
    search: SearchSettings = SearchSettings()
    """Where backgrounds are searched."""

    @field_validator("categories", "sources")
    @classmethod
    def _ids_are_unique(cls, items: tuple[Category | Source, ...]) -> tuple[Category | Source, ...]:
        seen: set[str] = set()
        for item in items:
            if item.id in seen:
                raise ValueError(f"the id {item.id!r} stands twice")
            seen.add(item.id)
        return items
