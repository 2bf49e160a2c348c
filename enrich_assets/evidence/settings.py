"""Settings of the evidence loop. A phase that looks something up extends them."""

from __future__ import annotations

from pydantic import Field

from enrich_assets.core.settings import LanguageCode, Settings, inherited


class LookupSettings(Settings):
    """How a background is looked up."""

    model: str = inherited("The model that reads and quotes; 'extractive' needs no key.")
    language: LanguageCode = inherited("Language in which backgrounds are written, ISO 639-1; quotes stay as they are.")
    pages_per_entity: int = Field(default=4, ge=1, le=10)
    """Pages that are read for one entity, besides the article itself."""
    passage_characters: int = Field(default=6000, ge=500, le=50_000)
    """Text of all pages together that a model gets to read for one entity, in characters."""
