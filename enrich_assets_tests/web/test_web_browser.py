"""A real Chromium on loopback servers: what pages become, what they may reach, and how they end."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager, closing
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from enrich_assets.core.errors import AddressRefused, FinalError, TransientError
from enrich_assets.web.browser import Browser
from enrich_assets.web.browser_proxy import BrowserProxy
from enrich_assets.web.chromium import NAMES, find_chromium
from enrich_assets.web.guard import AddressGuard
from enrich_assets.web.http import HttpClient
from enrich_assets.web.settings import HttpSettings
from enrich_assets_tests.web.web_server import serving

pytest.importorskip("crawl4ai", reason="the extra `browser` is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="no Chromium on this machine"),
]

ADDRESS = "http://site.example"


def page(body, **kept):
    return web.Response(text=f"<!doctype html><title>A page</title><body>{body}", content_type="text/html", **kept)


def rendering(handler, *paths, **settings):
    """What rendering each path in turn gives, or its error, by a handler behind the host site.example."""

    async def run():
        async with site(handler, **settings) as browser:
            return [await outcome(browser, path) for path in paths]

    outcomes = asyncio.run(run())
    return outcomes[0] if len(paths) == 1 else outcomes


@asynccontextmanager
async def browsing(routes=None, **settings):
    """A browser over an http client of its own."""
    chosen = HttpSettings(**{"robots": False, "seconds_between_requests": 0, "concurrency_per_host": 8, **settings})
    async with HttpClient(chosen, routes=routes) as client, Browser(client) as browser:
        yield browser


@asynccontextmanager
async def site(handler, **settings):
    """A browser that knows one server, as site.example."""
    async with serving(handler) as port, browsing({"site.example": ("127.0.0.1", port)}, **settings) as browser:
        yield browser


async def outcome(browser, path):
    try:
        return await browser.render(path if "://" in path else ADDRESS + path)
    except (AddressRefused, FinalError, TransientError) as error:
        return error


@asynccontextmanager
async def canary():
    """A port that nothing may reach, on IPv4 and IPv6, TCP and UDP; yields it and the list of who came."""
    came = []

    async def arrived(_reader, writer):
        came.append(writer.get_extra_info("peername"))
        writer.close()

    class Datagrams(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            came.append(addr)

    loop = asyncio.get_running_loop()
    first = await asyncio.start_server(arrived, "127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    second = await asyncio.start_server(arrived, "::1", port) if socket.has_ipv6 else None
    datagrams, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", port))
    try:
        yield port, came
    finally:
        datagrams.close()
        for server in filter(None, (first, second)):
            server.close()
            await server.wait_closed()


def processes_with(words):
    """IDs of the processes whose command line has these words."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and words in (folder / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def child_of(process):
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])


def wait_until_gone(words, seconds=20):
    """The processes with these words that are still there after so many seconds."""
    deadline = time.monotonic() + seconds
    while processes_with(words) and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes_with(words)


