"""The http client on real loopback connections."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from datetime import UTC, datetime

import pytest
from aiohttp import web
from pydantic import ValidationError

from enrich_assets.core.errors import AddressRefused, CallError, FinalError, TransientError
from enrich_assets.web.http import HttpClient
from enrich_assets.web.retry import retry_after
from enrich_assets.web.settings import HttpSettings
from enrich_assets_tests.web.web_server import serving

NOW = datetime(2026, 11, 2, 9, 0, 0, tzinfo=UTC)


def fetch(handler, path="/", *, validators=None, **settings):
    """What a GET of `path` gives, or the error, against `handler` behind the hosts site.example and other.example."""

    async def run():
        async with (
            serving(handler) as port,
            HttpClient(
                HttpSettings(**{"robots": False, "seconds_between_requests": 0, **settings}),
                routes=dict.fromkeys(("site.example", "other.example"), ("127.0.0.1", port)),
                clock=lambda: NOW,
            ) as client,
        ):
            url = path.replace("PORT", str(port)) if path.startswith("http") else f"http://site.example{path}"
            return await client.get(url, validators=validators)

    return asyncio.run(run())


def answering(status=200, body=b"", headers=None):
    async def handler(_request):
        return web.Response(status=status, body=body, headers=headers)

    return handler


def test_a_document_comes_with_its_headers_and_without_secrets():
    headers = {"Content-Type": "text/plain", "Set-Cookie": "a=b", "ETag": '"1"'}
    begun = time.monotonic()
    got = fetch(answering(body=b"hello", headers=headers), "/page#top")
    passed = time.monotonic() - begun
    assert (got.body, got.http_status, got.final_url) == (b"hello", 200, "http://site.example/page")
    assert got.headers["etag"] == '"1"' and got.headers["content-type"].startswith("text/plain")
    assert "set-cookie" not in got.headers
    assert 0 < got.seconds < passed and got.redirects == ()


def test_a_routed_server_sees_the_pretty_host_and_no_cookies_of_before():
    seen = []

    async def handler(request):
        seen.append(dict(request.headers))
        if request.path == "/":
            return web.Response(status=302, headers={"Location": "/next", "Set-Cookie": "session=1; Path=/"})
        return web.Response(body=b"ok")

    got = fetch(handler)
    assert got.redirects == ("http://site.example/",) and got.final_url == "http://site.example/next"
    assert [headers["Host"] for headers in seen] == ["site.example", "site.example"]
    assert "Cookie" not in seen[0] and all("Authorization" not in headers for headers in seen)
    assert seen[0]["User-Agent"] == HttpSettings().user_agent


def test_the_proxy_of_the_environment_is_not_used(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(answering(body=b"direct")).body == b"direct"


def test_a_loopback_server_is_refused_unless_it_is_allowed():
    async def run():
        async with serving(answering(body=b"inside")) as port:
            async with HttpClient(HttpSettings()) as client:
                for host in ("127.0.0.1", "localhost", "localhost."):
                    with pytest.raises(AddressRefused, match="loopback") as caught:
                        await client.get(f"http://{host}:{port}/secret")
                    assert f"http://{host}:{port}/secret" in str(caught.value)
                    assert f":{port}" in caught.value.fix and "allow_hosts" in caught.value.fix
            async with HttpClient(HttpSettings(allow_hosts=(f"localhost:{port}",))) as client:
                assert (await client.get(f"http://localhost:{port}/")).body == b"inside"
                with pytest.raises(AddressRefused):
                    await client.get(f"http://127.0.0.1:{port}/")

    asyncio.run(run())


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1:1/", "http://localhost:1/", "http://169.254.169.254/latest/meta-data/", "http://0x7f.1:1/",
     "http://[::ffff:127.0.0.1]:1/", "//2130706433:1/", "file:///etc/passwd", "http://user:word@site.example/"],
)  # fmt: skip
def test_a_redirect_to_a_refused_address_is_refused(target):
    with pytest.raises(AddressRefused):
        fetch(answering(302, headers={"Location": target}))


def test_a_redirect_to_nowhere_is_final():
    with pytest.raises(FinalError) as caught:
        fetch(answering(302, headers={"Location": "http://[broken/"}))
    assert caught.value.kind == "bad_url"


def test_an_unchanged_document_comes_without_a_body():
    seen = []

    async def handler(request):
        seen.append(dict(request.headers))
        if request.headers.get("If-None-Match") == '"7"':
            return web.Response(status=304, headers={"ETag": '"7"'})
        return web.Response(body=b"new", headers={"ETag": '"8"'})

    got = fetch(handler, validators={"If-None-Match": '"7"'})
    assert (got.http_status, got.body, got.headers["etag"]) == (304, b"", '"7"')
    assert fetch(handler, validators={"If-None-Match": '"6"'}).body == b"new"
    assert fetch(handler).body == b"new" and "If-None-Match" not in seen[-1]


def test_nothing_is_unchanged_that_nobody_asked_about():
    with pytest.raises(FinalError) as caught:
        fetch(answering(304))
    assert caught.value.kind == "http_304"


@pytest.mark.parametrize(("target", "goes_along"), [("/new", True), ("http://other.example/new", False)])
def test_validators_go_along_only_to_the_same_host(target, goes_along):
    seen = []

    async def handler(request):
        seen.append(request.headers.get("If-None-Match"))
        if request.path == "/":
            return web.Response(status=301, headers={"Location": target})
        return web.Response(body=b"ok")

    assert fetch(handler, validators={"If-None-Match": '"7"'}).body == b"ok"
    assert seen == ['"7"', '"7"' if goes_along else None]


def test_redirects_are_followed_up_to_the_limit():
    async def handler(request):
        step = int(request.query.get("n", "0"))
        if step == 3:
            return web.Response(body=b"there")
        return web.Response(status=307, headers={"Location": f"?n={step + 1}"})

    got = fetch(handler, max_redirects=3)
    assert got.body == b"there" and len(got.redirects) == 3
    with pytest.raises(FinalError) as caught:
        fetch(handler, max_redirects=2)
    assert caught.value.kind == "too_many_redirects"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418])
def test_a_client_error_is_final(status):
    with pytest.raises(FinalError) as caught:
        fetch(answering(status))
    assert caught.value.kind == f"http_{status}"
    assert "http://site.example/" in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_worth_another_try(status):
    with pytest.raises(TransientError) as caught:
        fetch(answering(status))
    assert caught.value.kind == f"http_{status}"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("Mon, 02 Nov 2026 09:02:00 GMT", 120.0), ("Mon, 02 Nov 2026 08:00:00 GMT", 0.0), ("soon", None),
     ("1.5", 1.5), ("9" * 400, 86_400.0), ("99999999999999", 86_400.0),
     ("Mon, 02 Nov 2099 09:00:00 GMT", 86_400.0), ("-5", None), ("", None)],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_as_a_date(value, seconds):
    with pytest.raises(TransientError) as caught:
        fetch(answering(429, headers={"Retry-After": value}))
    assert caught.value.retry_after == seconds


def test_retry_after_in_milliseconds_counts_first():
    now = datetime(2026, 11, 2, tzinfo=UTC)
    assert retry_after({"retry-after-ms": "1500", "Retry-After": "2"}, now) == 1.5
    assert retry_after({"retry-after-ms": "soon", "Retry-After": "2"}, now) == 2
    assert retry_after({"Retry-After": "Mon, 02 Nov 2026 00:00:30 -0000"}, now) == 30
    assert retry_after({}, now) is None


@pytest.mark.parametrize("agent", ["a\r\nx-key: 1", "a\nb", "a\x00b", "a\tb", "agent\x7f", "café"])
def test_a_user_agent_that_cannot_be_sent_is_refused(agent):
    with pytest.raises(ValidationError, match="user_agent"):
        HttpSettings(user_agent=agent)


@pytest.mark.parametrize("limit", ["deadline_seconds", "max_bytes", "max_redirects", "concurrency"])
def test_limits_have_limits(limit):
    with pytest.raises(ValidationError, match=limit):
        HttpSettings(**{limit: 10**30})


def test_a_slow_server_meets_the_deadline_over_all_redirects():
    asked = []

    async def handler(request):
        asked.append(request.path_qs)
        await asyncio.sleep(0.25)
        step = int(request.query.get("n", "0"))
        return web.Response(status=302, headers={"Location": f"?n={step + 1}"})

    with pytest.raises(TransientError) as caught:
        fetch(handler, deadline_seconds=0.6)
    assert caught.value.kind == "timeout" and "0.6 s" in str(caught.value)
    assert len(asked) <= 3, "each hop had a deadline of its own"


def test_a_dripping_body_meets_the_deadline_too():
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.05)

    with pytest.raises(TransientError) as caught:
        fetch(handler, deadline_seconds=0.4)
    assert caught.value.kind == "timeout"


def test_an_endless_body_is_cut_at_the_cap():
    sent = 0

    async def handler(request):
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            sent += 65536

    with pytest.raises(FinalError) as caught:
        fetch(handler, max_bytes=1_000_000)
    assert caught.value.kind == "too_large" and "1,000,000" in str(caught.value)
    assert sent < 20_000_000


def test_a_body_of_exactly_the_cap_passes():
    assert len(fetch(answering(body=b"x" * 1000), max_bytes=1000).body) == 1000
    with pytest.raises(FinalError):
        fetch(answering(body=b"x" * 1001), max_bytes=1000)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gzip_bomb_is_never_unpacked(layers):
    import resource

    bomb = zlib.compress(b"\0" * 80_000_000, 6, wbits=31)
    coding = "gzip"
    if layers == 2:
        bomb, coding = gzip.compress(bomb), "gzip, gzip"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FinalError) as caught:
        fetch(answering(body=bomb, headers={"Content-Encoding": coding}))
    assert caught.value.kind == ("too_large" if layers == 1 else "bad_encoding")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def _raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", _raw_deflate), ("identity", bytes),
     ("none", bytes), ("utf-8", bytes), ("gzip, identity", gzip.compress), ("UTF-8, GZip", gzip.compress), (",", bytes),
     ("x-gzip", lambda data: gzip.compress(data[:500]) + gzip.compress(data[500:]) + b"\0" * 8)],
)  # fmt: skip
def test_the_usual_codings_are_read(coding, pack):
    text = b"The same text, over and over. " * 200
    assert fetch(answering(body=pack(text), headers={"Content-Encoding": coding})).body == text


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", b"abc"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"a"))),
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(b"x" * 999)[:20]),
    ],
    # gzip writes the time into its header, and two test processes must give one case one name.
    ids=["unknown", "twice", "not packed", "cut"],
)
def test_a_coding_that_cannot_be_read_is_final(coding, body):
    with pytest.raises(FinalError) as caught:
        fetch(answering(body=body, headers={"Content-Encoding": coding}))
    assert caught.value.kind == "bad_encoding"


def test_a_closed_port_and_a_cut_body_are_worth_another_try():
    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"only this")
        request.transport.close()
        return response

    with pytest.raises(TransientError) as caught:
        fetch(cut)
    assert caught.value.kind == "connection"

    async def run():
        async with HttpClient(HttpSettings(), routes={"down.example": ("127.0.0.1", 1)}) as client:
            await client.get("http://down.example/")

    with pytest.raises(TransientError) as caught:
        asyncio.run(run())
    assert caught.value.kind == "connection" and "http://down.example/" in str(caught.value)


async def _sent_raw(raw):
    """The error of a document whose server sends these bytes and closes, and how often it was asked."""
    asked = 0

    async def send(reader, writer):
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(send, "127.0.0.1", 0)
    routes = {"site.example": ("127.0.0.1", server.sockets[0].getsockname()[1])}
    async with server, HttpClient(HttpSettings(robots=False), routes=routes) as client:
        with pytest.raises(CallError) as caught:
            await client.get("http://site.example/a")
    return caught.value, asked


@pytest.mark.parametrize(
    "raw",
    [b"hello SECRET\r\n\r\n", b"HTTP/1.1 abc SECRET\r\n\r\n", b"HTTP/1.1 200SECRET OK\r\nA: c\r\n\r\nhi",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\nhi\r\n0\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_http_is_final_and_said_in_one_sentence_without_the_server_s_bytes(raw):
    error, asked = asyncio.run(_sent_raw(raw))
    assert isinstance(error, FinalError) and (error.kind, error.where) == ("bad_http", "http://site.example/a")
    assert error.what == "what the server sends is no HTTP that can be read." and asked == 1


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "the server closed the connection before it had answered."),
        (b"HTTP/1.1 200 OK\r\nA: b", "the server closed the connection before it had answered."),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na", "the connection ended before the whole document had come."),
    ],
)
def test_a_connection_that_ends_too_early_is_said_in_one_sentence(raw, what):
    error, _ = asyncio.run(_sent_raw(raw))
    assert isinstance(error, TransientError) and (error.kind, error.what) == ("connection", what)


def test_no_more_requests_are_in_flight_than_the_settings_say():
    most = now = 0

    async def handler(_request):
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return web.Response(body=b"ok")

    async def run():
        async with (
            serving(handler) as port,
            HttpClient(
                HttpSettings(concurrency=3, concurrency_per_host=9, seconds_between_requests=0),
                routes={"site.example": ("127.0.0.1", port)},
            ) as client,
        ):
            await asyncio.gather(*(client.get(f"http://site.example/{i}") for i in range(12)))

    asyncio.run(run())
    assert most == 3
