"""Fetch records: what is kept of how a document came, in the ledger and beside the document, and the page made of it.

Belongs here: what a record says and what must never stand in one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from enrich_assets.engine.clients import Page
from enrich_assets.web.http import Fetched
from enrich_assets.web.sniffing import content_type_of

_SECRET = re.compile(r"cookie|auth|token|secret|session|credential|password|signature|api-?key|csrf|xsrf")
"""Names of headers that may let somebody in."""
_LONGEST_HEADER = 1_000
_ALL_HEADERS = 8_000
"""Characters of the values together. A header that does not fit is left out: half of an ETag is none."""
_RENEWED = ("etag", "last-modified", "date", "expires", "cache-control")
"""Headers that a 304 brings up to date (RFC 9111, 3.2); those that describe its missing body are not among them."""


def fetch_record(
    fetched: Fetched, *, url: str, sha256: str, moment: datetime, fetch_method: str = "http"
) -> dict[str, Any]:
    """The record of a fetch.

    url (as it was asked for), method, redirects (URLs on the way), final_url, http_status, headers, content_type,
    charset, bytes, sha256, fetched_at (UTC), fetch_method (http, browser, file).
    """
    content_type, charset = content_type_of(fetched.headers.get("content-type", ""))
    return {
        "url": _without_user(url),
        "method": "GET",
        "redirects": [_without_user(passed) for passed in fetched.redirects],
        "final_url": fetched.final_url,
        "http_status": fetched.http_status,
        "headers": kept_headers(fetched.headers),
        "content_type": content_type,
        "charset": charset,
        "bytes": len(fetched.body),
        "sha256": sha256,
        "fetched_at": moment.isoformat(),
        "fetch_method": fetch_method,
    }


def unchanged_record(record: Mapping[str, Any], fetched: Fetched, moment: datetime) -> dict[str, Any]:
    """The record of a document that its server calls unchanged: that of the stored one, seen again now.

    Its `http_status` stays that of the document, and `not_modified` says what the server answered.
    """
    renewed = {name: value for name, value in kept_headers(fetched.headers).items() if name in _RENEWED}
    return {
        **record,
        "redirects": [_without_user(passed) for passed in fetched.redirects],
        "headers": {**record.get("headers", {}), **renewed},
        "fetched_at": moment.isoformat(),
        "not_modified": True,
    }


def validators_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The request headers that ask for a document only where it changed (RFC 9110, 13.1); none where none is known."""
    headers = record.get("headers", {})
    pairs = (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
    return {asked: headers[told] for asked, told in pairs if headers.get(told)}


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a response without those that may let somebody in, in bounded size."""
    kept: dict[str, str] = {}
    room = _ALL_HEADERS
    # What the next request and the reader of the document need comes first.
    first = ("etag", "last-modified", "content-type")
    for name in (*(name for name in first if name in headers), *(name for name in headers if name not in first)):
        value = headers[name]
        if not _SECRET.search(name.lower()) and len(value) <= min(room, _LONGEST_HEADER):
            kept[name.lower()] = value
            room -= len(value)
    return kept


def page_of(url: str, record: Mapping[str, Any], body: bytes, fetch_method: str) -> Page:
    """The document as phases get it."""
    return Page(
        url=url,
        final_url=record["final_url"],
        http_status=record["http_status"],
        content_type=record["content_type"],
        charset=record["charset"],
        body=body,
        sha256=record["sha256"],
        fetched_at=datetime.fromisoformat(record["fetched_at"]),
        fetch_method=fetch_method,
    )


def _without_user(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url