def test_a_text_that_javascript_makes_is_in_the_page():
    async def handler(request):
        if request.path == "/news.json":
            return web.json_response({"text": "Written by a script in the page"})
        return page(
            "<p id=news>Loading</p><script>fetch('/news.json').then(r => r.json()).then(j => {"
            "document.getElementById('news').textContent = j.text + ', ümlaut and 漢字';});</script>",
            headers={"ETag": '"1"', "Set-Cookie": "a=b", "X-Kept": "yes"},
        )

    got = rendering(handler, "/article#part")
    assert "Written by a script in the page, ümlaut and 漢字" in got.body.decode("utf-8")
    assert got.body.startswith(b"<!DOCTYPE html>")
    assert (got.url, got.final_url) == (f"{ADDRESS}/article#part", f"{ADDRESS}/article")
    assert (got.http_status, got.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert got.headers["x-kept"] == "yes" and not {"etag", "set-cookie"} & set(got.headers)
    assert got.seconds > 0 and got.redirects == ()


def test_redirects_and_navigations_by_script_lead_to_the_last_page():
    async def handler(request):
        if request.path == "/first":
            return web.Response(status=302, headers={"Location": "/second"})
        if request.path == "/second":
            return page("<script>location.replace('/third')</script>")
        return page("<p>the end</p><script>history.pushState({}, '', '/shown')</script>")

    got = rendering(handler, "/first")
    assert b"the end" in got.body and got.final_url == f"{ADDRESS}/third"
    assert got.redirects == (f"{ADDRESS}/first", f"{ADDRESS}/second")


def test_an_address_that_a_script_only_shows_is_not_that_of_the_page():
    async def handler(request):
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /secret")
        return page("<p>open</p><script>history.pushState({}, '', '/secret')</script>")

    got = rendering(handler, "/x/%2e%2e/%61", robots=True)
    assert b"open" in got.body and (got.final_url, got.redirects) == (f"{ADDRESS}/%61", ())


def test_a_page_that_leads_to_a_download_is_said_to_do_so():
    async def handler(request):
        if request.path == "/file":
            return web.Response(body=b"PK", headers={"Content-Disposition": "attachment; filename=a.zip"})
        return page("<p>wait</p><script>location.href = '/file'</script>")

    error = rendering(handler, "/", deadline_seconds=10)
    assert isinstance(error, FinalError) and error.kind == "not_html" and "download" in error.what


def test_a_page_that_broke_down_is_said_to_have_done_so_in_plain_words():
    keepers = []

    async def handler(request):
        if request.path == "/late":
            for process in psutil.Process(keepers[0]).children(recursive=True):
                if "--type=renderer" in process.cmdline():
                    process.kill()  # as the kernel does when there is no more memory
            await asyncio.sleep(1)
        return page("<p>big</p><script>fetch('/late')</script>" if request.path == "/big" else "<p>fine</p>")

    async def run():
        async with site(handler) as browser:
            assert b"fine" in (await outcome(browser, "/")).body
            keepers.append(browser._session._chromium._process.pid)
            return await outcome(browser, "/big"), await outcome(browser, "/")

    broken, later = asyncio.run(run())
    assert isinstance(broken, TransientError) and "broke down in the browser" in broken.what
    assert "ACS" not in str(broken) and b"fine" in later.body


def test_an_honest_reader_asks_and_no_cookie_stays():
    seen = []

    async def handler(request):
        seen.append(request.headers)
        return page(
            "<script>document.cookie = 'left=behind'; localStorage.x = 1</script>", headers={"Set-Cookie": "s=1"}
        )

    first, second = rendering(handler, "/one", "/two", user_agent="reader/1 (contact)")
    assert first.http_status == second.http_status == 200
    assert [headers["User-Agent"] for headers in seen] == ["reader/1 (contact)"] * 2
    assert not any("Cookie" in headers or "Proxy-Authorization" in headers for headers in seen)


SPELLINGS = (
    "127.0.0.1 localhost. [::1] 2130706433 127.1 0x7f000001 0x7f.1 0177.0.0.1 0 0.0.0.0 localhost 127.0.0.1. [::] "
    "[::ffff:127.0.0.1] [::ffff:7f00:1] [64:ff9b::7f00:1] [2002:7f00:1::] １２７.0.0.1 127。0。0。1 user:word@127.0.0.1"
)


def spellings(port):
    """Addresses of this machine, the most usual ones first."""
    return [f"http://{host}:{port}" for host in SPELLINGS.split()]


VECTORS = """
<script src="@/script.js"></script> <script type="module">import("@/module.js").catch(() => {})</script>
<img src="@/image.png"> <iframe src="@/frame"></iframe> <link rel="stylesheet" href="@/style.css">
<link rel="preload" as="fetch" href="@/preload"> <link rel="preconnect" href="@"> <link rel="prefetch" href="@/pre">
<link rel="dns-prefetch" href="@"> <object data="@/object"></object> <embed src="@/embed"> <video src="@/video"></video>
<audio src="@/audio"></audio> <input type="image" src="@/input"> <style>body { background: url("@/background") }</style>
<iframe name="inner"></iframe> <form id="form%N" target="inner" action="@/form" method="post"></form>
<script type="module">
document.getElementById("form%N").submit();
fetch("@/fetch", {mode: "no-cors"}).catch(() => {});
fetch("@/post", {mode: "no-cors", method: "POST", body: "x"}).catch(() => {});
try { const x = new XMLHttpRequest(); x.open("GET", "@/xhr"); x.send(); } catch {}
try { new WebSocket("@/socket".replace("http", "ws")); } catch {}
try { new EventSource("@/events"); } catch {}
try { navigator.sendBeacon("@/beacon", "x"); } catch {}
const inside = "fetch('@/worker').catch(() => {}); new WebSocket('@/ws'.replace('http', 'ws'))";
try { new Worker(URL.createObjectURL(new Blob([inside]))); } catch {}
try { open("@/popup"); } catch {}
try { new Image().src = "@/new-image"; } catch {}
try { new WebTransport("@/transport".replace("http", "https")); } catch {}
</script>
"""


def test_nothing_on_a_page_reaches_an_address_that_the_guard_refuses():
    async def run():
        async with canary() as (port, came):
            parts = [VECTORS.replace("@", place).replace("%N", str(i)) for i, place in enumerate(spellings(port)[:4])]
            few = "<script src=@/script.js></script><iframe src=@/frame></iframe><script>fetch('@/fetch')</script>"
            parts.append("".join(few.replace("@", place) for place in spellings(port)))
            parts.append(f"""<script>
                const peer = new RTCPeerConnection({{iceServers: [{{urls: "stun:127.0.0.1:{port}"}},
                    {{urls: "turn:127.0.0.1:{port}?transport=tcp", username: "a", credential: "b"}}]}});
                peer.createDataChannel("x"); peer.createOffer().then(offer => peer.setLocalDescription(offer));
                if (navigator.serviceWorker) navigator.serviceWorker.register("/worker.js");
                </script>""")

            async def handler(request):
                number = request.path.removeprefix("/part")
                return page(parts[int(number)] + "<p>the page itself</p>" if number.isdigit() else "")

            async with site(handler) as browser:
                paths = [f"/part{number}" for number in range(len(parts))]
                got = await asyncio.gather(*(outcome(browser, path) for path in paths))
                # The same server, allowed: the vectors are real ones.
                refused = len(came)
                routes = browser._http.guard.routes
                async with browsing(routes, allow_hosts=(f"127.0.0.1:{port}",)) as careless:
                    await outcome(careless, "/part0")
            return got, refused, len(came)

    got, refused, allowed = asyncio.run(run())
    assert [b"the page itself" in one.body for one in got] == [True] * len(got)
    assert refused == 0
    assert allowed >= 8


LEADS = {
    "redirect": lambda url: web.Response(status=302, headers={"Location": url}),
    "refresh": lambda url: page(f'<meta http-equiv="refresh" content="0; url={url}">'),
    "script": lambda url: page(f"<script>location.href = '{url}'</script>"),
    "form": lambda url: page(f"<form id=f action='{url}' method=post></form><script>f.submit()</script>"),
    "link": lambda url: page(f"<a id=a href='{url}'></a><script>a.click()</script>"),
}


@pytest.mark.parametrize("every", [pytest.param(6, id="short"), pytest.param(1, id="long", marks=pytest.mark.long)])
def test_a_page_that_leads_to_a_refused_address_is_refused(every):
    async def run():
        async with canary() as (port, came):
            targets = [*spellings(port)[::every], "http://169.254.169.254/latest/meta-data/"]
            ways = [("redirect", number) for number in range(len(targets))]
            each = 3 if every == 1 else 1
            ways += [(name, number) for name in LEADS if name != "redirect" for number in range(each)]

            async def handler(request):
                _, name, number = request.path.split("/")
                return LEADS[name](targets[int(number)])

            async with site(handler) as browser:
                got = await asyncio.gather(*(outcome(browser, f"/{name}/{number}") for name, number in ways))
            return [(name, targets[number], error) for (name, number), error in zip(ways, got, strict=True)], came

    got, came = asyncio.run(run())
    assert came == []
    assert [(name, url, error) for name, url, error in got if not isinstance(error, AddressRefused)] == []
    assert all(error.where for _, _, error in got)


def test_a_refused_first_url_starts_no_browser():
    async def run():
        async with canary() as (port, came):
            urls = [url for url in spellings(port) if "localhost" not in url]
            urls += ["file:///etc/passwd", "chrome://version", "data://text/html,x", "ftp://site.example/"]
            async with browsing() as browser:
                got = [await outcome(browser, url) for url in urls]
                return got, came, browser._session

    got, came, session = asyncio.run(run())
    assert came == [] and session is None
    assert all(isinstance(error, FinalError) for error in got)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "chrome://version", "data:text/html,<p>inside", "about:blank"]
)
def test_a_page_does_not_become_something_that_is_no_web_page(target):
    async def handler(request):
        if request.path == "/redirect":
            return web.Response(status=302, headers={"Location": target})
        return page(f"<p>still here</p><script>location.href = '{target}'</script>")

    by_script, by_redirect = rendering(handler, "/script", "/redirect")
    assert isinstance(by_redirect, FinalError)
    assert isinstance(by_script, AddressRefused) or b"still here" in by_script.body


