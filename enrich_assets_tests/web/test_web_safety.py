"""What the outside can try: addresses that lead inside, documents without end, servers that never finish."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import subprocess
import sys
import time
import zlib
from contextlib import asynccontextmanager, suppress
from functools import cache

import pytest
from aiohttp import web

from enrich_assets.core.errors import CallError, FinalError, TransientError
from enrich_assets.web.http import HttpClient
from enrich_assets.web.settings import HttpSettings
from enrich_assets_tests.shared_data import shared_data
from enrich_assets_tests.web.web_server import serving

INSIDE = [
    "localhost", "localhost.", "LOCALHOST", "127.0.0.1", "127.0.0.1.", "127.1", "0177.0.0.1", "0x7f.1", "2130706433",
    "0x7f000001", "017700000001", "0", "0.0.0.0", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:1::1]",
    "[2001:0:7f00:1::1]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[fe80::1%lo]", "[fe80::1%25lo]", "[::1%25lo]",
    "[fc00::1]", "[fec0::1]",
]  # fmt: skip
"""Hosts that are this machine or its network, however they are written."""
TRICKS = [
    "http://public.example@127.0.0.1:{port}/", "http://user:word@127.0.0.1:{port}/", "http://@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@public.example/", "http://public.example\\@127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}/", "http:/\\127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "http:///127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@public.example/", "http://public.example#@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}?@public.example/", "http://127.0.0.1%00.public.example:{port}/",
    "http://127.0.0.1%2f.public.example:{port}/", "http://[::1]public.example:{port}/", "http://127.0.0.1 :{port}/",
    "http://\t127.0.0.1:{port}/", "http://127.0.0.1\t:{port}/", " http://127.0.0.1:{port}/ ", "h\nttp://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/", "gopher://127.0.0.1:{port}/_GET", "file:///etc/passwd",
    "ws://127.0.0.1:{port}/", "http+unix://127.0.0.1:{port}/", "http://%31%32%37.0.0.1:{port}/",
]  # fmt: skip
CAPS = {"max_bytes": 2_000_000, "deadline_seconds": 2.0}


class Canary:
    """Servers on the loopback addresses of this machine that count who comes."""

    def __init__(self):
        self.connections = 0
        self.port = 0

    @asynccontextmanager
    async def watching(self):
        async def met(_reader, writer):
            self.connections += 1
            writer.close()

        servers = [await asyncio.start_server(met, "127.0.0.1", 0)]
        self.port = servers[0].sockets[0].getsockname()[1]
        with suppress(OSError):  # a machine without IPv6
            servers.append(await asyncio.start_server(met, "::1", self.port))
        try:
            yield self
        finally:
            for server in servers:
                server.close()
                await server.wait_closed()


def spellings():
    file = shared_data("urls", "urlcanon", "testdata", "funky_ipv4.json")
    return [spelling for spelling, address in json.loads(file.read_text("utf-8")).items() if address is not None]


async def met_by(canary, client, urls):
    """Asks for each URL; gives those that were answered."""
    answered = []
    for url in urls:
        try:
            await client.get(url)
        except CallError:
            continue
        answered.append(url)
    return answered


@pytest.fixture
def no_names(monkeypatch):
    """No name exists but localhost; gives those that were looked up."""
    asked = []
    known = socket.getaddrinfo

    def look_up(host, *args, **kwargs):
        asked.append(host)
        if host in ("localhost", b"localhost"):
            return known("127.0.0.1", *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def inside(port):
    """URLs that would reach the port on this machine if they were let out."""
    hosts = [*INSIDE, *(spelling for spelling in spellings())]
    return [f"http://{host}:{port}/" for host in hosts] + [trick.format(port=port) for trick in TRICKS]


def test_nothing_inside_is_reached_by_a_first_url(no_names):
    async def run():
        canary = Canary()
        async with canary.watching(), HttpClient(HttpSettings()) as client:
            # Addresses of others among the spellings are left out: what is asked of them is another matter.
            urls = [url for url in inside(canary.port) if not _is_public(url)]
            assert len(urls) > 75
            assert await met_by(canary, client, urls) == []
        return canary.connections, len(urls)

    connections, tried = asyncio.run(run())
    print(f"{tried} URLs, {connections} connections to the canary")
    assert connections == 0


@pytest.mark.parametrize("kind", ["page", "robots", "sitemap", "feed"])
def test_nothing_inside_is_reached_by_what_a_site_says(kind, no_names):
    """As the target of a page's redirect, of its robots.txt's, as a sitemap that robots.txt names, as a feed's link."""

    async def run():
        canary = Canary()
        async with canary.watching():
            urls = [url for url in inside(canary.port) if not _is_public(url)]

            async def site(request):
                number = int(request.host.removeprefix("site").partition(".")[0])
                target = "".join(urls[number].splitlines()).encode("utf-8", "replace").decode("latin-1")
                is_robots = request.path == "/robots.txt"
                if (kind == "robots" and is_robots) or (kind == "page" and not is_robots):
                    return _redirect(target)
                if is_robots:
                    return web.Response(body=f"User-agent: *\nSitemap: {urls[number]}\n".encode("utf-8", "replace"))
                return web.Response(body=f"<a href='{urls[number]}'>".encode("utf-8", "replace"))

            hosts = {f"site{number}.example": number for number in range(len(urls))}
            async with serving(site) as port:
                routes = dict.fromkeys(hosts, ("127.0.0.1", port))
                async with HttpClient(HttpSettings(seconds_between_requests=0), routes=routes) as client:
                    reached = []
                    for host, number in hosts.items():
                        try:
                            page = await client.get(f"http://{host}/page")
                        except CallError:
                            continue
                        reached.append(page.final_url)
                        if kind in ("sitemap", "feed"):
                            assert await met_by(canary, client, [urls[number]]) == []
        return canary.connections, reached, len(urls)

    connections, reached, tried = asyncio.run(run())
    print(f"{kind}: {tried} URLs, {connections} connections to the canary")
    assert connections == 0
    # What is no URL of its own is a path of the site that names it.
    assert all(url.startswith("http://site") for url in reached)


