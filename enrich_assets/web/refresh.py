"""Pages that send their reader on: the Refresh header and `<meta http-equiv="refresh">`.

https://html.spec.whatwg.org/multipage/semantics.html#attr-meta-http-equiv-refresh says how they are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from enrich_assets.web.charset import codec_of, stated_codec
from enrich_assets.web.markup import html_tree
from enrich_assets.web.sniffing import content_type_of, is_html_document
from enrich_assets.web.urls import joined

LONGEST_SECONDS = 5
"""A page that waits longer is meant to be read."""
_HEAD_BYTES = 65_536
_WORDS = (b"refresh", b"Refresh", b"REFRESH")
# Possessive, since pages are foreign text: nothing is tried in two ways.
_META = re.compile(rb"<meta\s[^>]{0,500}http-equiv\s*+=\s*+[\"']?+\s*+refresh", re.IGNORECASE)
_INSTRUCTION = re.compile(r"\s*+([0-9]++|(?=\.))[0-9.]*+(?:\s*+[;,]|\s)\s*+(.*)", re.DOTALL)
_URL_IS = re.compile(r"url\s*=\s*", re.IGNORECASE)


def sent_on(url: str, headers: Mapping[str, str], body: bytes) -> str:
    """The absolute http URL to which the document at `url` sends its reader within five seconds; '' for none."""
    told = _target(headers.get("refresh", ""))
    base = url
    if not told:
        head = body[:_HEAD_BYTES]
        # Lower case of each whole page costs a tenth of what reading it does.
        if not any(word in head for word in _WORDS) or not _META.search(head):
            return ""
        content_type, charset = content_type_of(headers.get("content-type", ""))
        if not is_html_document(content_type, body):
            return ""
        told, base = _stated(head.decode(codec_of(charset) or stated_codec(head) or "utf-8", "replace"), url)
    found = joined(base, told) if told else ""
    return found if found.lower().startswith(("http://", "https://")) else ""


def _stated(text: str, url: str) -> tuple[str, str]:
    """What the first meta element of a page tells, and the base of its links."""
    tree = html_tree(text)
    if tree is None:
        return "", url
    for element in tree.xpath("//meta[@http-equiv and @content][not(ancestor::noscript or ancestor::template)]"):
        if element.get("http-equiv").strip().lower() == "refresh":
            bases = tree.xpath("//base/@href")
            return _target(element.get("content")), (joined(url, bases[0]) or url) if bases else url
    return "", url


def _target(instruction: str) -> str:
    """The URL of `5; url=…` as it is written; '' for a longer time and for a page that only reloads."""
    found = _INSTRUCTION.fullmatch(instruction)
    if found is None or int(found.group(1)[:9] or "0") > LONGEST_SECONDS:
        return ""
    target = _URL_IS.sub("", found.group(2), count=1) if _URL_IS.match(found.group(2)) else found.group(2)
    if target[:1] in ("'", '"'):
        target = target[1:].partition(target[0])[0]
    return target.strip()
