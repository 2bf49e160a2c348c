"""The headline of a page: what it shows as such, when what it states agrees; without the name of the site."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from enrich_assets.core.scripts import pieces
from enrich_assets.web.linked_data import is_article
from enrich_assets.web.markup import one_line, text_of
from enrich_assets.web.urls import registered_domain

_STATED = (
    "//meta[@property='og:title' or @name='og:title']/@content",
    "//meta[@name='twitter:title' or @property='twitter:title']/@content",
    "//head/title/text()",
)
_SITE_NAMES = "//meta[@property='og:site_name' or @name='og:site_name' or @name='application-name']/@content"
_SEPARATOR = re.compile(r"\s+[|\u2013\u2014\u2022\u00b7\u00bb\u00ab:-]+\s+|\s*[|\u00bb\u00ab]\s*")
_WORD = re.compile(r"\w+")
_AGREEING_SHARE = 0.5
_LONGEST = 300


def best_title(tree: Any, things: Sequence[dict[str, Any]], url: str, otherwise: str = "") -> str:
    """The headline on one line, or ''.

    A page's only h1 (or its article's) is the headline when half of its words stand in what the page states as title:
    og:title, twitter:title, the title element, or the JSON-LD headline of an article. Those are written for search
    engines and social networks, and are often another text. Else the first that is stated, in the order JSON-LD,
    og:title, twitter:title, title; else `otherwise`. The site's name at its end or beginning is left out.
    """
    names = _site_names(tree, url)
    headlines = [html.unescape(str(thing["headline"])) for thing in things if is_article(thing) and _said(thing)]
    stated = [one_line(text) for text in [*headlines, *(text for path in _STATED for text in tree.xpath(path)[:3])]]
    stated = [title for title in (without_site_name(text, names) for text in stated) if title]
    shown = without_site_name(_only_heading(tree), names)
    if shown and len(shown) <= _LONGEST and any(_agree(shown, title) for title in stated):
        whole = _folded(shown)
        # A kicker within the heading ("Economy | …") stands before what the page states too.
        return next((title for title in stated if whole.endswith(_folded(title)) and whole != _folded(title)), shown)
    return next(iter(stated), "") or without_site_name(one_line(otherwise), names) or shown[:_LONGEST]


def without_site_name(title: str, names: Sequence[str]) -> str:
    """`title` without a first or last part that is one of `names`; a title that is nothing else is no headline: ''."""
    known = set(map(_folded, names))
    if _folded(title) in known:
        return ""
    while True:
        separators = list(_SEPARATOR.finditer(title))
        if separators and _folded(title[separators[-1].end() :]) in known:
            title = title[: separators[-1].start()]
        elif separators and _folded(title[: separators[0].start()]) in known:
            title = title[separators[0].end() :]
        else:
            return title.strip()


def _site_names(tree: Any, url: str) -> list[str]:
    """What the site calls itself, and the names in its address: `example.co.uk` and `example`."""
    domain = registered_domain(url)
    stated = [one_line(name) for name in tree.xpath(_SITE_NAMES)]
    return [name for name in [*stated, domain, domain.split(".")[0]] if name]


def _only_heading(tree: Any) -> str:
    """The page's one h1, else the one h1 of its one article; '' where there are several or none."""
    for path in ("//h1", "//article[not(ancestor::article)]//h1", "//main//h1"):
        texts = list(dict.fromkeys(filter(None, (one_line(text_of(heading)) for heading in tree.xpath(path)[:20]))))
        if len(texts) == 1:
            return texts[0]
    return ""


def _agree(shown: str, stated: str) -> bool:
    words, others = set(pieces(shown.casefold())), set(pieces(stated.casefold()))
    # A single word is more often the name of a section.
    return len(words) > 1 and len(words & others) >= _AGREEING_SHARE * len(words)


def _folded(name: str) -> str:
    """A name as it is compared: its letters and digits, without `the` before it; `dailymail` for `The Daily Mail`."""
    plain = "".join(_WORD.findall(unicodedata.normalize("NFKC", name).casefold()))
    return plain.removeprefix("the") or plain


def _said(thing: dict[str, Any]) -> bool:
    return isinstance(thing.get("headline"), str) and bool(thing["headline"].strip())
