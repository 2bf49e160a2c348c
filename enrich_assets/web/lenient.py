"""Heads of answers that break the grammar of HTTP and that browsers read all the same.

Belongs here: what is repaired, and the connections that repair it. Which host needs it is decided by `web.http`.
"""

from __future__ import annotations

import re
from asyncio import AbstractEventLoop, get_running_loop
from functools import partial
from typing import Any

from aiohttp.client_proto import ResponseHandler

from enrich_assets.web.connector import GuardedConnector
from enrich_assets.web.guard import AddressGuard

_LARGEST_HEAD = 262_144
"""Bytes of a head that are kept back to be repaired, as many as Chromium reads; a larger one goes on as it is."""
# A search never begins within a run of \r: a head of nothing else would take the square of its length.
_END = re.compile(rb"(?<!\r)\r*+\n\r*+\n")
_LINE_END = re.compile(rb"(?<!\r)\r*+\n")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(rb"\r\nContent-Length: (\d{1,18})\Z")
_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d\b")


def repaired(head: bytes) -> bytes:
    """The head of an answer, without the empty line after it, as browsers understand it.

    As Chromium's net/http (http_util, http_response_headers): space around a field's name is no part of it, a line
    without a name that is a token counts for nothing, Content-Length is ignored beside Transfer-Encoding and where it
    is no number, and several equal ones are one. Contradicting ones stay, and are refused.
    """
    first, *lines = _LINE_END.split(head)
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, value + b" " + line.strip(b" \t"))
            continue
        name, colon, value = line.partition(b":")
        name = name.strip(b" \t")
        if colon and _TOKEN.fullmatch(name):
            fields.append((name, value.strip(b" \t")))
    lengths = [part.strip() for name, value in fields if _is_length(name) for part in value.split(b",")]
    is_coded = any(name.lower() == b"transfer-encoding" for name, _ in fields)
    if is_coded or len(set(lengths)) == 1 or not all(map(bytes.isdigit, lengths)):
        fields = [field for field in fields if not _is_length(field[0])]
        if not is_coded and lengths[0].isdigit() and len(set(lengths)) == 1:
            fields.append((b"Content-Length", lengths[0]))
    return b"\r\n".join([first, *(name + b": " + value for name, value in fields)])


def lenient_connector(guard: AddressGuard, **options: Any) -> GuardedConnector:
    """A connector whose connections carry one answer each and repair its head."""
    connector = GuardedConnector(guard, force_close=True, **options)
    # aiohttp has no public way to its protocol; a test says when this one ends.
    connector._factory = partial(_RepairingHandler, loop=get_running_loop())  # type: ignore[assignment]
    return connector


class _RepairingHandler(ResponseHandler):
    """Keeps what arrives until the head is complete, and hands it repaired to the parser; a body is cut at its length,
    since the parser would take what follows for another answer."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head: bytes | None = b""
        self._left: int | None = None

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            head = self._head + data
            while (end := _END.search(head)) and _INTERIM.match(head):
                head = head[end.end() :]  # "100 Continue" and the like, which nobody waits for
            if end is None and len(head) <= _LARGEST_HEAD:
                self._head = head
                return
            self._head = None
            if end is not None:
                whole = repaired(head[: end.start()])
                super().data_received(whole + b"\r\n\r\n")
                length = _LENGTH.search(whole)
                self._left = int(length.group(1)) if length else None
                head = head[end.end() :]
            data = head
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head:
            data, self._head = self._head, None
            super().data_received(data)
        super().connection_lost(exc)


def _is_length(name: bytes) -> bool:
    return name.lower() == b"content-length"
