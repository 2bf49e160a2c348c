"""Settings of the web client and of search."""

from __future__ import annotations

from pydantic import Field, field_validator

from enrich_assets.core.entry_points import check_registered
from enrich_assets.core.settings import Env, Settings

SEARCH_GROUP, CHOOSER_GROUP = "enrich_assets.search", "enrich_assets.url_choosers"
"""Groups of entry points under which own search services and URL choosers register."""
FREE_PROVIDERS = ("embedded", "searxng")
"""Search providers that cost nothing; any other's searches cost what `search.usd_per_search` says."""


class HttpSettings(Settings):
    """Limits of the one http client."""

    allow_hosts: tuple[str, ...] = ()
    """Exact `host:port` exceptions to the address guard, for servers on a private network."""
    deadline_seconds: float = Field(default=30.0, gt=0, le=3600)
    """Longest time for one document, redirects included."""
    max_bytes: int = Field(default=10_000_000, gt=0, le=1_000_000_000)
    """Largest decompressed body in bytes."""
    max_redirects: int = Field(default=5, ge=0, le=20)
    """Redirects that are followed."""
    concurrency: int = Field(default=16, ge=1, le=1000)
    """Requests in flight."""
    concurrency_per_host: int = Field(default=2, ge=1, le=1000)
    """Requests in flight at one host."""
    seconds_between_requests: float = Field(default=0.5, ge=0, le=3600)
    """Least time from one request at a host to the next, in seconds."""
    robots: bool = True
    """Whether robots.txt decides what is read and, by its Crawl-delay, how fast."""
    longest_crawl_delay_seconds: float = Field(default=30.0, ge=0, le=3600)
    """Where a robots.txt asks for a longer Crawl-delay than this, this one is kept."""
    user_agent: str = Field(default="enrich_assets/0.1 (feed and page reader)", max_length=500)
    """Sent with every request, in printable ASCII; robots.txt addresses it by its first word, up to the slash."""
    contact: str = Field(default="", max_length=300)
    """A mail address or URL of yours, sent with the user agent, so that a site can reach you before it blocks you."""

    @property
    def identity(self) -> str:
        """The User-Agent header as it is sent."""
        return f"{self.user_agent} (+{self.contact})" if self.contact else self.user_agent

    @field_validator("user_agent", "contact")
    @classmethod
    def _can_be_a_header(cls, text: str) -> str:
        # A control character would end the header, or begin another one; other letters cannot be sent at all.
        if not (text.isascii() and text.isprintable()):
            raise ValueError("it is a header: printable ASCII characters on one line only")
        return text


class SearchSettings(Settings):
    """Where backgrounds are searched, and which of the pages found are read."""

    provider: str = "embedded"
    """embedded (what this storage has scraped) · serper · searxng · a name that a distribution registers in
    `enrich_assets.search`."""
    base_url: str = ""
    """searxng: the instance; serper: another endpoint than the public one."""
    api_key: Env | None = None
    """serper: reference to the key, `{env: SERPER_API_KEY}`."""
    usd_per_search: float | None = Field(default=None, ge=0)
    """What one search costs you in USD, serper's or your own service's; without it the cost of a run that searches is
    unknown. embedded and searxng cost nothing."""
    max_age_hours: float = Field(default=24.0, ge=0, le=876_000)
    """Oldest stored result of a service that still counts, in hours before the run began."""
    index_pages: int = Field(default=20_000, ge=1, le=1_000_000)
    """embedded: most articles that it holds, this run's first, then those of earlier runs, the newest run first. Ten
    thousand take some ten seconds and 200 MB, once a phase that searches."""
    chooser: str = "titles"
    """Which of the pages found are read: titles (those whose title names the subject first, one page a site before
    a second one) · a name that a distribution registers in `enrich_assets.url_choosers`."""

    @field_validator("provider")
    @classmethod
    def _provider_is_known(cls, name: str) -> str:
        return check_registered(name, SEARCH_GROUP, ("embedded", "serper", "searxng"))

    @field_validator("chooser")
    @classmethod
    def _chooser_is_known(cls, name: str) -> str:
        return check_registered(name, CHOOSER_GROUP, ("titles",))
