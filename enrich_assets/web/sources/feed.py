"""A source that is a feed: RSS, Atom and RDF, or JSON Feed, as entries.

What a feed says belongs to `parsed_feed` and `json_feed`.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from html import unescape

from enrich_assets.core.errors import FinalError
from enrich_assets.core.language_codes import language_code
from enrich_assets.core.scripts import has_unspaced, word_count
from enrich_assets.engine.clients import Page, Pages
from enrich_assets.web.markup import one_line, text_of_html
from enrich_assets.web.moments import AHEAD, FAR_AHEAD, believable
from enrich_assets.web.sources.entry import Entry, Listing
from enrich_assets.web.sources.feed_bounds import LONGEST_LINE, MOST_MARKUP, TooMuch
from enrich_assets.web.sources.json_feed import parsed_json_feed
from enrich_assets.web.sources.kind import source_error
from enrich_assets.web.sources.parsed_feed import ParsedFeed, ParsedItem, Person, parsed_feed
from enrich_assets.web.sources.source import Source
from enrich_assets.web.sources.xml_bounds import danger_in
from enrich_assets.web.urls import joined

FULL_TEXT_WORDS = 120
MOST_MARKS = 50_000
"""Tags and entities of all texts of a feed that are turned into plain text."""
_FIX = "Give the URL of its feed, or another kind of source."


async def entries(source: Source, pages: Pages) -> Listing:
    """The entries of a feed that have an http link, in the feed's order.

    Raises CallError, and FinalError of the kinds `not_a_feed`, `too_large`, `xml_bomb` and `external_entity`.
    """
    page = await pages.get(source.url)
    return await asyncio.to_thread(listing_of, source, page)


def listing_of(source: Source, page: Page) -> Listing:
    """What the feed in `page` lists; raises FinalError as `entries` does."""
    feed = read_feed(source, page)
    found = [_entry(item, feed, page) for item in _bounded(feed.items)]
    kept = tuple(entry for entry in found if entry.url.startswith(("http://", "https://")))
    unreadable = [item.unreadable_date for item in feed.items if item.unreadable_date]
    ahead = sum(bool(item.published_at and item.published_at > page.fetched_at + AHEAD) for item in feed.items)
    return Listing(
        kept,
        (page,),
        title=_line(feed.title, feed),
        warnings=(*_said_of_links(len(found) - len(kept), len(found)), *_said_of_dates(unreadable, ahead)),
        unreadable_dates=len(unreadable),
        doubtful_dates=ahead,
    )


def _said_of_links(without: int, items: int) -> Iterator[str]:
    if without:
        yield f"{without} of {items} items have no link to read, and are left out."


def read_feed(source: Source, page: Page) -> ParsedFeed:
    """The feed in `page`; raises FinalError that says what the document looks like when it is none."""
    body = page.body.removeprefix(codecs.BOM_UTF8).lstrip()
    if body[:1] in (b"{", b"["):
        try:
            return parsed_json_feed(body, read_at=page.fetched_at)
        except ValueError as error:
            raise source_error(source, "not_a_feed", str(error), _FIX) from None
    if page.body.count(b"<") > MOST_MARKUP:
        raise source_error(source, "too_large", f"the document has more than {MOST_MARKUP:,} tags.", _FIX)
    danger = danger_in(page.body)
    if danger is not None:
        raise source_error(source, danger[0], danger[1], "Leave the source out, and tell whoever publishes it.")
    try:
        feed = parsed_feed(page.body, charset=page.charset, url=page.final_url, read_at=page.fetched_at)
    except TooMuch as error:
        raise source_error(source, "too_large", str(error), _FIX) from None
    if feed is None:
        raise source_error(source, "not_a_feed", f"the document is {looks_like(page)}, not a feed.", _FIX)
    return feed


def is_feed(source: Source, page: Page) -> bool:
    """Whether the document is a feed that can be read."""
    try:
        read_feed(source, page)
    except FinalError:
        return False
    return True


def looks_like(page: Page) -> str:
    """What kind of document it is, in words, by how it begins."""
    begin = page.body[:2000].lstrip().lower()
    if not begin:
        return "empty"
    if begin.startswith((b"<!doctype html", b"<html")) or b"<html" in begin:
        return "an HTML page"
    if begin.startswith(b"%pdf"):
        return "a PDF"
    if begin.startswith((b"<?xml", b"<")):
        return "XML of another kind"
    return page.content_type or "of an unknown type"


def _bounded(items: Iterable[ParsedItem]) -> Iterator[ParsedItem]:
    """The items, without their texts as soon as these have more than `MOST_MARKS`: their pages are read instead."""
    tags = 0
    for item in items:
        tags += sum(text.count("<") + text.count("&") for text in (item.content, item.summary))
        yield item if tags <= MOST_MARKS else replace(item, content="", summary="")


def _entry(item: ParsedItem, feed: ParsedFeed, page: Page) -> Entry:
    longest = max(item.content, item.summary, key=len)
    full_text = _full_text(longest)
    summary = full_text if full_text is not None and longest == item.summary else text_of_html(item.summary)
    if not summary and full_text is None:
        summary = text_of_html(item.content)
    return Entry(
        url=joined(page.final_url, item.link) if item.link else "",
        title=_line(item.title, feed),
        author=_names(item.authors, feed) or _names(feed.authors, feed),
        published_at=_not_far_ahead(item.published_at, page),
        updated_at=_not_far_ahead(item.updated_at, page),
        summary=summary,
        full_text=full_text,
        language=language_code(item.language) or language_code(feed.language),
        page=page if full_text else None,
    )


def _not_far_ahead(moment: datetime | None, page: Page) -> datetime | None:
    known = believable(moment) if moment else None
    return known if known is not None and known <= page.fetched_at + FAR_AHEAD else None


def _said_of_dates(unreadable: Sequence[str], ahead: int) -> Iterator[str]:
    if unreadable:
        shown = ", ".join(repr(text[:40]) for text in dict.fromkeys(unreadable[:3]))
        yield f"{len(unreadable)} items state a date that cannot be read ({shown}); the page's own date counts."
    if ahead:
        days = AHEAD.days
        yield f"{ahead} items state a date more than {days} days ahead; more than a year ahead is ignored."


def _line(text: str, feed: ParsedFeed) -> str:
    """A title or a name as one line."""
    # Entities are read everywhere: many write them although JSON Feed has none.
    return one_line(unescape(text) if feed.is_plain else text_of_html(text[:LONGEST_LINE]))


def _names(people: tuple[Person, ...], feed: ParsedFeed) -> str:
    return "; ".join(_line(str(person), feed) for person in people)


def _full_text(html: str) -> str | None:
    is_short = html.count(" ") < FULL_TEXT_WORDS - 1 and html.count("\n") < FULL_TEXT_WORDS - 1
    if is_short and (html.isascii() or not has_unspaced(html)):
        return None
    text = text_of_html(html)
    return text if word_count(text) >= FULL_TEXT_WORDS else None