def _redirect(target):
    response = web.Response(status=302)
    response.headers["Location"] = "".join(c for c in target if c.isprintable())
    return response


def _is_public(url):
    return any(f"//{host}" in url for host in ("8.8.", "1.1.1")) or ":0/" in url


def test_the_canary_counts():
    async def run():
        canary = Canary()
        async with canary.watching():
            settings = HttpSettings(allow_hosts=(f"127.0.0.1:{canary.port}",), robots=False)
            async with HttpClient(settings) as client:
                with pytest.raises(TransientError):
                    await client.get(f"http://127.0.0.1:{canary.port}/")
        return canary.connections

    assert asyncio.run(run()) > 0


def test_a_resolver_that_changes_its_answer_is_asked_once_and_its_first_answer_is_used(monkeypatch):
    answers = iter(["93.184.215.14", "127.0.0.1", "127.0.0.1"])
    asked, connected = [], []

    def look_up(host, port, *args, **kwargs):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    async def connect(_loop, sock, address):
        connected.append(address)
        raise ConnectionRefusedError("nobody is there")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)

    async def run():
        canary = Canary()
        async with canary.watching(), HttpClient(HttpSettings(robots=False)) as client:
            with pytest.raises(TransientError) as caught:
                await client.get(f"http://changing.example:{canary.port}/")
            assert caught.value.kind == "connection"
        return canary

    canary = asyncio.run(run())
    assert asked == ["changing.example"]
    assert {address[0] for address in connected} == {"93.184.215.14"} and canary.connections == 0


