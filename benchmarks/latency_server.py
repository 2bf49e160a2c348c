"""A model server that does next to nothing, so that what is measured is the client.

It speaks just enough HTTP/1.1 and `chat/completions` for a well-behaved client: kept-alive connections, requests with
Content-Length. The answer depends on the row alone: the number after `row ` in the request. So does its latency: drawn
once from a seed (`latencies`), so that a benchmark can compute what the best order of work could reach.

    python -m benchmarks.latency_server --port 0 --latency 0.2 --sigma 0.8 --rows 5000

Prints its address. It lists its one model, `loopback`. `GET /stats` tells its CPU seconds, its calls and the most that
were in flight at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import re
import time

SEED = 20_261_102
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ROW = re.compile(rb"row (\d+)")


def latencies(rows: int, latency: float, sigma: float, seed: int = SEED) -> list[float]:
    """Seconds that each row's answer takes: `latency`, or a lognormal with that median and the spread `sigma`."""
    drawn = random.Random(seed)
    return [latency * math.exp(drawn.gauss(0, sigma)) if sigma else latency for _ in range(rows)]


def answer_of(row: int) -> dict[str, object]:
    """What the model answers for a row."""
    return {"points": row % 11, "reason": f"It was asked about row {row}, and this is one sentence about it."}


class Server:
    """What all connections share."""

    def __init__(self, waits: list[float]) -> None:
        self.waits = waits
        self.calls = 0
        self.in_flight = 0
        self.most_in_flight = 0

    def stats(self) -> bytes:
        """CPU seconds of the process, calls answered or under way, and the most at once."""
        found = {"cpu_seconds": time.process_time(), "calls": self.calls, "most_in_flight": self.most_in_flight}
        return _response(json.dumps(found).encode())


class Connection(asyncio.Protocol):
    """One client's connection; requests on it are answered one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Forgets it."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answers each request that is complete."""
        self._received = self._received + data if self._received else data
        while True:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return
            found = _LENGTH.search(self._received, 0, head)
            end = head + 4 + (int(found.group(1)) if found else 0)
            if len(self._received) < end:
                return
            request, self._received = self._received[:end], self._received[end:]
            self._take(request, head)

    def _take(self, request: bytes, head: int) -> None:
        if request.startswith(b"GET /v1/models"):
            self._send(_response(b'{"object": "list", "data": [{"id": "loopback", "object": "model"}]}'))
            return
        if request.startswith(b"GET"):
            self._send(self._server.stats())
            return
        server = self._server
        server.calls += 1
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        found = _ROW.search(request, head)
        row = int(found.group(1)) if found else server.calls
        self._loop.call_later(server.waits[row % len(server.waits)], self._answer, row)

    def _answer(self, row: int) -> None:
        self._server.in_flight -= 1
        self._send(_completion(row))

    def _send(self, response: bytes) -> None:
        if self._transport is not None:
            self._transport.write(response)


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _completion(row: int) -> bytes:
    content = json.dumps(json.dumps(answer_of(row)))
    message = f'{{"role": "assistant", "content": {content}, "refusal": null}}'
    return _response(
        f'{{"id": "chatcmpl-{row}", "object": "chat.completion", "created": 1700000000, "model": "loopback", '
        f'"choices": [{{"index": 0, "message": {message}, "finish_reason": "stop"}}], '
        f'"usage": {{"prompt_tokens": 300, "completion_tokens": 25, "total_tokens": 325}}}}'.encode()
    )


async def _serve(port: int, waits: list[float]) -> None:
    server = Server(waits)
    listening = await asyncio.get_running_loop().create_server(
        lambda: Connection(server), "127.0.0.1", port, backlog=4096
    )
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", flush=True)
    async with listening:
        await listening.serve_forever()


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before an answer, or their median")
    parser.add_argument("--sigma", type=float, default=0.0, help="spread of a lognormal latency")
    parser.add_argument("--rows", type=int, default=5000, help="rows for which a latency is drawn")
    given = parser.parse_args()
    try:
        asyncio.run(_serve(given.port, latencies(given.rows, given.latency, given.sigma)))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
