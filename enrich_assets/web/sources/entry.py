"""The records that every kind of source gives: one entry, and the whole listing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from enrich_assets.engine.clients import Page


@dataclass(frozen=True)
class Entry:
    """One article that a source lists. Empty strings and None where the source does not say it; times are UTC."""

    url: str
    """Absolute, as the source gives it."""
    title: str = ""
    author: str = ""
    published_at: datetime | None = None
    updated_at: datetime | None = None
    """When it last changed, as far as the source says; orders entries that state no publication."""
    summary: str = ""
    """Plain text."""
    full_text: str | None = field(default=None, repr=False)
    """The article's text where the source carries all of it, one paragraph a line."""
    language: str = ""
    """ISO 639-1."""
    # Documents of megabytes have no place in the words of a debugger, which asyncio.run asks for at its end.
    page: Page | None = field(default=None, repr=False)
    """The document that holds the article, where it was read already: the one that `full_text` stands in, or the
    article's own (then its URL is `url`). Such an entry needs no request."""


@dataclass(frozen=True)
class Listing:
    """What a source has to offer, and what reading it took."""

    entries: tuple[Entry, ...]
    documents: tuple[Page, ...] = field(default=(), repr=False)
    """The documents that were read, each once, in the order of reading."""
    title: str = ""
    """What the source calls itself; empty where it does not say."""
    taken: str = ""
    """The URL that the entries were read from, where it is another one than the source's own."""
    warnings: tuple[str, ...] = ()
    """What people should know: a child that could not be read, a bound that was reached. Sentences."""
    unreadable_dates: int = 0
    """Items that state a date which cannot be read."""
    doubtful_dates: int = 0
    """Items that state a date more than two days after the reading."""

    @property
    def size(self) -> int:
        """Bytes of the documents, decompressed."""
        return sum(len(page.body) for page in self.documents)