def test_no_url_that_the_standard_calls_a_failure_is_fetched(no_names):
    cases = [
        case["input"]
        for name in ("urltestdata.json", "ada_extra_urltestdata.json")
        for case in json.loads(shared_data("urls", "ada", "tests", "wpt", name).read_text("utf-8"))
        if isinstance(case, dict) and case.get("failure") and not case.get("base")
    ]

    async def run():
        sent = []
        async with HttpClient(HttpSettings(robots=False)) as client:
            for url in cases:
                with pytest.raises(FinalError) as caught:
                    await client.get(url)
                if caught.value.kind not in ("bad_url", "address_refused"):
                    sent.append((url, caught.value.kind))
        return sent

    assert len(cases) > 200
    assert asyncio.run(run()) == [] and no_names == []


@cache
def _bomb(coding):
    if coding == "gzip":
        return zlib.compress(b"\0" * 300_000_000, 1, wbits=31)
    if coding == "deflate":
        return zlib.compress(b"\0" * 300_000_000, 1)
    if coding == "zstd":  # one frame of many RLE blocks of 128 KiB (RFC 8878)
        block = ((128 * 1024) << 3 | 2).to_bytes(3, "little") + b"\0"
        return b"\x28\xb5\x2f\xfd\x00\x58" + block * 4000
    brotli = pytest.importorskip("brotli", reason="no brotli to pack with")
    return brotli.compress(b"\0" * 300_000_000, quality=1)


async def _dripping_headers(_reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000):
        writer.write(b"X-%d: a\r\n" % number)
        await asyncio.sleep(0.05)


