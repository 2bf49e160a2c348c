"""The record that every kind of source gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Entry:
    """One article that a source lists. Empty strings and None where the source does not say it; times are UTC."""

    url: str
    """Absolute, as the source gives it."""
    title: str = ""
    author: str = ""
    published_at: datetime | None = None
    summary: str = ""
    """Plain text."""
    full_text: str | None = None
    """The article's text where the source carries all of it (120 words or more), one paragraph a line."""
    language: str = ""
    """ISO 639-1."""