def test_a_name_is_asked_for_once_a_page_and_a_changed_answer_reaches_nothing(monkeypatch):
    async def run():
        loop = asyncio.get_running_loop()
        asked = []
        real = loop.getaddrinfo
        async with canary() as (port, came):

            async def handler(_):
                return page(f"<script>for (let i = 0; i < 9; i++) fetch('http://rebind.example:{port}/' + i)</script>")

            async def getaddrinfo(host, number, **kept):
                if host != "rebind.example":
                    return await real(host, number, **kept)
                asked.append(host)
                address = "127.0.0.1" if len(asked) == 1 else "93.184.216.34"
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, number))]

            monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
            async with site(handler) as browser:
                got = await outcome(browser, "/")
            return got, asked, came

    got, asked, came = asyncio.run(run())
    assert got.http_status == 200 and came == []
    assert len(asked) == 1


def endless(request):
    kinds = {
        "/alerts": "<script>while (true) alert('again')</script>",
        "/spin": "<p>x</p><script>while (true) {}</script>",
        "/late-spin": "<p>x</p><script>setTimeout(() => { while (true) {} }, 50)</script>",
        "/popups": "<script>setInterval(() => open('/popup'), 5)</script>",
        "/reload": "<script>location.href = '/reload?' + Math.random()</script>",
        "/grow": "<script>setInterval(() => document.body.append('x'.repeat(500000)), 1)</script>",
        "/asks": "<script>setInterval(() => fetch('/popup?' + Math.random()), 1)</script>",
        "/unload": "<script>onbeforeunload = () => 'stay'; onunload = () => { while (true) {} }</script>",
    }
    return kinds.get(request.path)


