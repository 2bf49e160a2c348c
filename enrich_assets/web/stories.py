"""The story that a page marks up as one whole, for pages of which the general rules lose a part."""

from __future__ import annotations

from collections import Counter
from typing import Any

from enrich_assets.core.scripts import pieces
from enrich_assets.web.markup import text_of

_SHINGLE = 4
_LEAST_CHARACTERS = 200
_LOST_SHARE = 0.6
_CONTAINED_SHARE = 0.8
_BLOCKS = "self::p or self::h2 or self::h3 or self::h4 or self::li or self::blockquote or self::pre"
_ASIDE = (
    "ancestor::nav or ancestor::aside or ancestor::footer or ancestor::form or ancestor::figure or ancestor::button"
)
_WITHIN = "ancestor::p or ancestor::li or ancestor::blockquote or ancestor::pre"
_PARAGRAPHS = f".//*[({_BLOCKS}) and not({_ASIDE}) and not({_WITHIN})]"


def whole_story(tree: Any, text: str) -> str:
    """The paragraphs of the page's one story where `text` is only a part of it, else ''.

    HTML calls an `article` a complete composition that begins with its heading: with one h1 in it, no other article
    beside or within, it is the story. `text` is a part of it when it is shorter than three fifths of it and four
    fifths of its 4-shingles stand in it. Paragraphs that are mostly links are left out.
    """
    articles = tree.xpath("//article")
    if len(articles) != 1 or len(articles[0].xpath(".//h1")) != 1:
        return ""
    if len(text) >= _LOST_SHARE * len(articles[0].text_content()):
        return ""
    story = "\n".join(filter(None, map(_paragraph, articles[0].xpath(_PARAGRAPHS))))
    if len(story) < _LEAST_CHARACTERS or len(text) >= _LOST_SHARE * len(story):
        return ""
    said = _shingles(text)
    return story if (said & _shingles(story)).total() >= _CONTAINED_SHARE * said.total() else ""


def _paragraph(element: Any) -> str:
    text = text_of(element)
    linked = sum(len(text_of(link)) for link in element.iter("a"))
    return "" if linked > len(text) / 2 else text


def _shingles(text: str) -> Counter[tuple[str, ...]]:
    words = pieces(text)
    return Counter(tuple(words[at : at + _SHINGLE]) for at in range(max(1, len(words) - _SHINGLE + 1)))
