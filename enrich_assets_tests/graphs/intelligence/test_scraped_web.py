"""`scraped` and the evidence loop over the real readers: what they may reach, pages made by scripts, own selectors."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from upath import UPath

from enrich_assets.engine.clients import Clients
from enrich_assets.engine.phase import Created
from enrich_assets.evidence.clients import open_clients
from enrich_assets.evidence.read import read
from enrich_assets.graphs.intelligence.scraped import Settings, scraped
from enrich_assets.web.chromium import NAMES
from enrich_assets.web.settings import HttpSettings, SearchSettings
from enrich_assets_tests.engine_kit import MemoryAnswers, calls_over
from enrich_assets_tests.evidence_fakes import FakeLlm, article_html, refuses
from enrich_assets_tests.web.web_server import serving

PROSE = "The foundry in Tilburg pours housings for pumps, and a controller decides when each of its furnaces runs. " * 8
ROOM = "http://127.0.0.1:{canary}"
INSIDE = ("127.0.0.1", "localhost", "localhost.", "[::1]", "2130706433", "0x7f.1", "127.1", "0177.0.0.1",
          "[::ffff:127.0.0.1]", "127.0.0.1.", "１２７.0.0.1")  # fmt: skip
Documents = Mapping[str, str | tuple[str, str]]


class Site:
    """Documents by path on one port that may be read, and beside it a port that nothing may reach."""

    def __init__(self, clients: Clients, address: str, canary: int) -> None:
        self.clients, self.address, self.canary = clients, address, canary
        self.asked: list[str] = []
        self.met = 0
        self.documents: dict[str, str | tuple[str, str]] = {}

    async def scraped(self, **source: Any) -> Created:
        given = {"id": "site", "name": "The Site", "row_id": "site", **source}
        found = await scraped(given | {"url": f"{self.address}{given['url']}"}, self.clients, Settings())
        assert isinstance(found, Created)
        return found

    def filled(self, text: str) -> str:
        return text.replace("{site}", self.address).replace("{canary}", str(self.canary))


@asynccontextmanager
async def opened(storage: Path, documents: Documents, **search: Any) -> AsyncIterator[Site]:
    site: Site

    async def answer(request: web.Request) -> web.StreamResponse:
        site.asked.append(request.path)
        found = documents.get(request.path)
        if found is None:
            return web.Response(status=404)
        content_type, text = found if isinstance(found, tuple) else ("text/html", found)
        if content_type == "redirect":
            return web.Response(status=302, headers={"Location": site.filled(text)})
        return web.Response(text=site.filled(text), content_type=content_type)

    async def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        site.met += 1
        writer.close()

    servers = [await asyncio.start_server(met, "127.0.0.1", 0)]
    canary = servers[0].sockets[0].getsockname()[1]
    with suppress(OSError):  # a machine without IPv6
        servers.append(await asyncio.start_server(met, "::1", canary))
    async with serving(answer) as port:
        chosen = SearchSettings(**{k: v.format(port=port) if isinstance(v, str) else v for k, v in search.items()})
        http = HttpSettings(allow_hosts=(f"127.0.0.1:{port}",), seconds_between_requests=0)
        async with open_clients(
            calls_over(MemoryAnswers()), FakeLlm(refuses), http=http, search=chosen, storage=UPath(storage),
            documents=list, routes={},
        ) as clients:  # type: ignore[arg-type]  # fmt: skip
            site = Site(clients, f"http://127.0.0.1:{port}", canary)
            yield site
    for server in servers:
        server.close()
        await server.wait_closed()


def run(storage: Path, documents: Documents, act: Callable[[Site], Awaitable[Any]], **search: Any) -> tuple[Any, Site]:
    async def go() -> tuple[Any, Site]:
        async with opened(storage, documents, **search) as site:
            return await act(site), site

    return asyncio.run(go())


def links_inside() -> list[str]:
    return [f"http://{host}:{{canary}}/article" for host in INSIDE] + [
        "http://me@127.0.0.1:{canary}/", "//127.0.0.1:{canary}/x", "http:127.0.0.1:{canary}/", "HTTP://127.1:{canary}",
        "http://127.0.0.1:{canary}\\@site.example/", "file:///etc/passwd", "ftp://127.0.0.1:{canary}/",
    ]  # fmt: skip


GOOD = article_html("A foundry", PROSE)
FEED = (
    '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel><title>S</title>'
    f'<link>{ROOM}/</link><image><url>{ROOM}/i.png</url></image><atom:link rel="next" href="{ROOM}/feed?page=2"/>'
    f'<atom:link rel="hub" href="{ROOM}/hub"/><item><title>Good</title><link>{{site}}/good</link></item>'
    f'<item><title>Moved</title><link>{{site}}/moved</link><enclosure url="{ROOM}/a.mp3" type="audio/mpeg"/></item>'
    + "".join(f"<item><title>In {n}</title><link>{link}</link></item>" for n, link in enumerate(links_inside()))
    + "</channel></rss>"
)


def test_no_link_of_a_feed_reaches_a_forbidden_address(tmp_path: Path) -> None:
    documents = {"/feed": ("application/rss+xml", FEED), "/good": GOOD, "/moved": ("redirect", f"{ROOM}/there")}
    found, site = run(tmp_path, documents, lambda site: site.scraped(url="/feed", max_items=100))
    assert [row["title"] for row in found.rows] == ["A foundry"]
    kinds = {failed.kind for _, failed in found.failed}
    assert site.met == 0
    # "http:127.0.0.1:1/" in a document of http is a path of its own site.
    assert "address_refused" in kinds and kinds <= {"address_refused", "bad_url", "http_404"}
    assert len(found.failed) >= len(INSIDE)


@pytest.mark.parametrize(
    ("kind", "documents"),
    [
        ("sitemap", {
            "/start": ("application/xml", "<sitemapindex><sitemap><loc>{site}/own.xml</loc></sitemap>" + "".join(
                f"<sitemap><loc>{link}</loc></sitemap>" for link in links_inside()) + "</sitemapindex>"),
            "/own.xml": ("application/xml", "<urlset><url><loc>{site}/good</loc></url>" + "".join(
                f"<url><loc>{link}</loc></url>" for link in links_inside()) + "</urlset>"),
        }),
        ("listing", {"/start": '<a href="/good">Good</a>' + "".join(f'<a href="{x}">x</a>' for x in links_inside())}),
        ("site", {
            "/start": f'<html><head><link rel="alternate" type="application/rss+xml" href="{ROOM}/feed">'
            f'<link rel="alternate" type="application/atom+xml" href="{{site}}/feed"></head><body>{PROSE}</body>',
            "/robots.txt": ("text/plain", f"User-agent: *\nAllow: /\nSitemap: {ROOM}/sitemap.xml\n"),
            "/feed": ("application/rss+xml", FEED),
        }),
        ("site", {
            "/start": f"<html><body>{PROSE}</body></html>",
            "/robots.txt": ("text/plain", f"User-agent: *\nAllow: /\nSitemap: {ROOM}/sitemap.xml\n"),
            "/sitemap.xml": ("application/xml", "<urlset><url><loc>{site}/good</loc></url></urlset>"),
        }),
    ],
)  # fmt: skip
def test_no_source_is_led_to_a_forbidden_address(tmp_path: Path, kind: str, documents: Documents) -> None:
    every = {**documents, "/good": GOOD, "/moved": ("redirect", f"{ROOM}/there")}
    found, site = run(tmp_path, every, lambda site: site.scraped(url="/start", kind=kind, max_items=100))
    assert site.met == 0
    assert "/start" in site.asked and (found.failure is not None or found.rows or found.failed)
    if kind != "site":
        assert [row["title"] for row in found.rows] == ["A foundry"]


def test_what_a_page_names_as_its_own_address_is_not_asked(tmp_path: Path) -> None:
    head = (
        f'<link rel="canonical" href="{ROOM}/canonical"><meta property="og:url" content="{ROOM}/og">'
        f'<base href="{ROOM}/base/"><meta http-equiv="refresh" content="60;url={ROOM}/refresh">'
        f'<script src="{ROOM}/s.js"></script><link rel="amphtml" href="{ROOM}/amp"><link rel="next" href="{ROOM}/2">'
    )
    page = GOOD.replace("<head>", f"<head>{head}").replace("<main>", f'<iframe src="{ROOM}/f"></iframe><main>')
    found, site = run(tmp_path, {"/good": page}, lambda site: site.scraped(url="/good", kind="page"))
    assert (site.met, [row["title"] for row in found.rows]) == (0, ["A foundry"])


def test_a_page_that_sends_on_to_a_forbidden_address_is_refused_as_a_redirect_is(tmp_path: Path) -> None:
    page = GOOD.replace("<head>", f'<head><meta http-equiv="refresh" content="0;url={ROOM}/refresh">')
    found, site = run(tmp_path, {"/good": page}, lambda site: site.scraped(url="/good", kind="page"))
    failures = [failure for _, failure in found.failed] or [found.failure]
    assert (site.met, list(found.rows), [failure.kind for failure in failures]) == (0, [], ["address_refused"])
    assert "a redirect led to" in failures[0].message and "allow_hosts" not in failures[0].message


def test_no_hit_of_a_search_leads_to_a_forbidden_address(tmp_path: Path) -> None:
    hits = ", ".join(f'{{"url": "{link}", "title": "t", "content": "c"}}' for link in links_inside()[:-3])
    own = '{"url": "{site}/good", "title": "t", "content": "c"}'
    documents = {"/search": ("application/json", f'{{"results": [{own}, {hits}]}}'), "/good": GOOD}

    async def look_up(site: Site) -> Any:
        found = await site.clients.search.find("foundry", limit=50)
        assert len(found) > len(INSIDE)
        return await read(site.clients, [hit.url for hit in found])

    pages, site = run(tmp_path, documents, look_up, provider="searxng", base_url="http://127.0.0.1:{port}")
    assert (site.met, [page.title for page in pages]) == (0, ["A foundry"])


BY_SCRIPT = (
    "<!doctype html><html lang=en><head><title>Made by a script</title></head><body><div id=root></div><script>"
    "fetch('/text.json').then(r => r.json()).then(found => { document.getElementById('root').innerHTML = "
    "'<main><article><h1>Made by a script</h1><p>' + found.text + '</p></article></main>'; });"
    "fetch('http://127.0.0.1:{canary}/x').catch(() => 0); new Image().src = 'http://localhost:{canary}/i.png';"
    "</script></body></html>"
)


@pytest.mark.browser
@pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="no Chromium on this machine")
@pytest.mark.timeout(180)
def test_a_page_without_text_is_read_again_with_a_browser_where_its_source_says_so(tmp_path: Path) -> None:
    pytest.importorskip("crawl4ai", reason="the extra `browser` is not installed")
    documents = {
        "/list": '<a href="/script">Made by a script</a> <a href="/plain">Plain</a>',
        "/script": BY_SCRIPT,
        "/text.json": ("application/json", f'{{"text": "{PROSE}"}}'),
        "/plain": article_html("Plain", PROSE.replace("Tilburg", "Breda")),
    }

    async def both(site: Site) -> tuple[Created, Created, list[str]]:
        without = await site.scraped(url="/list", kind="listing")
        before = len(site.asked)
        return without, await site.scraped(url="/list", kind="listing", javascript="when_empty"), site.asked[before:]

    (without, found, asked), site = run(tmp_path, documents, both)
    assert {row["title"] for row in without.rows} == {"Plain"}
    assert [drop.reason for _, drop in without.dropped] == ["no_text"]
    rows = {row["title"]: row for row in found.rows}
    assert set(rows) == {"Plain", "Made by a script"}
    assert "a controller decides when each of its furnaces runs" in rows["Made by a script"]["text"]
    assert rows["Made by a script"]["fetch_method"] == "browser"
    # Only the page without text was rendered, and its scripts reached nothing but its own site.
    assert (rows["Plain"]["fetch_method"], asked.count("/plain"), asked.count("/script")) == ("stored", 0, 1)
    assert site.met == 0


def test_a_sources_own_selectors_decide_what_is_read(tmp_path: Path) -> None:
    page = (
        "<!doctype html><html lang=en><head><title>Front page of the Site</title></head><body>"
        f"<article><h1>Teasers</h1><p>{PROSE.replace('Tilburg', 'Breda')}</p></article>"
        f'<div class="s"><b class="t">The real headline</b><i class="w">Ada Roe</i><u class="d" datetime="2024-01-10">'
        f'last week</u><div class="x"><p>{PROSE}</p></div></div></body></html>'
    )
    selectors = {"title": ".t", "author": ".w", "published": ".d", "text": ".x p"}

    async def both(site: Site) -> tuple[Created, Created]:
        return (
            await site.scraped(url="/good", kind="page"),
            await site.scraped(url="/good", kind="page", selectors=selectors),
        )

    (plain, chosen), _ = run(tmp_path, {"/good": page}, both)
    (general,), (own,) = plain.rows, chosen.rows
    assert (own["title"], own["author"], own["published_at"].date().isoformat()) == (
        "The real headline", "Ada Roe", "2024-01-10",
    )  # fmt: skip
    assert "Tilburg" in own["text"] and "Breda" not in own["text"] and own["extracted_by"] == "selectors"
    assert general["content_hash"] != own["content_hash"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_local_file_without_text_is_not_given_to_a_browser(tmp_path: Path, kind: str) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "empty.html").write_text("<!doctype html><title>Empty</title><p>Two words</p>", "utf-8")
    url = str(notes if kind == "folder" else notes / "empty.html")

    async def read(site: Site) -> Created:
        given = {"id": "local", "name": "N", "row_id": "local", "url": url, "kind": kind, "javascript": "when_empty"}
        found = await scraped(given, site.clients, Settings())
        assert isinstance(found, Created)
        return found

    found, _ = run(tmp_path, {}, read)
    assert (list(found.failed), [drop.reason for _, drop in found.dropped]) == ([], ["no_text"])
