"""The only way out of the browser: a forward proxy on loopback that judges every connection by the address guard.

Belongs here: who may use it, what it connects to, how much passes. Which page asks, and what it makes of the answers,
belongs to `web.browser_visit`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import secrets
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from aiohttp.abc import ResolveResult

from enrich_assets.core.errors import CallError, FinalError, TransientError
from enrich_assets.web.guard import AddressGuard, GuardedResolver

USER = "page"
_HEAD_SECONDS = 10.0
_CONNECT_SECONDS = 10.0
_HEAD_BYTES = 65_536
_PIECE = 65_536
# Of one connection only (RFC 9110, 7.6.1); what is for the proxy stays with it.
_OF_THIS_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "upgrade",
}  # fmt: skip


class Traffic:
    """What one page sends and receives; ended by `close`. `password` is the page's key to the proxy."""

    def __init__(self, guard: AddressGuard, *, max_bytes: int, max_requests: int) -> None:
        self.password = secrets.token_urlsafe(24)
        self.problems: dict[str, CallError] = {}
        """Why there was no connection: by URL for http, by `host:port` for tunnels."""
        self.received = 0
        """Bytes on the wire, of all resources together."""
        self.is_too_large = asyncio.Event()
        self._max_bytes, self._requests_left = max_bytes, max_requests
        self._resolver = GuardedResolver(guard)
        self._resolved: dict[tuple[str, int], list[ResolveResult] | CallError] = {}
        self._locks: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self.tasks: set[asyncio.Task[None]] = set()

    def count(self, size: int) -> None:
        """Adds received bytes, on the wire or decompressed."""
        self.received += size
        if self.received > self._max_bytes:
            self.is_too_large.set()

    def admit(self, url: str) -> None:
        """Takes one more request; raises FinalError of kind `too_many_requests`."""
        self._requests_left -= 1
        if self._requests_left < 0:
            raise FinalError("the page asks for too many documents.", where=url[:500], kind="too_many_requests")

    async def addresses(self, host: str, port: int) -> list[ResolveResult]:
        """The judged addresses of `host`, asked for once a page; raises as `GuardedResolver.resolve`."""
        async with self._locks[host, port]:
            if (host, port) not in self._resolved:
                try:
                    self._resolved[host, port] = await self._resolver.resolve(host, port)
                except CallError as error:
                    self._resolved[host, port] = error
            found = self._resolved[host, port]
        if isinstance(found, CallError):
            raise copy.copy(found)
        return found

    async def close(self) -> None:
        """Cuts every connection of the page."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class _Head:
    """First line and headers of a message."""

    first: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def closing(self, first: str) -> bytes:
        """As it is passed on: this first line, the headers that are not of one hop, and the connection's end."""
        named = {name.strip().lower() for name in self.get("connection").split(",")}
        kept = [f"{k}: {v}" for k, v in self.headers if k.lower() not in _OF_THIS_HOP and k.lower() not in named]
        return "\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1")


