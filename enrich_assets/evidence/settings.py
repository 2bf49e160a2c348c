"""Settings of the evidence loop. A phase that looks something up extends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from enrich_assets.core.settings import LanguageCode, Settings, inherited


class LookupSettings(Settings):
    """How a background is looked up."""

    model: str = inherited("The model that reads and quotes; 'extractive' needs no key.")
    language: LanguageCode = inherited("Language in which backgrounds are written, ISO 639-1; quotes stay as they are.")
    pages_per_entity: int = Field(default=4, ge=1, le=10)
    """Pages that are read for one entity, besides the article itself."""
    passage_tokens: int = Field(default=6000, ge=500, le=200_000)
    """Most tokens of all passages together that a model gets to read for one entity. Counted as if each byte were one,
    which none exceeds: English text takes about a quarter of it."""

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_called(cls, values: Any) -> Any:
        # Version 0.1 counted characters, and its runs' settings are frozen.
        if isinstance(values, Mapping) and "passage_characters" in values and "passage_tokens" not in values:
            values = {**values, "passage_tokens": values["passage_characters"]}
            del values["passage_characters"]
        return values