async def _dripping_body(_reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while not writer.is_closing():
        writer.write(b".")
        await asyncio.sleep(0.05)


async def _endless_body(_reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"<p>" * 20_000)
        await writer.drain()


async def _endless_headers(_reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-Long: a\r\n" * 2000)
        await writer.drain()


async def _endless_header_line(_reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not writer.is_closing():
        writer.write(b"a" * 60_000)
        await writer.drain()


async def _empty_members(_reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
    while not writer.is_closing():
        writer.write(gzip.compress(b"") * 1000)
        await writer.drain()


async def _redirect_loop(_reader, writer):
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def _silent(_reader, _writer):
    await asyncio.sleep(60)


def _packed(coding):
    async def answer(_reader, writer):
        body = _bomb(coding)  # packed before, by `attacking`
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


ATTACKS = {
    "gzip": (_packed("gzip"), "too_large"),
    "deflate": (_packed("deflate"), "too_large"),
    "br": (_packed("br"), "bad_encoding"),
    "zstd": (_packed("zstd"), "bad_encoding"),
    "empty gzip members": (_empty_members, "bad_encoding"),
    "endless body": (_endless_body, "too_large"),
    "endless headers": (_endless_headers, "headers_too_large"),
    "endless header line": (_endless_header_line, "headers_too_large"),
    "dripping headers": (_dripping_headers, "timeout connection"),
    "dripping body": (_dripping_body, "timeout"),
    "redirect loop": (_redirect_loop, "too_many_redirects"),
    "silence": (_silent, "timeout"),
}


@asynccontextmanager
async def attacking(names):
    """Raw servers that attack, each a host of its own; gives the routes to them."""
    servers, tasks, routes = [], set(), {}

    def started(attack):
        async def met(reader, writer):
            tasks.add(asyncio.current_task())
            try:
                await reader.readuntil(b"\r\n\r\n")
                await attack(reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        return met

    for number, name in enumerate(names):
        if name in ("gzip", "deflate", "br", "zstd"):
            _bomb(name)
        server = await asyncio.start_server(started(ATTACKS[name][0]), "127.0.0.1", 0)
        servers.append(server)
        routes[f"attack{number}.example"] = server.sockets[0].getsockname()[:2]
    try:
        yield routes
    finally:
        for server in servers:
            server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("robots", [False, True], ids=["page", "robots"])
def test_each_attack_ends_within_its_cap(name, robots):
    async def run():
        async with (
            attacking([name]) as routes,
            HttpClient(HttpSettings(robots=robots, seconds_between_requests=0, **CAPS), routes=routes) as client,
        ):
            begun = time.monotonic()
            try:
                await client.get("http://attack0.example/")
            except CallError as error:
                return error.kind, time.monotonic() - begun
        raise AssertionError("it was read")

    kind, seconds = asyncio.run(run())
    if robots:  # its robots.txt attacks first: it is cut off, or cannot be had, or its redirects count as none
        assert kind in (*ATTACKS[name][1].split(), "robots", "too_large")
    else:
        assert kind in ATTACKS[name][1].split()
    assert seconds < 10 * CAPS["deadline_seconds"], "it has no end of its own"


_IN_A_PROCESS = """
import asyncio, json, sys
from enrich_assets_tests.web import test_web_safety as safety
from enrich_assets.core.errors import CallError
from enrich_assets.web.http import HttpClient
from enrich_assets.web.settings import HttpSettings

def kib(field):
    # Not getrusage: its peak begins with what the parent process held.
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

async def main(routes, settings):
    routes = {host: tuple(place) for host, place in routes.items()}
    # Imports and the client's own parts before the measure.
    async with HttpClient(HttpSettings(robots=False, seconds_between_requests=0, **settings), routes=routes) as client:
        before = kib("VmRSS")  # what it holds now: what imports took for a moment must not hide anything
        found = await asyncio.gather(*(client.get(f"http://{host}/") for host in routes), return_exceptions=True)
        after = kib("VmHWM")
    print(json.dumps({"kinds": [error.kind for error in found], "mb": (after - before) / 1024}))

asyncio.run(main(*json.loads(sys.argv[1])))
"""


def test_all_attacks_at_once_with_the_real_caps_take_little_memory():
    names = [name for name in ATTACKS if "dripping" not in name and name != "silence"]

    async def run():
        async with attacking(names) as routes:
            asked = json.dumps([routes, {"max_bytes": 10_000_000, "deadline_seconds": 30}])
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _IN_A_PROCESS, asked, stdout=subprocess.PIPE
            )
            output, _ = await process.communicate()
        return json.loads(output.splitlines()[-1])

    found = asyncio.run(run())
    print(f"{found['mb']:.0f} MB above the imports")
    assert all(kind in ATTACKS[name][1].split() for name, kind in zip(names, found["kinds"], strict=True))
    assert found["mb"] < 200


def _workload(attacks, pages):
    """Seconds that pages of well-behaved hosts take while other hosts attack."""

    async def run():
        async def page(request):
            await asyncio.sleep(0.05)
            return web.Response(body=b"<p>A page.</p>" * 2000)

        async with serving(page) as port, attacking(attacks) as routes:
            hosts = {f"host{number}.example": ("127.0.0.1", port) for number in range(8)}
            settings = HttpSettings(robots=False, seconds_between_requests=0, concurrency=48, **CAPS)
            async with HttpClient(settings, routes={**routes, **hosts}) as client:
                attacked = [asyncio.create_task(met_by(None, client, [f"http://{host}/"] * 3)) for host in routes]
                begun = time.monotonic()
                urls = [f"http://{host}/{number}" for number in range(pages) for host in hosts]
                await asyncio.gather(*(client.get(url) for url in urls))
                seconds = time.monotonic() - begun
                for task in attacked:
                    task.cancel()
                await asyncio.gather(*attacked, return_exceptions=True)
        return seconds

    return asyncio.run(run())


def test_slow_and_endless_hosts_leave_the_others_their_pace():
    # Those that take no work to attack with: server and client share a process here.
    attacks = ["dripping headers", "dripping body", "silence", "redirect loop"]
    alone, attacked = _workload([], 12), _workload(attacks, 12)
    print(f"{alone:.2f} s alone, {attacked:.2f} s attacked")
    assert attacked < 2 * alone + 1


@pytest.mark.long
def test_attacks_slow_other_hosts_by_five_percent_at_most():
    attacks = ["dripping headers", "dripping body", "silence", "redirect loop"]
    pairs = [(_workload([], 120), _workload(attacks, 120)) for _ in range(5)]
    slowed = sorted(attacked / alone for alone, attacked in pairs)[len(pairs) // 2] - 1
    print(f"other hosts are slowed by {slowed:.1%}")
    assert slowed <= 0.05
