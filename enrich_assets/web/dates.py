"""When a page was published: the full time that the page states, else the day that its markup gives away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime
from typing import Any

from enrich_assets.web.linked_data import is_article, kinds_of

_STATED = (
    "//meta[@property='article:published_time' or @name='article:published_time'] | //*[@itemprop='datePublished']"
)
_LATEST_YEAR = 2200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def as_moment(text: str) -> datetime | None:
    """An ISO 8601 or RFC 5322 date as UTC (UTC where it names no zone), or None, also for a placeholder."""
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return None
    try:
        return believable(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (OverflowError, ValueError):
        return None


def believable(moment: datetime) -> datetime | None:
    """The moment, or None for what programs write when they know no date.

    Those are year 1, the epochs of 1900, 1904 and 1970, and ends of time such as 9999.
    """
    return moment if 1904 < moment.year <= _LATEST_YEAR and moment != _EPOCH else None


def as_date(text: str) -> date | None:
    """An ISO 8601 day, or None."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def as_written(text: str, fetched_at: datetime) -> datetime | None:
    """A date as people write it (`31 October 2026`, `yesterday` before `fetched_at`) as UTC, or None."""
    import dateparser

    settings = {"TIMEZONE": "UTC", "RETURN_AS_TIMEZONE_AWARE": True, "RELATIVE_BASE": fetched_at.replace(tzinfo=None)}
    found = dateparser.parse(text[:100], settings=settings)
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