async def without_end(request):
    text = endless(request)
    if text is not None:
        return page(text)
    if request.path in ("/body", "/drip"):
        answer = web.StreamResponse(headers={"Content-Type": "text/html"})
        await answer.prepare(request)
        while True:
            await answer.write(b"<p>more" * (20_000 if request.path == "/body" else 1))
            await asyncio.sleep(0 if request.path == "/body" else 0.3)
    if request.path == "/silent":
        await asyncio.sleep(60)
    return page("<p>an ordinary page</p>")


def ends_of(paths):
    """How each page ended, after how many seconds, and whether the next page was read."""

    async def run():
        taken = {}
        async with site(without_end, deadline_seconds=4, max_bytes=3_000_000) as browser:
            hurried = browser._settings
            patient = browser._http.settings.model_copy(update={"deadline_seconds": 60})
            for path in ("/", *paths):
                browser._http.settings = hurried
                started = time.monotonic()
                got = await outcome(browser, path)
                seconds = time.monotonic() - started
                browser._http.settings = patient  # the machine may have other work; the page must come
                following = await outcome(browser, "/next")
                taken[path] = (getattr(got, "kind", "read"), seconds, b"ordinary" in getattr(following, "body", b""))
        del taken["/"]  # with the browser's start
        return taken

    taken = asyncio.run(run())
    assert max(seconds for _, seconds, _ in taken.values()) < 24, taken
    assert all(read for _, _, read in taken.values()), taken
    return {path: kind for path, (kind, _, _) in taken.items()}


