"""Pages made of bytes, for tests of what is read in them."""

from __future__ import annotations

from datetime import UTC, datetime

from enrich_assets.core.fingerprint import sha256
from enrich_assets.engine.clients import Page

FETCHED = datetime(2026, 11, 2, 9, 0, 0, tzinfo=UTC)


def page_of(
    body: bytes | str, *, url: str = "http://site.example/news/1", type: str = "text/html", charset: str = ""
) -> Page:
    """`body` as it would come from the page client."""
    data = body.encode("utf-8") if isinstance(body, str) else body
    return Page(url, url, 200, type, charset, data, sha256(data), FETCHED, "http")
