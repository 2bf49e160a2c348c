"""What feeds say, against what other parsers say of them: gofeed's and feed-rs's pairs of a document and its record.

Run with `-s` to see the counts of each field, the fields that differ, and every pair that is not compared.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.web.markup import text_of_html
from enrich_assets.web.sources.json_feed import parsed_json_feed
from enrich_assets.web.sources.parsed_feed import ParsedFeed, ParsedItem, Person, parsed_feed
from enrich_assets.web.urls import canonicalize
from enrich_assets_tests.shared_data import shared_data

FIELDS = ("title", "link", "published", "author", "content")
Gold = Callable[[Mapping[str, Any], ParsedFeed | ParsedItem, ParsedFeed], Iterator[tuple[str, Any, Any]]]


@dataclass
class Compared:
    """Counts of equal fields by name, what differs, and pairs without a field to compare."""

    counts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    differing: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def pair(self, name: str, gold: Mapping[str, Any], feed: ParsedFeed, fields: Gold) -> None:
        items = gold.get("items") or gold.get("entries") or []
        found: list[ParsedFeed | ParsedItem] = [feed, *feed.items, *[ParsedItem()] * len(items)]
        seen = 0
        for stated, level in zip([gold, *items], found, strict=False):
            for what, expected, got in fields(stated, level, feed):
                seen += 1
                self.counts[what][0] += expected == got
                self.counts[what][1] += 1
                if expected != got:
                    self.differing.append(f"{name}: {what} {expected!r:.150} is read as {got!r:.150}")
        if not seen:
            stated = sorted({*gold, *(key for item in items for key in item)} - {"items", "entries", "version"})
            self.left_out.append(f"{name}: none of the five fields; it states {', '.join(stated) or 'nothing'}")

    def share(self, what: str) -> float:
        return self.counts[what][0] / self.counts[what][1]

    def print(self, title: str) -> None:
        print(f"\n{title}")
        for what in FIELDS:
            print(f"  {what:<10} {self.counts[what][0]:>4} of {self.counts[what][1]:>4}  {self.share(what):.3f}")
        for line in (*self.differing, *(f"not compared: {one}" for one in self.left_out)):
            print(f"  {line}")


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def read(path: Path) -> ParsedFeed:
    body = path.read_bytes()
    return (parsed_json_feed(body) if path.suffix == ".json" else parsed_feed(body)) or ParsedFeed()


def gofeed_fields(
    gold: Mapping[str, Any], level: ParsedFeed | ParsedItem, feed: ParsedFeed
) -> Iterator[tuple[str, Any, Any]]:
    """gofeed's records: RSS and Atom as they stand, JSON Feed as it stands, and what all three are translated into."""
    if "title" in gold:
        yield "title", gold["title"], level.title
    links = [link for link in gold.get("links") or [] if isinstance(link, dict)]
    alternate = [link["href"] for link in links if link.get("rel", "alternate") == "alternate" and link.get("href")]
    link = gold.get("link") or gold.get("home_page_url") or gold.get("url") or next(iter(alternate), "")
    if link:
        yield "link", link, level.link
    moment = gold.get("publishedParsed") or gold.get("pubDateParsed") or gold.get("date_published")
    if moment:
        yield "published", instant(moment), level.published_at
    author = gold.get("author", gold.get("managingEditor"))
    first = next(iter(level.authors), Person())
    if isinstance(author, str):
        yield "author", author, str(first)
    elif isinstance(author, dict):
        yield "author", (author.get("name", ""), author.get("email", "")), (first.name, first.email)
    elif gold.get("authors"):
        stated = [
            (one.get("name", ""), one.get("email", ""), one.get("uri") or one.get("url", "")) for one in gold["authors"]
        ]
        yield "author", stated, [(one.name, one.email, one.url) for one in level.authors]
    content = gold.get("content") or gold.get("content_html") or gold.get("content_text")
    if isinstance(content, dict):
        content = content.get("value") or content.get("src")
    if content and isinstance(level, ParsedItem):
        yield "content", content, level.content


def feed_rs_fields(
    gold: Mapping[str, Any], level: ParsedFeed | ParsedItem, feed: ParsedFeed
) -> Iterator[tuple[str, Any, Any]]:
    """feed-rs's records. It normalises links and keeps other white space and wrappers: both are levelled here."""
    if gold.get("title"):
        yield "title", gold["title"]["content"], level.title
    links = [link["href"] for link in gold.get("links") or [] if link.get("rel") in (None, "alternate")]
    if links:
        yield "link", canonicalize(links[0]), canonicalize(level.link)
    if gold.get("published"):
        yield "published", instant(gold["published"]), level.published_at
    if gold.get("authors"):
        # Items inherit their feed's authors there; here entries do.
        people = level.authors or feed.authors
        yield "author", [one["name"] for one in gold["authors"]], [str(one) for one in people]
    if gold.get("content") and gold["content"].get("body") and isinstance(level, ParsedItem):
        yield "content", text_of_html(gold["content"]["body"]), text_of_html(level.content)


def gofeed_pairs(*levels: str) -> Iterator[tuple[str, Path, Path]]:
    root = shared_data("feeds", "gofeed", "testdata")
    for level in levels:
        for path in sorted((root / level).rglob("*")):
            record = path.with_suffix(".json")
            if path.suffix == ".json":
                record = path.with_name(f"{path.stem}_expected.json")
            if path.suffix in (".xml", ".json") and record.exists():
                yield path.relative_to(root).as_posix(), path, record


@pytest.mark.parametrize(("title", "levels", "pairs"), [
    ("gofeed, parser level", ("parser",), 436),
    ("gofeed, translator level", ("translator", "extensions"), 103),
])  # fmt: skip
def test_feeds_are_read_as_gofeed_reads_them(title, levels, pairs):
    compared, count = Compared(), 0
    for name, path, record in gofeed_pairs(*levels):
        compared.pair(name, json.loads(record.read_text("utf-8")), read(path), gofeed_fields)
        count += 1
    compared.print(f"{title}: {count} pairs, {count - len(compared.left_out)} compared")
    assert count == pairs
    assert {what: share for what in FIELDS if (share := compared.share(what)) < 0.98} == {}


def test_feeds_are_read_as_feed_rs_reads_them():
    compared, count = Compared(), 0
    root = shared_data("feeds", "feed-rs", "feed-rs", "fixture")
    for record in sorted(root.rglob("*.serde.json")):
        stem = record.name.removesuffix(".serde.json")
        path = next(one for end in ("xml", "json") if (one := record.with_name(f"{stem}.{end}")).exists())
        compared.pair(
            path.relative_to(root).as_posix(), json.loads(record.read_text("utf-8")), read(path), feed_rs_fields
        )
        count += 1
    compared.print(f"feed-rs: {count} pairs, {count - len(compared.left_out)} compared")
    assert count > 50
    # It names an author "author" where RSS gives an address with a name, keeps addresses in names, and joins the
    # authors of JSON Feed 1 and 1.1.
    least = {"author": 0.91}
    assert {what: share for what in FIELDS if (share := compared.share(what)) < least.get(what, 0.98)} == {}