def test_pages_without_end_end_in_time_and_the_next_one_is_read():
    assert ends_of(("/alerts", "/spin", "/body", "/reload")) == {
        "/alerts": "timeout", "/spin": "timeout", "/body": "too_large", "/reload": "too_many_redirects"
    }  # fmt: skip


@pytest.mark.long
def test_other_pages_without_end_end_in_time_too():
    ends = ends_of(("/late-spin", "/popups", "/grow", "/asks", "/unload", "/drip", "/silent"))
    assert {ends[path] for path in ("/late-spin", "/drip", "/silent")} == {"timeout"}, ends


def test_all_that_a_page_loads_counts_against_one_cap_also_unpacked():
    async def handler(request):
        if request.path.startswith("/part"):
            return web.Response(body=b"/" * 400_000, content_type="text/javascript")
        if request.path == "/bomb.js":
            packed = gzip.compress(b" " * 30_000_000)
            return web.Response(body=packed, content_type="text/javascript", headers={"Content-Encoding": "gzip"})
        if request.path == "/many":
            return page("".join(f"<script src=/part{i}></script>" for i in range(10)))
        if request.path == "/bomb":
            return page("<script src=/bomb.js></script>")
        if request.path == "/made":
            return page("<script>document.body.append('x'.repeat(5000000))</script>")
        return page("<script src=/part1></script><p>fine")

    many, bomb, made, fine = rendering(handler, "/many", "/bomb", "/made", "/fine", max_bytes=2_000_000)
    assert [error.kind for error in (many, bomb, made)] == ["too_large"] * 3
    assert all(ADDRESS in error.where and "2,000,000" in error.what for error in (many, bomb, made))
    assert b"fine" in fine.body


def test_what_a_server_answers_ends_like_a_plain_request():
    async def handler(request):
        name = request.path[1:]
        if name.isdigit():
            return web.Response(status=int(name), text="<p>no" if request.query else "", content_type="text/html",
                                headers={"Retry-After": "7"})  # fmt: skip
        if name == "loop":
            return web.Response(status=302, headers={"Location": "/loop"})
        if name == "pdf":
            return web.Response(body=b"%PDF-1.4", content_type="application/pdf")
        if name == "zip":
            return web.Response(body=b"PK", headers={"Content-Disposition": "attachment; filename=a.zip"})
        if name == "text":
            return web.Response(text="plain")
        request.transport.abort()
        return web.Response()

    paths = ("/404", "/410?x", "/403", "/500", "/503?x", "/429", "/loop", "/pdf", "/zip", "/text", "/reset")
    got = dict(zip(paths, rendering(handler, *paths), strict=True))
    assert {path: error.kind for path, error in got.items()} == {
        "/404": "http_404", "/410?x": "http_410", "/403": "http_403", "/500": "http_500", "/503?x": "http_503",
        "/429": "http_429", "/loop": "too_many_redirects", "/pdf": "not_html", "/zip": "not_html", "/text": "not_html",
        "/reset": "connection",
    }  # fmt: skip
    again = {"/500", "/503?x", "/429", "/reset"}
    assert {path for path, error in got.items() if isinstance(error, TransientError)} == again
    assert got["/429"].retry_after == 7 and all(path in error.where for path, error in got.items())


def test_a_server_that_is_not_there_and_a_name_that_is_none_are_told_apart():
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def handler(_):
        return page("")

    nobody, unknown, tunnel = rendering(
        handler, f"http://127.0.0.1:{port}/", "http://no-such-name.invalid/", f"https://127.0.0.1:{port}/x",
        allow_hosts=(f"127.0.0.1:{port}",),
    )  # fmt: skip
    assert (type(nobody), nobody.kind) == (TransientError, "connection") and str(port) in nobody.where
    assert unknown.kind == "dns" and "no-such-name.invalid" in unknown.where
    assert (type(tunnel), tunnel.kind) == (TransientError, "connection")


