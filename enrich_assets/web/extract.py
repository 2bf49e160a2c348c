"""What an HTML page says: title, author, date, language, text. Pure functions of the stored bytes.

Fetching belongs to `web.http`, the canonical spelling of URLs to `web.urls`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import timedelta
from typing import Any

from enrich_assets.core.errors import FinalError
from enrich_assets.core.language_codes import language_code
from enrich_assets.engine.clients import Extracted, Page, PageSelectors
from enrich_assets.web import charset
from enrich_assets.web.consent import is_consent, without_consent
from enrich_assets.web.dates import as_written, best_date
from enrich_assets.web.embedded import embedded_text
from enrich_assets.web.language import language_of
from enrich_assets.web.linked_data import linked_data
from enrich_assets.web.markup import html_tree, one_line
from enrich_assets.web.selectors import Selected, selected
from enrich_assets.web.sniffing import is_html_document
from enrich_assets.web.stories import whole_story
from enrich_assets.web.titles import best_title
from enrich_assets.web.urls import canonicalize, joined, on_same_site

CONSENT = "consent"
"""The method of a page that shows nothing but a consent dialogue: its text is empty."""
_SPACE = re.compile(r"\s+")
_SHORT_CHARACTERS = 250
"""Trafilatura itself doubts a text that is shorter."""


def extract(page: Page, *, selectors: PageSelectors | None = None) -> Extracted:
    """The main text and the metadata of an HTML page.

    What `selectors` find goes before everything else. The text is trafilatura's in its fast mode, which is the best
    compromise of figures and speed on article pages; where that is under 250 characters its slower mode is asked too
    (`trafilatura-full`), and where it is a part of the story that the page marks up, that is taken (`article`).
    A consent dialogue is no text: what the page holds beside it is read (`without-consent`), as is an article that it
    carries as data where it shows none (`json-ld`, `next-data`). A page without text gives an empty text. Raises
    FinalError of kind `not_html` for another kind of document.
    """
    if not is_html(page):
        raise FinalError(
            f"the document is {page.content_type or 'of an unknown type'}, not HTML.",
            where=page.url,
            fix="Link to a page, or leave it out.",
            kind="not_html",
        )
    source = decoded(page)
    tree = html_tree(source)  # trafilatura works on a tree of its own, so this one stays whole
    if tree is None:
        return Extracted("", "", None, "", "", canonicalize(page.final_url))
    own = Selected() if selectors is None else selected(tree, selectors)
    document = _general(source, page, fast=True)
    text, method = (own.text, "selectors") if own.text else _main_text(source, page, tree, _field(document, "text"))
    things = linked_data(tree)
    if method != "selectors":
        text, method = _instead(tree, things, page, text, method)
    written = as_written(own.published, page.fetched_at) if own.published else None
    return Extracted(
        title=own.title or best_title(tree, things, page.final_url, _field(document, "title")),
        author=own.author or one_line(_field(document, "author")),
        published_at=written or best_date(tree, things, _field(document, "date")),
        language=_declared_language(tree) or language_of(text),
        text=text,
        canonical_url=_canonical_url(tree, page.final_url),
        method=method,
    )


def _main_text(source: str, page: Page, tree: Any, fast: str) -> tuple[str, str]:
    """The text and what it comes from."""
    text, method = fast.strip(), "trafilatura"
    if len(text) < _SHORT_CHARACTERS:
        full = _field(_general(source, page, fast=False), "text").strip()
        if len(full) > len(text):
            text, method = full, "trafilatura-full"
    story = whole_story(tree, text)
    if story:
        return story, "article"
    return text, method if text else ""


def _instead(tree: Any, things: list[dict[str, Any]], page: Page, text: str, method: str) -> tuple[str, str]:
    """What is read in place of a consent dialogue and of next to nothing, and what it comes from."""
    asks = is_consent(text)
    if not asks and len(text) >= _SHORT_CHARACTERS:
        return text, method
    carried, carrier = embedded_text(tree, things)
    if len(carried) > len(text) or (asks and carried):
        return carried, carrier
    if not asks:
        return text, method
    import lxml.html

    copied = lxml.html.document_fromstring(lxml.html.tostring(tree, encoding="unicode"))
    without_consent(copied)
    for element in copied.iter("aside"):
        element.tag = "div"  # it holds the article where the rest of the page has none
    rest = lxml.html.tostring(copied, encoding="unicode")
    for fast in (True, False):
        found = _field(_general(rest, page, fast=fast), "text").strip()
        if len(found) >= _SHORT_CHARACTERS and not is_consent(found):
            return found, "without-consent"
    return "", CONSENT


def _general(source: str, page: Page, *, fast: bool) -> Any:
    import trafilatura

    return trafilatura.bare_extraction(
        source,
        url=page.final_url,
        fast=fast,
        with_metadata=fast,
        include_comments=False,
        # The day of the fetch, not of the reading, bounds the dates that are believed: the same bytes give the same.
        date_extraction_params={
            "original_date": True,
            "extensive_search": False,
            "max_date": (page.fetched_at + timedelta(days=1)).strftime("%Y-%m-%d"),
        },
    )


def is_html(page: Page) -> bool:
    """Whether the document is HTML (`web.sniffing`)."""
    return is_html_document(page.content_type, page.body)


def decoded(page: Page) -> str:
    """The document as text (`web.charset`)."""
    return charset.decoded(page.body, page.charset)


def parsed_html(page: Page) -> Any:
    """The document as an lxml tree, or None when there is no element in it."""
    return html_tree(decoded(page))


def content_hash(text: str) -> str:
    """SHA-256 of the text in NFC, case-folded, with white space collapsed: equal for what reads as the same."""
    folded = _SPACE.sub(" ", unicodedata.normalize("NFC", text).casefold()).strip()
    return hashlib.sha256(folded.encode("utf-8", "replace")).hexdigest()


def _field(document: Any, name: str) -> str:
    return str(getattr(document, name, None) or "")


def _declared_language(tree: Any) -> str:
    root = tree if tree.tag == "html" else tree.getroottree().getroot()
    declared = [root.get("lang") or root.get("xml:lang") or ""]
    declared += tree.xpath("//meta[@property='og:locale']/@content")
    return next(filter(None, map(language_code, declared)), "")


def _canonical_url(tree: Any, final_url: str) -> str:
    own = canonicalize(final_url)
    for link in tree.xpath("//link[@rel and @href]"):
        if "canonical" in link.get("rel").lower().split():
            stated = canonicalize(joined(final_url, link.get("href")))
            if not stated:
                continue
            # A site may name its own pages; another site's word does not make this page that one.
            return stated if stated.startswith(("http://", "https://")) and on_same_site(stated, own) else own
    return own
