"""robots.txt: what a file says, and what is done about it, on real loopback connections."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from enrich_assets.core.errors import AddressRefused, FinalError, TransientError
from enrich_assets.web.http import HttpClient
from enrich_assets.web.robots import MOST_BYTES, Rules, product_token
from enrich_assets.web.settings import HttpSettings
from enrich_assets.web.sources.checking import checked
from enrich_assets.web.sources.source import Source
from enrich_assets_tests.shared_data import shared_data
from enrich_assets_tests.web.web_server import serving

NOW = datetime(2026, 11, 2, 9, 0, 0, tzinfo=UTC)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}


class Site:
    """A site with a robots.txt that counts what it is asked, host by host."""

    def __init__(self, robots=b"", status=200, headers=None):
        self.asked = Counter()
        self.robots, self.status, self.headers = robots, status, headers or {}

    async def handle(self, request):
        self.asked[f"{request.host}{request.path}"] += 1
        if request.path == "/robots.txt":
            return web.Response(status=self.status, body=self.robots, headers=self.headers)
        return web.Response(body=b"a page")


def read(site, *paths, clock=lambda: NOW, **settings):
    """What a client gives for each path of site.example in turn: its body, or its error."""

    async def run():
        async with (
            serving(getattr(site, "handle", site)) as port,
            HttpClient(
                HttpSettings(**{"seconds_between_requests": 0, **settings}),
                routes=dict.fromkeys(("site.example", "other.example"), ("127.0.0.1", port)),
                clock=clock,
            ) as client,
        ):
            found = []
            for path in paths:
                try:
                    found.append((await client.get(f"http://site.example{path}")).body)
                except (FinalError, TransientError) as error:
                    found.append(error)
            return found

    return asyncio.run(run())


def test_what_a_site_forbids_is_not_asked_for():
    site = Site(b"User-agent: *\nDisallow: /private\nAllow: /private/open\n")
    forbidden, allowed, public = read(site, "/private/a", "/private/open/b", "/c")
    assert (allowed, public) == (b"a page", b"a page")
    assert isinstance(forbidden, FinalError) and forbidden.kind == "robots"
    assert "http://site.example/private/a" in str(forbidden) and "http://site.example/robots.txt" in str(forbidden)
    assert "http.robots: false" in forbidden.fix
    assert site.asked["site.example/robots.txt"] == 1 and site.asked["site.example/private/a"] == 0


@pytest.mark.parametrize("path", ["/a/%2e%2e/private/x", "/a/../private/x", "/%70rivate/x", "/./.%2E/private/x"])
def test_what_is_forbidden_is_so_in_every_spelling(path):
    site = Site(b"User-agent: *\nDisallow: /private\n")
    (forbidden,) = read(site, path)
    assert isinstance(forbidden, FinalError) and forbidden.kind == "robots"
    assert sum(site.asked.values()) == 1  # for robots.txt


def test_what_is_asked_for_is_what_was_written():
    asked = []

    async def handle(request):
        asked.append(request.raw_path)
        return web.Response(body=b"", status=404 if request.path == "/robots.txt" else 200)

    read(handle, "/a/%2e%2e/%7eb/c%2fd?q=%7Etom&r=%5b|'+%20 ")
    assert asked == ["/robots.txt", "/%7eb/c%2fd?q=%7Etom&r=%5b|%27+%20"]


def test_without_the_setting_no_robots_txt_is_read():
    site = Site(b"User-agent: *\nDisallow: /\n")
    assert read(site, "/a", robots=False) == [b"a page"]
    assert site.asked["site.example/robots.txt"] == 0


def test_a_service_that_is_there_to_be_called_has_none():
    site = Site(b"User-agent: *\nDisallow: /\n")

    async def run():
        async with (
            serving(getattr(site, "handle", site)) as port,
            HttpClient(HttpSettings(), routes={"site.example": ("127.0.0.1", port)}) as client,
        ):
            begun = time.monotonic()
            await asyncio.gather(*(client.get(f"http://site.example/search?{i}", robots=False) for i in range(5)))
            return time.monotonic() - begun

    assert asyncio.run(run()) < 1.5  # five at half a second each would take two
    assert site.asked == {"site.example/search": 5}


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("enrich_assets", False), ("ENRICH_ASSETS", False), ("enrich_assets/0.1", False), ("enrich", True),
     ("assets", True), ("enrich_assets2", False), ("*", False), ("* # all", False),
     ("*enrich_assets*", True), ("*bot*", True), ("*/", True)],
)  # fmt: skip
def test_a_group_is_ours_by_the_whole_product_token(name, allowed):
    rules = Rules(f"User-agent: {name}\nDisallow: /\n".encode(), product_token(HttpSettings().user_agent))
    assert rules.allows("http://site.example/a") is allowed


def test_groups_of_one_name_count_together_and_before_those_for_everybody():
    text = b"User-agent: *\nDisallow: /\n\nUser-agent: us\nDisallow: /a\n\nuser-agent: US\nDisallow: /b\n"
    rules = Rules(text, "us")
    assert [rules.allows(f"http://h/{name}") for name in "abc"] == [False, False, True]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_site_without_the_file_allows_everything(status):
    assert read(Site(b"User-agent: *\nDisallow: /", status), "/a", "/b") == [b"a page", b"a page"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_site_whose_file_cannot_be_had_is_not_read_for_now(status):
    site = Site(status=status, headers={"Retry-After": "7"})
    found = read(site, "/a", "/b", "/c")
    assert all(isinstance(error, TransientError) and error.kind == f"http_{status}" for error in found)
    assert found[0].retry_after == 7 and "http://site.example/a" in str(found[0])
    assert site.asked == {"site.example/robots.txt": 1}  # asked again later, not by every page


def test_a_file_that_redirects_counts_for_the_site_that_was_asked():
    site = Site()

    async def handler(request):
        if request.path == "/robots.txt" and request.host == "site.example":
            return web.Response(status=301, headers={"Location": "http://other.example/rules"})
        if request.path == "/rules":
            return web.Response(body=b"User-agent: *\nDisallow: /a\n")
        return await site.handle(request)

    forbidden, allowed = read(handler, "/a", "/b")
    assert forbidden.kind == "robots" and allowed == b"a page"


def test_a_file_behind_six_redirects_is_none():
    steps = []

    async def handler(request):
        if request.path.startswith("/robots") or request.path.startswith("/step"):
            steps.append(request.path)
            return web.Response(status=302, headers={"Location": f"/step{len(steps)}"})
        return web.Response(body=b"a page")

    assert read(handler, "/a", max_redirects=0) == [b"a page"]
    assert len(steps) == 6


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/robots.txt", "ftp://other.example/robots.txt"])
def test_a_file_that_leads_to_a_refused_address_lets_nothing_be_read_and_is_named(target):
    site = Site(status=302, headers={"Location": target})
    (error,) = read(site, "/a")
    assert isinstance(error, AddressRefused) and error.where == "http://site.example/a"
    assert "its site's rules for readers, http://site.example/robots.txt, are not read: a redirect led to" in error.what
    assert target in error.what and "allow_hosts" not in error.fix


@pytest.mark.parametrize("status", [429, 503])
def test_a_source_whose_file_was_never_had_is_not_said_to_be_allowed(status):
    site = Site(status=status, headers={"Retry-After": "3600"})
    source = Source(id="news", name="News", kind="listing", url="http://site.example/a")

    async def run():
        async with (
            serving(site.handle) as port,
            HttpClient(HttpSettings(), routes={"site.example": ("127.0.0.1", port)}) as client,
        ):

            class Pages:
                async def get(self, url, *, rendered=False):
                    return await client.get(url)

            first = await checked(source, Pages(), NOW)
            client._robots._failed.clear()  # as ten seconds later: the host rests, and the file is asked for again
            return first, await checked(source, Pages(), NOW)

    first, resting = asyncio.run(run())
    assert (first.robots, first.error_kind) == ("unreadable", f"http_{status}")
    assert (resting.robots, resting.error_kind) == ("unreadable", "resting")


def test_the_pages_of_redirects_are_asked_about_too():
    async def handler(request):
        if request.path == "/robots.txt":
            return web.Response(body=b"User-agent: *\nDisallow: /hidden\n")
        if request.path == "/door":
            return web.Response(status=302, headers={"Location": "/hidden/a"})
        raise AssertionError(request.path)

    (error,) = read(handler, "/door")
    assert error.kind == "robots" and "/hidden/a" in str(error)


def test_a_file_is_read_again_on_the_next_day():
    site = Site(b"User-agent: *\nDisallow:\n")
    days = iter([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    day = 0

    def clock():
        nonlocal day
        day = next(days, day)
        return NOW + timedelta(days=day)

    read(site, *["/a"] * 10, clock=clock)
    assert site.asked["site.example/robots.txt"] == 2


def test_rows_that_come_at_once_ask_once_and_one_who_leaves_ends_nothing():
    site = Site(b"User-agent: *\nDisallow: /x\n")

    async def slow(request):
        if request.path == "/robots.txt":
            await asyncio.sleep(0.2)
        return await site.handle(request)

    async def run():
        async with (
            serving(slow) as port,
            HttpClient(
                HttpSettings(seconds_between_requests=0), routes={"site.example": ("127.0.0.1", port)}
            ) as client,
        ):
            tasks = [asyncio.create_task(client.get(f"http://site.example/{i}")) for i in range(20)]
            await asyncio.sleep(0.05)
            tasks[0].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(run())
    assert isinstance(found[0], asyncio.CancelledError) and all(page.body == b"a page" for page in found[1:])
    assert site.asked["site.example/robots.txt"] == 1


def test_a_crawl_delay_is_kept_up_to_the_longest():
    site = Site(b"User-agent: *\nCrawl-delay: 100\nDisallow: /x\n")
    begun = time.monotonic()
    assert read(site, "/a", "/b", longest_crawl_delay_seconds=0.2) == [b"a page"] * 2
    assert 0.38 < time.monotonic() - begun < 60


def test_only_the_beginning_of_an_endless_file_is_read():
    async def handler(request):
        if request.path != "/robots.txt":
            return web.Response(body=b"a page")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"User-agent: *\nDisallow: /a\n")
        while True:
            await response.write(b"# nothing\n" * 5000)

    forbidden, allowed = read(handler, "/a", "/b")
    assert forbidden.kind == "robots" and allowed == b"a page"


def test_a_file_that_names_thousands_of_agents_before_thousands_of_rules_is_read_at_once():
    agents, rules = b"User-agent: a%d\n", b"Disallow: /%d*x*y\n"
    text = b"".join(agents % n for n in range(13_500)) + b"User-agent: *\n" + b"".join(rules % n for n in range(12_500))
    assert 400_000 < len(text) < MOST_BYTES
    begun = time.perf_counter()
    found = Rules(text, "enrich_assets")
    assert found.allows("http://h/20000") and not found.allows("http://h/1/x/y")
    assert time.perf_counter() - begun < 15


def test_the_files_of_the_specification_are_read_as_it_expects():
    cases = list(_specification())
    misses = [
        f"{where}: {agent!r} {url}, expected {expected}"
        for where, robots, url, agent, expected in cases
        if Rules(robots, agent).allows(url) != (expected == "ALLOWED")
    ]
    print(f"{len(cases) - len(misses)} of {len(cases)}; misses:", *misses, sep="\n")
    assert len(cases) == 400 and len(misses) / len(cases) <= 0.02


def _specification():
    root = shared_data("robots", "google-spec", "src", "main", "resources", "CTC")
    token = re.compile(rb'#[^\n]*|"((?:[^"\\]|\\.)*)"|([A-Za-z_]+)')
    for file in sorted(root.rglob("*.textproto")):
        found = {"testurl": b"", "useragent": b"", "robotstxt": b""}
        field = ""
        for match in token.finditer(file.read_bytes()):
            text, word = match.groups()
            if text is not None:
                found[field] = found.get(field, b"") + re.sub(rb"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", _unescaped, text)
            elif word is not None:
                field = word.decode()
                found[field] = b""
                if field in ("ALLOWED", "DISALLOWED"):
                    yield file.name, found["robotstxt"], found["testurl"].decode(), found["useragent"].decode(), field


def _unescaped(match):
    code = match.group(1)
    if code[:1] == b"x":
        return bytes([int(code[1:], 16)])
    return bytes([int(code, 8)]) if code.isdigit() else _ESCAPES.get(code, code)
