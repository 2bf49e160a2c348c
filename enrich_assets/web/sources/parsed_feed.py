"""What a feed says, whatever its format: the record that entries are made from.

Belongs here: RSS, Atom and RDF through feedparser. JSON Feed belongs to `json_feed`, what is mended before parsing to
`feed_mending`, what an entry makes of all this to `feed`.
"""

from __future__ import annotations

import io
import re
from calendar import timegm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from enrich_assets.web.moments import as_moment, day_first_of
from enrich_assets.web.sources.feed_bounds import LARGEST_BROKEN, MOST_ITEMS, cut_markup
from enrich_assets.web.sources.feed_mending import mended

_WRAPPER = re.compile(r"\A\s*<(?:\w+:)?div[^>]*>(.*)</(?:\w+:)?div>\s*\Z", re.DOTALL)
_LONGEST_PERSON = 1000
"""Characters of a line that names an author."""
_DATES = ("published", "updated")
_ISO_REST = re.compile(r"\s*-{0,2}\d[\dTWZ:.,+-]*\s*\Z")
_ADDRESS = re.compile(r"(?:mailto:)?([^\s()<>\[\]:;,\"]+@[^\s()<>\[\]:;,\"]+)", re.IGNORECASE)


class Dates:
    """The dates of one feed, read by one rule: `day_first_of` says it of all of them."""

    def __init__(self, texts: Sequence[str], language: str, read_at: datetime | None) -> None:
        self._language = language
        self._day_first = day_first_of(filter(None, texts), before=read_at, language=language)

    def moment(self, text: str) -> datetime | None:
        return as_moment(text, day_first=self._day_first, language=self._language) if text else None


@dataclass(frozen=True)
class Person:
    """An author as a feed names them; empty strings for what it does not say."""

    name: str = ""
    email: str = ""
    url: str = ""

    def __str__(self) -> str:
        return self.name or self.email or self.url


@dataclass(frozen=True)
class ParsedItem:
    """One item of a feed. Texts are as the feed has them: plain or HTML. Dates are UTC and as stated."""

    title: str = ""
    link: str = ""
    authors: tuple[Person, ...] = ()
    published_at: datetime | None = None
    """What the item states as publication, else the last change that it states."""
    updated_at: datetime | None = None
    content: str = ""
    """The body: `content:encoded`, Atom's `content` (the address of one that stands elsewhere), JSON Feed's."""
    summary: str = ""
    """The description, also from Media RSS and iTunes."""
    language: str = ""
    unreadable_date: str = ""
    """A date of publication that the item states and nothing can read; empty where it states none."""


@dataclass(frozen=True)
class ParsedFeed:
    """A feed with its items, in its order."""

    title: str = ""
    link: str = ""
    """The site that the feed belongs to."""
    authors: tuple[Person, ...] = ()
    published_at: datetime | None = None
    language: str = ""
    items: tuple[ParsedItem, ...] = ()
    is_plain: bool = False
    """Whether titles and names are text in which markup means nothing, as in JSON Feed; else they are HTML."""


def parsed_feed(body: bytes, *, charset: str = "", url: str = "", read_at: datetime | None = None) -> ParsedFeed | None:
    """RSS 0.9x, 1.0 and 2.0, Atom 0.3 and 1.0 and CDF as a record; None for what is none of them.

    `url` is what relative links are relative to, `charset` what the server said. Malformed feeds are read as far as
    they go, and large ones as `feed_bounds` says. Where 03/04/2026 leaves day and month open, the other dates decide,
    and `read_at`, which no date lies behind. Nothing is fetched. Raises TooMuch.
    """
    import feedparser

    # As a stream: bytes by themselves are tried as the name of a local file first. The type says XML whatever the
    # server said, because servers say text/html or text/plain of feeds.
    data, known_charset = mended(body, charset)
    stated = f"; charset={known_charset}" if known_charset else ""
    parsed = feedparser.parse(
        io.BytesIO(data),
        response_headers={"content-type": f"application/xml{stated}", "content-location": url},
        # Nobody shows this markup: it becomes text. Both would rewrite it all, slowly.
        sanitize_html=False,
        resolve_relative_uris=b"xml:base" in data and len(data) <= LARGEST_BROKEN,
    )
    # A page may hold an element that is called item; a feed may hold a page.
    if not parsed.get("version") and (not parsed.entries or b"<html" in body[:2000].lower()):
        return None
    feed, items = parsed.feed, parsed.entries[:MOST_ITEMS]
    dates = Dates([_stated(item, key) for item in items for key in _DATES], str(feed.get("language") or ""), read_at)
    return ParsedFeed(
        title=_markup(feed, "title"),
        link=_link(feed),
        authors=_people(feed) or _published_by(feed),
        published_at=_moment(feed, "published", dates) or _moment(feed, "updated", dates),
        language=str(feed.get("language") or ""),
        items=tuple(_item(item, dates) for item in items),
    )


