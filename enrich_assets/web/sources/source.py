"""What the settings say of one source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from enrich_assets.core.entry_points import check_registered
from enrich_assets.core.settings import LanguageCode, Settings
from enrich_assets.web.patterns import matcher
from enrich_assets.web.selectors import Selectors, compiled
from enrich_assets.web.sources.kind import GROUP, OWN_KINDS


class Source(Settings):
    """One place where articles come from."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")
    """Short stable name."""
    name: str
    """Name for people."""
    url: str
    """The feed, the sitemap, the listing page, the home page or the article; a path for file and folder."""
    kind: str = "feed"
    """feed (RSS, Atom, RDF, JSON Feed) · sitemap · listing (a page with links) · page (one article) · site (a home
    page: its feed is found) · file · folder (local) · a kind that another package registers."""
    weight: float = Field(default=1.0, ge=0, le=3)
    """Factor of the source in the first score, 0–3."""
    link_pattern: str = ""
    """Listing, sitemap and site: a regular expression that an article's URL must match; folder: one for the paths."""
    link_css: str = Field(default="", max_length=1000)
    """Listing only: a CSS selector of the links to articles."""
    max_items: int = Field(default=25, ge=1)
    """Newest entries that are read."""
    language: LanguageCode | None = None
    """Language of its articles, ISO 639-1, above what their text and the site say; by default these decide."""
    selectors: Selectors = Selectors()
    """Where the source's pages hold what the general rules miss, by CSS."""
    javascript: Literal["never", "when_empty", "always"] = "never"
    """Whether its pages are rendered in a browser: never · when_empty (where a page has no text without) · always."""

    @field_validator("kind")
    @classmethod
    def _is_registered(cls, kind: str) -> str:
        return check_registered(kind, GROUP, OWN_KINDS)

    @field_validator("link_pattern")
    @classmethod
    def _can_be_compiled(cls, pattern: str) -> str:
        if pattern:
            matcher(pattern)
        return pattern

    @field_validator("link_css")
    @classmethod
    def _can_be_selected(cls, css: str) -> str:
        if css.strip():
            compiled(css)
        return css.strip()
