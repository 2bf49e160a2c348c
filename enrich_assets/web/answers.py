"""What one answer holds: its headers without secrets, and its body where it is worth reading, up to the cap.

Belongs here: which statuses are success, which pass and which are final. Redirects and who is asked next belong to
`web.http`, broken connections to `web.transport`.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from enrich_assets.core.errors import FinalError, TransientError
from enrich_assets.web.decompress import coding_of, decompressed
from enrich_assets.web.retry import retry_after

_VALIDATORS = {"if-none-match", "if-modified-since"}
_WORTH_ANOTHER_TRY = {408, 425, 429}
_NOT_KEPT = {"set-cookie", "set-cookie2", "authorization", "proxy-authorization", "www-authenticate"}
_NO_TEXT = ("audio/", "video/", "image/", "font/", "model/", "application/zip", "application/x-zip", "application/x-7z",
            "application/x-rar", "application/vnd.rar", "application/x-tar", "application/x-bzip", "application/x-xz",
            "application/x-iso9660", "application/x-msdownload", "application/x-msdos-program",
            "application/x-shockwave-flash", "application/vnd.android.package-archive", "application/java-archive",
            "application/wasm")  # fmt: skip
"""Beginnings of content types that are not worth their bytes; gzip is not among them, for sitemaps come so."""


@dataclass(frozen=True)
class Reading:
    """How one request is made and its answer read."""

    sent: Mapping[str, str]
    limit: int
    is_crawling: bool = False
    """Whether robots.txt decides, and only text is worth reading."""
    spares_host: bool = False
    """Whether the host's turns and its wish for rest count."""
    spacing: float = 0.0
    is_cut: bool = False
    """Whether a body beyond the limit is cut off instead of refused."""
    whatever_status: bool = False
    posts: Mapping[str, Any] | None = None


def readable(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with lower-case names, without secrets, in characters that can be stored."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()
        if name not in _NOT_KEPT:
            # aiohttp keeps bytes that are no UTF-8 as lone surrogates.
            text = value if value.isascii() else _text(value.encode("utf-8", "surrogateescape"))
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def location_of(headers: Mapping[str, str]) -> str:
    """Where a redirect leads, as it is written; bytes that are no UTF-8 are sent back as the bytes that they are."""
    value = headers.get("Location", "")
    if value.isascii():
        return value
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


async def body_of(
    response: aiohttp.ClientResponse, headers: Mapping[str, str], url: str, reading: Reading, now: datetime
) -> bytes:
    """The decompressed body, empty for a document that did not change since it was last read.

    Raises TransientError and FinalError that name the URL: for a status that is no success, for a type without text
    where `reading` crawls, for a coding that cannot be read and a body beyond the limit that may not be cut.
    """
    status = response.status
    if not reading.whatever_status:
        if status == 304 and any(name.lower() in _VALIDATORS for name in reading.sent):
            return b""
        if not 200 <= status < 300:
            what = f"the server answered {status} {response.reason or ''}".rstrip() + "."
            if status >= 500 or status in _WORTH_ANOTHER_TRY:
                raise transient(f"http_{status}", url, what, retry_after=retry_after(headers, now))
            raise final(f"http_{status}", url, what, fix="Correct the URL, or remove the source.")
        if reading.is_crawling:
            _raise_for_type(headers.get("content-type", ""), url)
    return await _body(response, coding_of(headers.get("content-encoding", "")), url, reading)


def _raise_for_type(content_type: str, url: str) -> None:
    if content_type.strip().lower().startswith(_NO_TEXT):
        shown = content_type.partition(";")[0].strip()[:100]
        raise final("content_type", url, f"it is of the type {shown!r}, which holds no text.", fix="Leave it out.")


async def _body(response: aiohttp.ClientResponse, coding: str, url: str, reading: Reading) -> bytes:
    limit = reading.limit
    body = bytearray()
    try:
        async for piece in decompressed(_at_most(response.content.iter_any(), limit), coding):
            body += piece
            if len(body) > limit:
                break
        else:
            return bytes(body)
    except zlib.error as error:
        raise final("bad_encoding", url, f"its content coding {coding!r} cannot be read ({error}).") from None
    except _TooMuch:
        pass
    if reading.is_cut:
        return bytes(body[:limit])
    raise final("too_large", url, f"the document is larger than {limit:,} bytes.", fix="Raise http.max_bytes.")


class _TooMuch(Exception):
    """More came over the wire than the document may have; what is packed can be larger than what it holds."""


async def _at_most(pieces: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    taken = 0
    async for piece in pieces:
        taken += len(piece)
        yield piece
        if taken > limit:
            raise _TooMuch


def final(kind: str, url: str, what: str, *, fix: str = "") -> FinalError:
    """The error of a URL that another try does not mend."""
    return FinalError(what, where=url[:500], fix=fix, kind=kind)


def transient(kind: str, url: str, what: str, *, fix: str = "", retry_after: float | None = None) -> TransientError:
    """The error of a URL that may be gone at the next try."""
    return TransientError(what, where=url[:500], fix=fix, kind=kind, retry_after=retry_after)