def _item(item: Mapping[str, Any], dates: Dates) -> ParsedItem:
    updated = _moment(item, "updated", dates)
    published = _moment(item, "published", dates) or updated
    stated = next(filter(None, (_stated(item, key) for key in _DATES)), "")
    return ParsedItem(
        title=_markup(item, "title"),
        link=_link(item),
        authors=_people(item),
        published_at=published,
        updated_at=updated,
        content=_content(item),
        summary=_markup(item, "summary"),
        language=str(item.get("language") or ""),
        unreadable_date="" if published else stated,
    )


def _content(item: Mapping[str, Any]) -> str:
    """The longest body: feeds give the same one as text, as HTML, and as a summary of it."""
    parts = item.get("content") or []
    bodies = [
        _unwrapped(cut_markup(part.get("value") or ""), part.get("type") or "") or part.get("src") or ""
        for part in parts
    ]
    return max(bodies, key=len, default="")


def _markup(item: Mapping[str, Any], key: str) -> str:
    return _unwrapped(cut_markup(str(item.get(key) or "")), str((item.get(f"{key}_detail") or {}).get("type") or ""))


def _unwrapped(value: str, type: str) -> str:
    """XHTML without the `div` around it, which is no part of it (RFC 4287, 3.1.1.3)."""
    found = _WRAPPER.match(value) if type in ("application/xhtml+xml", "xhtml") else None
    inner = found.group(1) if found else value
    return inner if found and "</div>" not in inner else value


def _link(item: Mapping[str, Any]) -> str:
    link = str(item.get("link") or "").strip()
    if link:
        return link
    links = item.get("links") or []
    stated = [str(one.get("href") or "") for one in links if one.get("rel", "alternate") == "alternate"]
    return next(filter(None, map(str.strip, stated)), "")


def _people(item: Mapping[str, Any]) -> tuple[Person, ...]:
    listed: dict[str, Person] = {}
    for one in item.get("authors") or []:
        name, email, url = (str(one.get(key) or "").strip() for key in ("name", "email", "href"))
        if email and not url and len(item["authors"]) == 1:
            # feedparser takes the address out of the line of an RSS author, and not always whole.
            name, email = next(((p.name, p.email) for p in _person(str(item.get("author") or ""))), (name, email))
        person = Person(name, email, url)
        # dc:creator and itunes:author say again what author says.
        if str(person):
            listed.setdefault(str(person).casefold(), person)
    return tuple(listed.values()) or _person(str(item.get("author") or ""))


def _published_by(feed: Mapping[str, Any]) -> tuple[Person, ...]:
    """The webmaster of an RSS channel, or its dc:publisher, where no author is named."""
    return _person(str(feed.get("publisher") or ""))


def _person(text: str) -> tuple[Person, ...]:
    """`Name (address)`, `address (Name)` (RSS 2.0), or one of the two."""
    text = text[:_LONGEST_PERSON]
    address = _ADDRESS.search(text)
    email = address.group(1) if address else ""
    rest = text.replace(address.group(), "") if address else text
    name = " ".join(re.sub(r"\(\s*\)|<\s*>", " ", rest).split())
    if email and name.startswith("(") and name.endswith(")"):
        name = name[1:-1].strip()
    return (Person(name, email),) if name or email else ()


def _stated(item: Mapping[str, Any], key: str) -> str:
    # dict.get: feedparser's own get gives a date of publication for a missing date of update, with a warning.
    return str(dict.get(item, key) or "")  # type: ignore[call-overload]


def _moment(item: Mapping[str, Any], key: str, dates: Dates) -> datetime | None:
    text = _stated(item, key)
    moment = dates.moment(text)
    # feedparser takes 2026/11/30 for the first of November: it is asked for what remains of ISO 8601 alone.
    parts = dict.get(item, f"{key}_parsed") if _ISO_REST.match(text) else None  # type: ignore[call-overload]
    try:
        return moment or (datetime.fromtimestamp(timegm(parts), UTC) if parts else None)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
