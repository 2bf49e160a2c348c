"""Answers that break the grammar of HTTP, and large ones, on real loopback connections."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from enrich_assets.core.errors import FinalError
from enrich_assets.web.http import HttpClient
from enrich_assets.web.lenient import repaired
from enrich_assets.web.settings import HttpSettings

URL = "http://site.example/a"


def read(raw, *, times=1):
    """What each GET of a page gives, its body and headers, whose server sends `raw`; and how often it was asked."""

    async def run():
        asked = []

        async def send(reader, writer):
            asked.append(asyncio.current_task())
            with contextlib.suppress(ConnectionError):  # the client may leave in the middle
                await reader.readuntil(b"\r\n\r\n")
                for piece in raw if isinstance(raw, list) else [raw]:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        server = await asyncio.start_server(send, "127.0.0.1", 0)
        settings = HttpSettings(robots=False, seconds_between_requests=0)
        routes = {"site.example": ("127.0.0.1", server.sockets[0].getsockname()[1])}
        async with server, HttpClient(settings, routes=routes) as client:
            try:
                found = [await client.get(URL) for _ in range(times)]
            finally:
                await asyncio.gather(*asked)
        return [(one.body, one.headers) for one in found], len(asked)

    return asyncio.run(run())


@pytest.mark.parametrize("size", [12_000, 64_000, 120_000])
def test_a_header_of_many_kilobytes_is_read(size):
    policy = b"x" * size
    head = b"HTTP/1.1 200 OK\r\nContent-Security-Policy: " + policy + b"\r\nContent-Length: 2\r\n\r\n"
    ((body, headers),), asked = read(head + b"hi")
    assert (body, len(headers["content-security-policy"]), asked) == (b"hi", size, 1)


@pytest.mark.parametrize("fields", [b"A: " + b"x" * 200_000, b"\r\n".join(b"A: %d" % n for n in range(300))])
def test_a_limit_of_this_program_is_told_as_its_own(fields):
    with pytest.raises(FinalError) as caught:
        read(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nContent-Length: 2\r\n\r\nhi")
    assert caught.value.kind == "headers_too_large"
    assert "larger than this program reads (131,072 bytes a field, 256 fields)" in caught.value.what


@pytest.mark.parametrize(
    "fields",
    [
        b"Content Type: text/html\r\nContent-Length: 2",
        b"Content-Type : text/html\r\nContent-Length: 2",
        b"Content-Length: 2\r\nContent-Length: 2",
        b"Content-Length: 2, 2",
        b"Content-Length: +2",
        b"Content-Length:",
        b"a line that is no field\r\nContent-Length: 2",
        b": no name\r\nContent-Length: 2",
        b"X-Gr\xf6\xdfe: 1\r\nContent-Length: 2",
        b"A: two ends\r\r\nContent-Length: 2",
    ],
)
def test_broken_fields_are_read_as_browsers_read_them(fields):
    found, asked = read(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nETag: 1\r\n\r\nhi", times=3)
    assert [body for body, _ in found] == [b"hi"] * 3
    assert all(headers["etag"] == "1" for _, headers in found)
    assert asked == 4  # the host is known from the second request on


def test_a_name_with_space_after_it_is_that_name():
    ((_, headers),), _ = read(b"HTTP/1.1 200 OK\r\nContent-Type : text/html\r\nContent-Length: 2\r\n\r\nhi")
    assert headers["content-type"] == "text/html"


def test_bytes_after_the_end_of_a_body_are_left_out():
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi and more"
    assert read(raw)[0][0][0] == b"hi"


def test_a_length_beside_a_transfer_coding_counts_for_nothing():
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    assert read(raw)[0][0][0] == b"hi"


def test_a_broken_head_may_come_in_pieces_after_an_interim_answer():
    raw = [b"HTTP/1.1 103 Early Hints\r\nLink : </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-", b"Length : 2\r\n", b"\r\nhi"]
    assert read(raw)[0][0][0] == b"hi"


def test_lengths_that_contradict_each_other_are_refused():
    with pytest.raises(FinalError) as caught:
        read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!")
    assert caught.value.kind == "bad_http"


def test_what_is_whole_stays_as_it_is():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nA: b: c\r\nContent-Length: 5"
    assert repaired(head) == head
    folded = repaired(b"HTTP/1.1 200 OK\nA: b\n\tc\nD: e")
    assert folded == b"HTTP/1.1 200 OK\r\nA: b c\r\nD: e"
