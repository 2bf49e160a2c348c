"""How much of a feed is read: parsers in Python take time for every element, attribute, tag and letter.

What is beyond a bound is left out where the rest keeps its sense, and refused where it does not. What is dangerous to
read at all belongs to `xml_bounds`.
"""

from __future__ import annotations

from typing import Any

MOST_ITEMS = 1000
"""Items of a feed that are read, the first ones: feeds put the newest first."""
MOST_MARKUP = 1_200_000
"""Tags of a document, those within texts as well; to count the elements takes time for each, too."""
MOST_PARTS = 40_000
"""Elements and attributes of the items that are read."""
MOST_ATTRIBUTES = 30
"""Of one element; every further one takes as long as all before it."""
LONGEST_NAME = 1000
"""Characters of a line that names a person; feedparser looks for addresses in it, in quadratic time."""
LONGEST_LINE = 10_000
"""Characters of a title, a name or an address."""
LONGEST_DATE = 200
LONGEST_TEXT = 500_000
"""Characters of a text with its markup."""
MOST_TAGS = 10_000
"""Tags in a text."""
LARGEST_BROKEN = 1_000_000
MOST_BROKEN_MARKS = 15_000
"""Bytes, and tags and entities, of a document that only the loose parser reads."""
_PEOPLE = frozenset(["author", "creator", "managingeditor", "webmaster"])
_DATES = frozenset(["created", "date", "issued", "lastbuilddate", "modified", "pubdate", "published", "updated"])
_ADDRESSES = frozenset(["comments", "docs", "guid", "href", "icon", "id", "link", "logo", "uri", "url"])
_LINES = frozenset(
    ["category", "copyright", "email", "generator", "language", "name", "publisher", "rights", "subject", "title"]
)


class TooMuch(ValueError):
    """A feed that has more than is read, in a way that nothing of it can be left out."""


def cut(tree: Any) -> None:
    """Takes out of the lxml tree of a feed what is not read. Raises TooMuch."""
    items = list(tree.iter("{*}item", "{*}entry"))
    _remove(items[MOST_ITEMS:])
    kept = items[:MOST_ITEMS]
    while _parts(tree) > MOST_PARTS:
        if len(kept) < 2:
            raise TooMuch(f"the feed has more than {MOST_PARTS:,} elements and attributes around one item.")
        half = len(kept) // 2
        _remove(kept[half:])
        kept = kept[:half]
    for element in tree.iter("*"):
        name = element.tag.rpartition("}")[2].lower()
        if element.text:
            element.text = _cut_text(name, element.text)
        if element.tail:
            element.tail = cut_markup(element.tail)
        for attribute in [key for key, value in element.attrib.items() if len(value) > LONGEST_LINE]:
            del element.attrib[attribute]
        for attribute in element.attrib.keys()[MOST_ATTRIBUTES:]:
            del element.attrib[attribute]


def cut_markup(text: str, longest: int = LONGEST_TEXT) -> str:
    """The beginning of a text with markup: so many characters, and `MOST_TAGS` tags."""
    text = text[:longest]
    if text.count("<") <= MOST_TAGS:
        return text
    return "<".join(text.split("<", MOST_TAGS + 1)[: MOST_TAGS + 1])


def cut_broken(body: bytes) -> bytes:
    """The beginning of a document that is not well-formed."""
    end = min(len(body), LARGEST_BROKEN)
    for mark in (b"<", b"&"):
        if body.count(mark, 0, end) > MOST_BROKEN_MARKS:
            end = len(mark.join(body[:end].split(mark, MOST_BROKEN_MARKS + 1)[: MOST_BROKEN_MARKS + 1]))
    return body if end == len(body) else body[: end - end % 4]  # whole characters of UTF-16 and UTF-32


def _parts(tree: Any) -> int:
    return int(tree.xpath("count(//*) + count(//@*)"))


def _remove(elements: list[Any]) -> None:
    for element in elements:
        parent = element.getparent()
        if parent is not None:
            parent.remove(element)


def _cut_text(name: str, text: str) -> str:
    if name in _ADDRESSES:
        return text if len(text) <= LONGEST_LINE else ""  # half an address is another one
    if name in _PEOPLE:
        return text[:LONGEST_NAME]
    if name in _DATES:
        return text[:LONGEST_DATE]
    return cut_markup(text, LONGEST_LINE if name in _LINES else LONGEST_TEXT)
