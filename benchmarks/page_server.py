"""A web server that does next to nothing, so that what is measured is the reader.

It answers every GET on kept-alive connections with the same page, after a latency. Many hosts are many addresses of
loopback: 127.0.0.1, 127.0.0.2 and so on, one port.

    python -m benchmarks.page_server --hosts 20 --bytes 50000 --latency 0.1

Prints its port. `GET /stats` tells its CPU seconds, the pages sent and the connections made. /robots.txt is a 404.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time


class Server:
    """What all connections share."""

    def __init__(self, size: int, latency: float) -> None:
        self.page = _response(
            b"200 OK", b"text/html; charset=utf-8", (b"<p>A page of words.</p>\n" * (size // 24 + 1))[:size]
        )
        self.missing = _response(b"404 Not Found", b"text/plain", b"no")
        self.latency = latency
        self.pages = 0
        self.connections = 0

    def stats(self) -> bytes:
        """CPU seconds of the process, pages sent, connections made."""
        found = {"cpu_seconds": time.process_time(), "pages": self.pages, "connections": self.connections}
        return _response(b"200 OK", b"application/json", json.dumps(found).encode())


class Connection(asyncio.Protocol):
    """One client's connection; requests on it are answered one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._server.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answers each complete request."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            if path == b"/stats":
                self._write(self._server.stats())
            elif path == b"/robots.txt":
                self._write(self._server.missing)
            else:
                self._server.pages += 1
                self._loop.call_later(self._server.latency, self._write, self._server.page)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


def _response(status: bytes, content_type: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (status, content_type, len(body))
    return head + body


async def serve(hosts: int, size: int, latency: float) -> None:
    """Serves until the process ends; prints the port."""
    loop, server = asyncio.get_running_loop(), Server(size, latency)
    first = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    for number in range(2, hosts + 1):
        await loop.create_server(lambda: Connection(server), f"127.0.0.{number}", port)
    print(port, flush=True)
    await first.serve_forever()


def main() -> None:
    """Reads the options and serves."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=20, help="addresses of loopback that answer")
    parser.add_argument("--bytes", type=int, default=50_000, help="size of a page")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds before a page is sent")
    options = parser.parse_args()
    asyncio.run(serve(options.hosts, options.bytes, options.latency))


if __name__ == "__main__":
    main()