def test_an_untrusted_certificate_is_not_accepted(tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=localhost"], check=True, capture_output=True,
    )  # fmt: skip

    async def run():
        import ssl

        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
        asked = []

        async def answer(reader, writer):
            asked.append(await reader.read(1))
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        async with server, browsing(allow_hosts=(f"127.0.0.1:{port}",)) as browser:
            return await outcome(browser, f"https://127.0.0.1:{port}/")

    got = asyncio.run(run())
    assert (type(got), got.kind) == (FinalError, "certificate")


def test_pictures_fonts_and_media_are_not_fetched():
    asked = []

    async def handler(request):
        asked.append(request.path)
        style = "<style>@font-face {font-family: f; src: url(/c.woff)} p {font-family: f}</style>"
        return page(f"<img src=/a.png><video src=/b.mp4></video>{style}<p>text</p><script src=/d.js></script>")

    rendering(handler, "/")
    assert sorted(asked) == ["/", "/d.js"]


def test_robots_txt_is_asked_about_every_document_that_a_page_becomes():
    asked = []

    async def handler(request):
        asked.append(request.path)
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /private")
        if request.path == "/redirect":
            return web.Response(status=302, headers={"Location": "/private/2"})
        return page("<script>location.href = '/private/1'</script>" if request.path == "/" else "")

    by_script, by_redirect, itself = rendering(handler, "/", "/redirect", "/private/3", robots=True)
    assert [error.kind for error in (by_script, by_redirect, itself)] == ["robots"] * 3
    assert by_script.where == f"{ADDRESS}/private/1"
    assert asked == ["/robots.txt", "/", "/redirect", "/private/2"]


@pytest.mark.long
def test_pages_keep_the_spacing_of_their_host():
    async def handler(_):
        return page("<p>fine")

    async def run():
        async with site(handler, seconds_between_requests=4) as browser:
            await outcome(browser, "/")  # with the browser's start
            started = time.monotonic()
            await asyncio.gather(*(outcome(browser, f"/{number}") for number in range(3)))
            return time.monotonic() - started

    assert asyncio.run(run()) > 8


def test_pages_are_read_at_once_and_know_nothing_of_each_other():
    arrived = asyncio.Event()
    waiting = set()

    async def handler(request):
        waiting.add(request.path)
        if len(waiting) == 2:
            arrived.set()
        await asyncio.wait_for(arrived.wait(), 20)
        return page(
            f"<script>document.cookie = 'from={request.path[1:]}'; document.body.append(document.cookie)</script>"
        )

    async def run():
        async with site(handler) as browser:
            return await asyncio.gather(outcome(browser, "/one"), outcome(browser, "/two"))

    first, second = asyncio.run(run())
    assert b"from=one" in first.body and b"two" not in first.body
    assert b"from=two" in second.body and b"one" not in second.body


def test_a_browser_that_crashed_is_replaced():
    async def handler(_):
        return page("<p>fine")

    async def run():
        async with site(handler) as browser:
            await outcome(browser, "/")
            keeper = browser._session._chromium._process.pid
            os.kill(child_of(keeper), signal.SIGKILL)
            return [await outcome(browser, "/") for _ in range(3)]

    got = asyncio.run(run())
    assert b"fine" in got[-1].body
    assert all(isinstance(one, TransientError) for one in got if not hasattr(one, "body"))


