"""What became of a connection, in plain words: the errors of sockets, TLS and the HTTP parser as errors of a URL.

Belongs here: which of them pass and which are final. What a server answered is judged by `web.http`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp.http_exceptions import BadStatusLine, LineTooLong

from enrich_assets.core.errors import FinalError, TransientError

LONGEST_FIELD = 131_072
"""Bytes of one header field that are read; aiohttp's own bound is 8,190, and sites send policies of 12 KB and more."""
MOST_FIELDS = 256
_ABOUT_FIELDS = re.compile(r"[^:]*(?:header|content-length|transfer-encoding|data after)", re.IGNORECASE)
"""How the parser's words begin when a header field is what it does not accept."""


class BrokenFields(FinalError):
    """The answer's header fields break the grammar of HTTP; a browser may read it all the same."""


@contextmanager
def transport_errors(url: str, deadline: float) -> Iterator[None]:
    """Raises for the URL what the connection within raises: TransientError of kinds timeout and connection,
    FinalError of kinds certificate, headers_too_large and bad_http (BrokenFields where only its fields are broken)."""
    try:
        yield
    except TimeoutError:
        what = f"no complete document within {deadline:g} s."
        raise TransientError(what, where=url[:500], kind="timeout") from None
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
        what = f"no trusted TLS connection ({_tls_reason(error)})."
        raise FinalError(what, where=url[:500], kind="certificate") from None
    except aiohttp.ClientResponseError as error:
        raise _unreadable(url, error) from None
    except (aiohttp.ClientError, OSError) as error:
        raise TransientError(f"{_broken_connection(error)}.", where=url[:500], kind="connection") from None


def _unreadable(url: str, error: aiohttp.ClientResponseError) -> FinalError:
    reason = getattr(error.__cause__, "__cause__", None) or error.__cause__
    if isinstance(reason, LineTooLong) or "Too many headers" in error.message:
        return FinalError(
            f"its headers are larger than this program reads ({LONGEST_FIELD:,} bytes a field, {MOST_FIELDS} fields); "
            "a browser may show it.",
            where=url[:500],
            fix="Leave it out, or read it with javascript: always.",
            kind="headers_too_large",
        )
    # The parser's words are not repeated: they have bytes of the server in them.
    what = "what the server sends is no HTTP that can be read."
    fix = "Look at the URL with a browser; leave it out."
    is_broken = not isinstance(reason, BadStatusLine) and _ABOUT_FIELDS.match(error.message) is not None
    return (BrokenFields if is_broken else FinalError)(what, where=url[:500], fix=fix, kind="bad_http")


def _tls_reason(error: Exception) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error.__cause__ or error
    told = getattr(inner, "verify_message", "") or (getattr(inner, "reason", "") or "").replace("_", " ").lower()
    return told or type(inner).__name__


def _broken_connection(error: Exception) -> str:
    """What became of a connection, in words that carry nothing of the server's or of the parser's."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection before it had answered"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended before the whole document had come"
    met = getattr(error, "os_error", error)
    if isinstance(met, ConnectionRefusedError):
        return "the connection was refused: nothing listens at that port"
    if isinstance(met, ConnectionError):
        return "the server broke the connection off"
    number = getattr(met, "errno", None)
    reason = os.strerror(number) if isinstance(number, int) and number in errno.errorcode else type(error).__name__
    return f"the connection failed ({reason})"