class BrowserProxy:
    """The proxy; an async context manager. One request or tunnel a connection, and none without a page's password."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._server: asyncio.Server | None = None
        self._pages: dict[str, Traffic] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> BrowserProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_HEAD_BYTES)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def open(self, *, max_bytes: int, max_requests: int) -> Traffic:
        """Lets one page in, until `shut`."""
        traffic = Traffic(self._guard, max_bytes=max_bytes, max_requests=max_requests)
        self._pages[_basic(traffic.password)] = traffic
        return traffic

    async def shut(self, traffic: Traffic) -> None:
        """Cuts a page's connections and takes its key away."""
        self._pages.pop(_basic(traffic.password), None)
        await traffic.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await _read_head(reader)
            traffic = self._pages.get(head.get("proxy-authorization"))
            if traffic is None:
                await _answer(writer, "407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="page"\r\n')
                return
            task = asyncio.current_task()
            assert task is not None
            traffic.tasks.add(task)
            task.add_done_callback(traffic.tasks.discard)
            await self._carry(traffic, head, reader, writer)
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the browser's side is gone, or it does not speak HTTP
        finally:
            await _closed(writer)

    async def _carry(
        self, traffic: Traffic, head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, target, version = head.first.split(" ")
        is_tunnel = method == "CONNECT"
        try:
            traffic.admit(target)
            sent = self._guard.checked(f"https://{target}/" if is_tunnel else target)
            if not is_tunnel and sent.scheme != "http":
                raise FinalError("only http is asked for in the open.", where=target[:500], kind="bad_url")
            if head.get("transfer-encoding"):
                raise FinalError("a body of unknown length is not sent.", where=target[:500], kind="bad_request")
            port = sent.port or (443 if is_tunnel else 80)
            upstream = await _connected(traffic, sent.raw_host.decode("ascii"), port)
        except CallError as error:
            traffic.problems.setdefault(target, error)
            await _answer(writer, "502 Bad Gateway" if isinstance(error, TransientError) else "403 Forbidden")
            return
        try:
            if is_tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _until_one_ends(_pump(reader, upstream[1], None), _pump(upstream[0], writer, traffic))
            else:
                upstream[1].write(head.closing(f"{method} {sent.raw_path.decode('ascii')} {version}"))
                await _send_body(reader, upstream[1], int(head.get("content-length") or 0))
                await _until_one_ends(reader.read(1), _answer_of(target, upstream[0], writer, traffic))
        finally:
            await _closed(upstream[1])


async def _connected(traffic: Traffic, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    why: Exception | None = None
    for target in await traffic.addresses(host, port):
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncio.open_connection(target["host"], target["port"], limit=_HEAD_BYTES)
        except (OSError, TimeoutError) as error:
            why = error
    what = f"the connection failed ({str(why) or type(why).__name__})."
    raise TransientError(what, where=f"{host}:{port}", kind="connection")


async def _answer_of(url: str, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, traffic: Traffic) -> None:
    try:
        while True:
            head = await _read_head(upstream)
            if not head.first.split(" ")[1:2] or not head.first.split(" ")[1].startswith("1"):
                break  # no interim answer (RFC 9110, 15.2)
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        what = f"the connection failed ({str(error) or type(error).__name__})."
        traffic.problems.setdefault(url, TransientError(what, where=url[:500], kind="connection"))
        await _answer(writer, "502 Bad Gateway")
        return
    writer.write(head.closing(head.first))
    await _pump(upstream, writer, traffic)


async def _send_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int) -> None:
    while size > 0:
        piece = await reader.read(min(size, _PIECE))
        if not piece:
            raise ValueError("the body ends too early")
        size -= len(piece)
        writer.write(piece)
        await writer.drain()
    await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: Traffic | None) -> None:
    while piece := await reader.read(_PIECE):
        if counted is not None:
            counted.count(len(piece))
            if counted.is_too_large.is_set():
                return
        writer.write(piece)
        await writer.drain()


async def _until_one_ends(*work: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception) and not isinstance(end, OSError):
            raise end


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    """Raises ValueError for what is no head of HTTP/1, and IncompleteReadError for an early end."""
    lines: list[str] = []
    size = 0
    while True:
        line = await reader.readline()  # lines of more than the reader's limit raise ValueError
        size += len(line)
        if not line.endswith(b"\n"):
            raise asyncio.IncompleteReadError(line, None)
        if size > _HEAD_BYTES:
            raise ValueError("the head is too long")
        text = line.decode("latin-1").rstrip("\r\n")
        if not text and lines:
            break
        if text[:1] in (" ", "\t") and len(lines) > 1:
            lines[-1] += " " + text.strip()  # a folded line (RFC 9112, 5.2)
        elif text:
            lines.append(text)
    headers = [line.partition(":") for line in lines[1:]]
    return _Head(lines[0], tuple((name.strip(), value.strip()) for name, colon, value in headers if colon))


async def _answer(writer: asyncio.StreamWriter, status: str, header: str = "") -> None:
    writer.write(f"HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()
