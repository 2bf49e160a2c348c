"""What every request passes and every answer carries: this machine's name, reading methods, strict headers.

A page of another site could let its own name lead to 127.0.0.1 (DNS rebinding) and read what is served there. The Host
header still carries that name, so only the loopback names are answered. https://owasp.org/www-community/attacks
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = ("GET", "HEAD")
_HERE = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Of the viewer's own pages; files of a run have stricter ones (`pages.files`)."""
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Stands before the application: refuses foreign hosts and everything that is no reading."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; others than HTTP are left without an answer."""
        if scope["type"] != "http":
            return
        if not _is_here(scope):
            await _refuse(send, 400, "This viewer answers on 127.0.0.1 and localhost alone.")
        elif scope["method"] not in METHODS:
            await _refuse(send, 405, "This viewer only shows; it changes nothing.", allow=", ".join(METHODS))
        else:
            # Routes know GET; the server itself leaves the body out of the answer to HEAD.
            await self._app({**scope, "method": "GET"}, receive, _with_headers(send))


def _is_here(scope: Scope) -> bool:
    named = [value for name, value in scope["headers"] if name == b"host"]
    return len(named) == 1 and _HERE.fullmatch(named[0]) is not None


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = {name.decode("latin-1").lower() for name, _ in message["headers"]}
            own = [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n not in given]
            message = {**message, "headers": [*message["headers"], *own]}
        await send(message)

    return sending


async def _refuse(send: Send, status: int, text: str, **headers: str) -> None:
    body = f"{text}\n".encode()
    listed = {**_HEADERS, "content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **headers}
    encoded = [(name.encode(), value.encode()) for name, value in listed.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
