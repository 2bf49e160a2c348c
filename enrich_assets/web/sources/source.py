"""What the settings say of one source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from enrich_assets.core.settings import Settings
from enrich_assets.web.patterns import matcher


class Source(Settings):
    """One place where articles come from."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")
    """Short stable name."""
    name: str
    """Name for people."""
    url: str
    """The feed, the listing page, or the page itself."""
    kind: Literal["feed", "listing", "page"] = "feed"
    """feed (RSS, Atom, RDF, JSON Feed) · listing (a page with links) · page (one article)."""
    weight: float = Field(default=1.0, ge=0, le=3)
    """Factor of the source in the first score, 0–3."""
    link_pattern: str = ""
    """Listing only: a regular expression that an article's URL must match."""
    max_items: int = Field(default=25, ge=1)
    """Newest entries that are read."""

    @field_validator("link_pattern")
    @classmethod
    def _can_be_compiled(cls, pattern: str) -> str:
        if pattern:
            matcher(pattern)
        return pattern
