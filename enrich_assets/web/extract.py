"""What an HTML page says: title, author, date, language, text. Pure functions of the stored bytes.

Fetching belongs to `web.http`, the canonical spelling of URLs to `web.urls`.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import unicodedata
from datetime import timedelta
from typing import Any

from enrich_assets.core.errors import FinalError
from enrich_assets.engine.clients import Extracted, Page, PageSelectors
from enrich_assets.web.dates import as_moment, best_date
from enrich_assets.web.language import language_code, language_of
from enrich_assets.web.markup import html_tree, one_line
from enrich_assets.web.markup import text_of_html as text_of_html
from enrich_assets.web.selectors import Selected, selected
from enrich_assets.web.urls import canonicalize, joined, on_same_site

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_SPACE = re.compile(r"\s+")
_HTML_TYPES = ("text/html", "application/xhtml+xml", "application/xhtml")


def extract(page: Page, *, selectors: PageSelectors | None = None) -> Extracted:
    """The main text and the metadata of an HTML page.

    Raises FinalError of kind `not_html` for another kind of document. A page without text gives an empty text. The
    text is trafilatura's in its fast mode, which is the best compromise of figures and speed on article pages. What
    `selectors` find goes before everything else.
    """
    import trafilatura

    if not is_html(page):
        raise FinalError(
            f"the document is {page.content_type or 'of an unknown type'}, not HTML.",
            where=page.url,
            fix="Link to a page, or leave it out.",
            kind="not_html",
        )
    tree = parsed_html(page)
    if tree is None:
        return Extracted("", "", None, "", "", canonicalize(page.final_url))
    head = tree  # trafilatura works on a tree of its own, so this one stays whole
    document = trafilatura.bare_extraction(
        decoded(page),
        url=page.final_url,
        fast=True,
        with_metadata=True,
        include_comments=False,
        # The day of the fetch, not of the reading, bounds the dates that are believed: the same bytes give the same.
        date_extraction_params={
            "original_date": True,
            "extensive_search": False,
            "max_date": (page.fetched_at + timedelta(days=1)).strftime("%Y-%m-%d"),
        },
    )
    own = Selected() if selectors is None else selected(head, selectors)
    text = own.text or _field(document, "text").strip()
    return Extracted(
        title=own.title or one_line(_field(document, "title")),
        author=own.author or one_line(_field(document, "author")),
        published_at=as_moment(own.published) or best_date(head, _field(document, "date")),
        language=_declared_language(head) or language_of(text),
        text=text,
        canonical_url=_canonical_url(head, page.final_url),
        method="selectors" if own.text else "trafilatura" if text else "",
    )


def is_html(page: Page) -> bool:
    """Whether the document is HTML, by its content type, else by how it begins."""
    if page.content_type:
        return page.content_type in _HTML_TYPES
    begin = page.body[:1000].lstrip().lower()
    return begin.startswith((b"<!doctype html", b"<html")) or b"<html" in begin or b"<body" in begin


def decoded(page: Page) -> str:
    """The document as text: byte-order mark, the charset of the header, of a meta element, UTF-8, else a guess."""
    for mark, name in _BOMS:
        if page.body.startswith(mark):
            return page.body[len(mark) :].decode(name, "replace")
    declared = _META_CHARSET.search(page.body[:4096])
    for name in (page.charset, declared.group(1).decode("ascii") if declared else "", "utf-8"):
        try:
            # Browsers read these two names as Windows-1252 (WHATWG Encoding, 4.2).
            return page.body.decode({"iso-8859-1": "cp1252", "us-ascii": "cp1252"}.get(name.lower(), name or "-"))
        except (LookupError, UnicodeError, ValueError):
            continue
    from trafilatura.utils import decode_file

    return str(decode_file(page.body))


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
