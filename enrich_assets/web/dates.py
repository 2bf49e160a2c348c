"""When a page was published: the full time that the page states, else the day that its markup gives away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from enrich_assets.web.linked_data import is_article, kinds_of
from enrich_assets.web.moments import LONGEST, as_moment, believable

_STATED = (
    "//meta[@property='article:published_time' or @name='article:published_time'] | //*[@itemprop='datePublished']"
)


def best_date(tree: Any, things: Sequence[dict[str, Any]], day: str) -> datetime | None:
    """The moment of publication in UTC, or None.

    `things` are the page's linked data; `day` is the day that htmldate found (YYYY-MM-DD or ''). Of the moments that
    the page states, as article:published_time or as datePublished of its microdata or linked data, the first within a
    day of it wins, else the first of an article (a web page's own date is often that of its section); a `time`
    element only adds the hour to that day.
    """
    found = as_date(day)
    stated = [
        (moment, of_article) for text, of_article in _stated(tree, things) if (moment := as_moment(text)) is not None
    ]
    agreeing = [moment for moment, _ in stated if found is not None and abs((moment.date() - found).days) <= 1]
    of_articles = [moment for moment, of_article in stated if of_article]
    if agreeing or of_articles:
        return (agreeing or of_articles)[0]
    if found is None:
        return stated[0][0] if stated else None
    for text in tree.xpath("//time/@datetime")[:20]:
        moment = as_moment(text)
        if moment is not None and ":" in text and moment.date() == found:
            return moment
    return believable(datetime.combine(found, time(), UTC))


def as_date(text: str) -> date | None:
    """An ISO 8601 day, or None."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def as_written(text: str, fetched_at: datetime) -> datetime | None:
    """A date as people write it on a page as UTC, or None: `31 October 2026`, `31 October`, `3 hours ago`, `yesterday`.

    What names no year, or counts back, is seen from `fetched_at`. Words without a number are only read as such
    counting: dateparser sees a Thursday in "to", which is one in Norwegian.
    """
    text = text.strip()[:LONGEST]
    moment = as_moment(text)
    if moment is not None or len(text) < 4:
        return moment
    import dateparser

    base = {"TIMEZONE": "UTC", "RETURN_AS_TIMEZONE_AWARE": True, "RELATIVE_BASE": fetched_at.replace(tzinfo=None)}
    found = dateparser.parse(text, settings={**base, "PARSERS": ["relative-time"]})
    if found is None and any(character.isdigit() for character in text):
        rules = {"REQUIRE_PARTS": ["day", "month"], "PREFER_DATES_FROM": "past", "PARSERS": ["absolute-time"]}
        found = dateparser.parse(text, settings={**base, **rules})
    try:
        return believable(found.astimezone(UTC)) if found is not None else None
    except (OverflowError, ValueError):
        return None


def _stated(tree: Any, things: Sequence[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    for element in tree.xpath(_STATED):
        yield element.get("content") or element.get("datetime") or "", True
    for thing in things:
        of_article = is_article(thing)
        if isinstance(thing.get("datePublished"), str) and (of_article or "WebPage" in kinds_of(thing)):
            yield thing["datePublished"], of_article
