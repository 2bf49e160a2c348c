"""What became of a connection, in plain words: the errors of sockets, TLS and the HTTP parser as errors of a URL.

Belongs here: which of them pass and which are final. What a server answered is judged by `web.http`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from enrich_assets.core.errors import FinalError, TransientError


@contextmanager
def transport_errors(url: str, deadline: float) -> Iterator[None]:
    """Raises for the URL what the connection within raises: TransientError of kinds timeout and connection,
    FinalError of kinds certificate and bad_http."""
    try:
        yield
    except TimeoutError:
        what = f"no complete document within {deadline:g} s."
        raise TransientError(what, where=url[:500], kind="timeout") from None
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
        what = f"no trusted TLS connection ({_tls_reason(error)})."
        raise FinalError(what, where=url[:500], kind="certificate") from None
    except aiohttp.ClientResponseError:
        # Its words are the parser's, with bytes of the server in them.
        what = "what the server sends is no HTTP that can be read."
        fix = "Look at the URL with a browser; leave it out."
        raise FinalError(what, where=url[:500], fix=fix, kind="bad_http") from None
    except (aiohttp.ClientError, OSError) as error:
        raise TransientError(f"{_broken_connection(error)}.", where=url[:500], kind="connection") from None


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