def test_the_proxy_serves_no_one_else():
    async def run():
        async with canary() as (port, came), BrowserProxy(AddressGuard([f"127.0.0.1:{port}"])) as proxy:
            answers = []
            for line in (f"GET http://127.0.0.1:{port}/", f"CONNECT 127.0.0.1:{port}"):
                for header in ("", "Proxy-Authorization: Basic cGFnZTo=\r\n"):
                    host, number = proxy.url.removeprefix("http://").split(":")
                    reader, writer = await asyncio.open_connection(host, int(number))
                    writer.write(f"{line} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
                    answers.append((await reader.read()).split(b"\r\n")[0])
                    writer.close()
                    await writer.wait_closed()
            return answers, came

    answers, came = asyncio.run(run())
    assert answers == [b"HTTP/1.1 407 Proxy Authentication Required"] * 4 and came == []


def test_a_missing_browser_is_said_once_and_clearly(monkeypatch, tmp_path):
    with pytest.raises(FinalError, match="apt-get install chromium") as caught:
        find_chromium({"PATH": str(tmp_path)})
    assert caught.value.kind == "no_browser"
    with pytest.raises(FinalError, match="ENRICH_CHROMIUM names no program"):
        find_chromium({"PATH": os.environ["PATH"], "ENRICH_CHROMIUM": "/no/such/program"})
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho No usable sandbox >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("ENRICH_CHROMIUM", str(broken))

    async def run():
        async with browsing() as browser:
            return [await outcome(browser, "http://192.0.78.1/") for _ in range(2)]

    for error in asyncio.run(run()):
        assert (type(error), error.kind) == (FinalError, "no_browser")
        assert "No usable sandbox" in error.what and "--no-sandbox" in error.fix and str(broken) in error.where


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "crawl4ai", None)

    async def run():
        async with browsing() as browser:
            return await outcome(browser, "http://192.0.78.1/")

    error = asyncio.run(run())
    assert error.kind == "no_browser" and "enrich-assets[browser]" in error.fix


READER = """
import asyncio, sys
from enrich_assets.web.browser import Browser
from enrich_assets.web.http import HttpClient
from enrich_assets.web.settings import HttpSettings

async def main():
    routes = {"site.example": ("127.0.0.1", int(sys.argv[1]))}
    async with HttpClient(HttpSettings(), routes=routes) as client, Browser(client) as browser:
        got = await browser.render("http://site.example/")
        print(len(got.body), flush=True)
        if sys.argv[2] == "wait":
            await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def folders():
    """A home, a folder for temporary files and a working folder, with names that are short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="e-", dir="/tmp") as root:
        made = {name: Path(root) / name for name in ("home", "temporary", "work")}
        for folder in made.values():
            folder.mkdir()
        yield made


def own_process(folders, port, then):
    """A process that renders one page, with these folders."""
    root = str(Path(__file__).parents[2])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "CRAWL4_AI"))}
    kept |= {"HOME": str(folders["home"]), "TMPDIR": str(folders["temporary"]), "PYTHONPATH": root}
    kept |= {"PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", READER, str(port), then]
    return subprocess.Popen(command, env=kept, cwd=folders["work"], stdout=subprocess.PIPE, text=True)


def left_in(folders):
    return sorted(str(path) for folder in folders.values() for path in folder.rglob("*"))


@asynccontextmanager
async def plain_site():
    async def handler(_):
        return page("<p>fine")

    async with serving(handler) as port:
        yield port


def test_nothing_is_written_that_stays(folders):
    async def run():
        async with plain_site() as port:
            process = own_process(folders, port, "end")
            with process:
                out, _ = await asyncio.to_thread(process.communicate, timeout=90)
            return process.returncode, out

    code, out = asyncio.run(run())
    assert code == 0 and int(out) > 20
    assert left_in(folders) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parent_leaves_no_browser_and_no_folder(folders, how):
    async def run():
        async with plain_site() as port:
            process = own_process(folders, port, "wait")
            with process:
                assert int(await asyncio.to_thread(process.stdout.readline)) > 20
                running = processes_with(str(folders["temporary"]))
                process.send_signal(how)
                await asyncio.to_thread(process.wait)
                left = await asyncio.to_thread(wait_until_gone, str(folders["temporary"]))
            return running, left

    running, left = asyncio.run(run())
    assert len(running) >= 3  # the keeper, the browser and its helpers
    assert left == []
    assert left_in({name: folders[name] for name in ("home", "work")}) == []
    assert list(folders["temporary"].glob("enrich-*")) == []
