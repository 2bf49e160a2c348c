"""What kind of document it is: its content type, and how it begins where the type says little (WHATWG MIME Sniffing,
https://mimesniff.spec.whatwg.org/).

Which characters it is made of belongs to `web.charset`.
"""

from __future__ import annotations

import re
from email.message import Message

_HTML_TYPES = ("text/html", "application/xhtml+xml", "application/xhtml", "text/x-html", "text/htm", "application/html")
_SAY_LITTLE = frozenset([
    "text/plain", "application/octet-stream", "binary/octet-stream", "application/x-octet-stream", "application/binary",
    "application/unknown", "unknown/unknown", "application/force-download", "application/x-download",
    "application/download", "application/x-msdownload", "application/text",
])  # fmt: skip
"""Types that servers send for what they do not know."""
_BEFORE_ELEMENTS = re.compile(rb"\s+|<\?[^>]*>|<!--.*?-->", re.DOTALL)
_BEGINS_AS_HTML = re.compile(rb"(?:<!doctype\s+html|<html|<head|<body)[\s>]", re.IGNORECASE)
_HEAD_BYTES = 4_000


def content_type_of(value: str) -> tuple[str, str]:
    """Type and charset of a Content-Type header, in lower case; '' where it does not say."""
    if not value:
        return "", ""
    message = Message()
    message["content-type"] = value
    charset = message.get_param("charset", "")
    return message.get_content_type(), charset.lower() if isinstance(charset, str) else ""


def is_html_document(content_type: str, body: bytes) -> bool:
    """Whether the document is HTML.

    `content_type` is the bare type in lower case, '' for none. A document without a type is HTML when it has an `html`
    or `body` element near its beginning; one whose type says little, or only XML, when it begins as HTML.
    """
    if content_type in _HTML_TYPES:
        return True
    begin = body[:_HEAD_BYTES].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n")
    if not content_type:
        lower = begin[:1000].lower()
        return lower.startswith((b"<!doctype html", b"<html")) or b"<html" in lower or b"<body" in lower
    if content_type in _SAY_LITTLE or content_type.endswith(("/xml", "+xml")):
        at = 0
        while skipped := _BEFORE_ELEMENTS.match(begin, at):
            at = skipped.end()
        return _BEGINS_AS_HTML.match(begin, at) is not None
    return False
