"""Settings of the web client and of sources."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enrich_assets.core.settings import Env, Settings


class HttpSettings(Settings):
    """Limits of the one http client."""

    allow_hosts: tuple[str, ...] = ()
    """Exact `host:port` exceptions to the address guard, for servers on a private network."""
    deadline_seconds: float = Field(default=30.0, gt=0)
    """Longest time for one document, redirects included."""
    max_bytes: int = Field(default=10_000_000, gt=0)
    """Largest decompressed body in bytes."""
    max_redirects: int = Field(default=5, ge=0)
    """Redirects that are followed."""
    concurrency: int = Field(default=16, ge=1)
    """Requests in flight."""
    user_agent: str = "enrich_assets/0.1 (feed and page reader)"
    """Sent with every request; add a contact address of yours."""


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


class SearchSettings(Settings):
    """Where backgrounds are searched."""

    provider: Literal["embedded", "serper", "searxng"] = "embedded"
    """embedded (what this storage has scraped) · serper · searxng."""
    base_url: str = ""
    """searxng: the instance; serper: another endpoint than the public one."""
    api_key: Env | None = None
    """serper: reference to the key, `{env: SERPER_API_KEY}`."""
    max_age_hours: float = Field(default=24.0, ge=0)
    """Oldest stored result that still counts, in hours before the run's as_of."""
