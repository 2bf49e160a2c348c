"""One document of a sitemap: XML of the protocol, whatever its namespace says, lines of URLs, or a feed (sitemaps.org).

Following an index belongs to `sitemap`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from enrich_assets.core.errors import FinalError
from enrich_assets.core.language_codes import language_code
from enrich_assets.engine.clients import Page
from enrich_assets.web.markup import one_line
from enrich_assets.web.moments import as_moment
from enrich_assets.web.sources.feed import listing_of, looks_like
from enrich_assets.web.sources.kind import source_error
from enrich_assets.web.sources.source import Source
from enrich_assets.web.sources.xml_bounds import danger_in, is_worth_mending
from enrich_assets.web.urls import joined, on_same_site

MOST_URLS = 50_000
"""URLs of one document; the protocol allows no more."""
LARGEST_BYTES = 52_428_800
"""Of one document, decompressed; the protocol allows no more."""
MOST_MEMBERS = 1000
"""Members of a gzip file: each costs time, and may hold nothing."""
_URL_LINE = re.compile(r"https?://\S+\Z", re.IGNORECASE)
_WITHOUT_SCHEME = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?(?:/\S*)?\Z", re.IGNORECASE)
_LOC_TAG = re.compile(rb"<(/?)(?:[\w.-]+:)?loc\b", re.IGNORECASE)
_MONTH = re.compile(r"\d{4}(-\d{2})?\Z")


@dataclass(frozen=True)
class Located:
    """A URL with what the sitemap says of it; times are UTC."""

    url: str
    changed_at: datetime | None = None
    published_at: datetime | None = None
    title: str = ""
    language: str = ""


@dataclass(frozen=True)
class SitemapDocument:
    """What one document lists: pages, or further documents."""

    pages: tuple[Located, ...] = ()
    children: tuple[Located, ...] = ()
    size: int = 0
    """Bytes, decompressed."""
    is_cut: bool = False
    """Whether it was not read to its end: it is broken, or has more URLs than are read."""


def read_sitemap(source: Source, page: Page) -> SitemapDocument:
    """The document in `page`; raises FinalError of kind not_a_sitemap, too_large, xml_bomb or external_entity."""
    body = _unpacked(source, page)
    danger = danger_in(body)
    if danger is not None:
        raise source_error(source, danger[0], danger[1], "Leave the source out, and tell whoever publishes it.")
    plain = replace(page, body=body)
    begin = body[:1000].lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
    read = _of_xml(body, page.final_url) if begin.startswith(b"<") else _of_lines(body, page.final_url)
    if read is None:
        read = _of_feed(source, plain)
    if read is None:
        raise source_error(
            source,
            "not_a_sitemap",
            f"{page.url[:200]} is {looks_like(plain)}, not a sitemap.",
            "Give the URL of its sitemap, as its robots.txt names it, or another kind of source.",
        )
    return replace(read, size=len(body))


def _unpacked(source: Source, page: Page) -> bytes:
    if not page.body.startswith(b"\x1f\x8b"):
        return page.body
    body, packed = b"", page.body
    try:
        for _ in range(MOST_MEMBERS):  # several members are one file (RFC 1952, 2.2)
            if not packed.startswith(b"\x1f\x8b") or len(body) > LARGEST_BYTES:
                break
            inflater = zlib.decompressobj(31)
            body += inflater.decompress(packed, LARGEST_BYTES + 1 - len(body))
            packed = inflater.unused_data
    except zlib.error as error:
        if not body:
            raise source_error(source, "not_a_sitemap", f"{page.url[:200]} is broken gzip ({error}).") from None
    if len(body) > LARGEST_BYTES:
        what = f"{page.url[:200]} unpacks to more than {LARGEST_BYTES:,} bytes, which no sitemap may have."
        raise source_error(source, "too_large", what, "Leave the source out.")
    return body


def _of_feed(source: Source, page: Page) -> SitemapDocument | None:
    try:
        listed = listing_of(source, page).entries
    except FinalError:
        return None
    return SitemapDocument(
        tuple(Located(one.url, one.updated_at, one.published_at, one.title, one.language) for one in listed)
    )


def _of_lines(body: bytes, base: str) -> SitemapDocument | None:
    encoding = "utf-16" if body.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    lines = [line.strip() for line in body.decode(encoding, "replace").splitlines()]
    urls = [url for url in (_with_scheme(line, base) for line in lines) if _URL_LINE.match(url)]
    if not urls or len(urls) * 2 < sum(map(bool, lines)):
        return None
    return SitemapDocument(tuple(map(Located, urls[:MOST_URLS])), is_cut=len(urls) > MOST_URLS)


def _with_scheme(address: str, base: str) -> str:
    """`address` with the scheme of `base` where it begins with the host of the same site."""
    if not _WITHOUT_SCHEME.match(address):
        return address
    whole = f"{base.partition(':')[0]}://{address}"
    return whole if on_same_site(whole, base) else address


def _of_xml(body: bytes, base: str) -> SitemapDocument | None:
    from lxml.etree import XMLParser, XMLSyntaxError, fromstring

    if not is_worth_mending(body):
        return None
    parser = XMLParser(
        recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
    )
    try:
        root = fromstring(body.lstrip(b"\xef\xbb\xbf \t\r\n"), parser)
    except (XMLSyntaxError, ValueError):
        return None
    # Names decide, not namespaces: many sitemaps state a wrong one, and some none.
    if root is None or _name(root) not in ("urlset", "sitemapindex"):
        return None
    found: tuple[list[Located], list[Located]] = [], []
    is_cut = any(entry.level_name == "FATAL" for entry in parser.error_log)
    for element in root.iter():
        name = _name(element)
        located = _located(element, base) if name in ("url", "sitemap") else None
        if located is None or not located.url:
            continue
        if sum(map(len, found)) >= MOST_URLS:
            is_cut = True
            break
        found[name == "sitemap"].append(located)
    if is_cut and _ends_within_loc(body):
        del (found[0] or found[1])[-1:]  # half an address is another one
    return SitemapDocument(tuple(found[0]), tuple(found[1]), is_cut=is_cut)


def _ends_within_loc(body: bytes) -> bool:
    """Whether the document ends in the middle of an address."""
    tags = list(_LOC_TAG.finditer(body, max(0, len(body) - 10_000)))
    return bool(tags) and not tags[-1].group(1) and bool(body[tags[-1].end() :].partition(b">")[2].strip())


def _located(element: Any, base: str) -> Located:
    news = _child(element, "news")
    publication = _child(news, "publication")
    # Some write the address into the element itself.
    address = _text(element, "loc") or (element.text or "").strip()
    return Located(
        url=joined(base, _with_scheme(address, base)) if address else "",
        changed_at=_moment(_text(element, "lastmod")),
        published_at=_moment(_text(news, "publication_date")),
        title=one_line(_text(news, "title")),
        language=language_code(_text(publication, "language")),
    )


def _moment(text: str) -> datetime | None:
    # W3C dates may end with the year or the month.
    return as_moment(f"{text}-01-01"[:10] if _MONTH.match(text) else text) if text else None


def _children(element: Any) -> Iterator[Any]:
    return iter(element) if element is not None else iter(())


def _child(element: Any, name: str) -> Any:
    return next((child for child in _children(element) if _name(child) == name), None)


def _text(element: Any, name: str) -> str:
    child = _child(element, name)
    return "".join(child.itertext()).strip() if child is not None else ""


def _name(element: Any) -> str:
    tag = element.tag if isinstance(element.tag, str) else ""
    return tag.rpartition("}")[2].rpartition(":")[2].lower()
