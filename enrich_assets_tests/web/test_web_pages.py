"""The page store and the replay of pages from the ledger."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from upath import UPath

from enrich_assets.core.errors import (
    AddressRefused,
    ArtifactDamaged,
    ArtifactMissing,
    FinalError,
    StorageError,
    TransientError,
)
from enrich_assets.core.fingerprint import canonical_json, sha256
from enrich_assets.engine.backoff import Backoff
from enrich_assets.web.forgotten import Forgotten, pattern_of
from enrich_assets.web.http import Fetched, HttpClient
from enrich_assets.web.pages import PageStore, StoredPages
from enrich_assets.web.settings import HttpSettings
from enrich_assets_tests.engine_kit import MemoryAnswers, calls_over
from enrich_assets_tests.web.web_server import serving

START = datetime(2026, 11, 2, 9, 0, 0, tzinfo=UTC)


class Answers(MemoryAnswers):
    """An answer store in memory: the earliest answer that is fresh enough, as the ledger gives it."""

    def __init__(self):
        super().__init__()
        self.now = START

    def find_answer(self, request_hash, *, not_before):
        for made_at, stored in self.kept.get(request_hash, []):
            if not_before is None or made_at >= not_before:
                return replace(stored, reply=replace(stored.reply, reused=True))
        return None

    def newest_answer(self, request_hash):
        found = [stored for _, stored in self.kept.get(request_hash, []) if stored.final is None]
        return found[-1] if found else None

    async def keep_answer(self, request, stored, **_):
        canonical_json(stored.reply.content)
        self.kept.setdefault(request.hash, []).append((self.now, stored))


class Site:
    """A site that counts what it is asked and answers with `reply(request)`."""

    def __init__(self, reply):
        self.asked = []
        self._reply = reply

    async def handle(self, request):
        self.asked.append(request.path)
        return self._reply(request)


@asynccontextmanager
async def reading(site, answers, root, *, fresh_from=START, renderer=None, forgotten=None, **settings):
    async with (
        serving(site.handle) as port,
        HttpClient(
            HttpSettings(**{"robots": False, "seconds_between_requests": 0, **settings}),
            routes={"site.example": ("127.0.0.1", port)},
            clock=lambda: answers.now,
        ) as http,
    ):
        calls = calls_over(answers, phase="scraped", fresh_from=fresh_from, backoff=Backoff(1))
        yield StoredPages(http, PageStore(root), calls, renderer=renderer, forgotten=forgotten)


def hello(_request):
    return web.Response(body=b"<p>hello</p>", headers={"Content-Type": "text/html; charset=UTF-8", "ETag": '"7"'})


def test_a_page_is_fetched_once_and_then_replayed(tmp_path):
    site, answers = Site(hello), Answers()

    async def run():
        async with reading(site, answers, UPath(tmp_path)) as pages:
            first = await pages.get("http://site.example/a")
        answers.now += timedelta(hours=3)
        async with reading(site, answers, UPath(tmp_path)) as pages:
            return first, await pages.get("http://site.example/a#part")

    first, again = asyncio.run(run())
    assert site.asked == ["/a"]
    assert (first.fetch_method, again.fetch_method) == ("http", "stored")
    assert first.body == again.body == b"<p>hello</p>" and first.sha256 == sha256(first.body)
    assert (again.content_type, again.charset, again.fetched_at) == ("text/html", "utf-8", START)
    assert replace(again, fetch_method="http", url=first.url) == first
    [[(_, stored)]] = answers.kept.values()
    assert stored.reply.content["headers"]["etag"] == '"7"'


def test_a_page_of_an_earlier_run_does_not_count(tmp_path):
    site, answers = Site(hello), Answers()

    async def run():
        async with reading(site, answers, UPath(tmp_path)) as pages:
            await pages.get("http://site.example/a")
        answers.now += timedelta(days=1)
        async with reading(site, answers, UPath(tmp_path), fresh_from=answers.now) as pages:
            return await pages.get("http://site.example/a")

    assert asyncio.run(run()).fetch_method == "http"
    assert len(site.asked) == 2


class Editions:
    """A site whose page may change; it answers with 304 where its ETag is the one that is sent."""

    def __init__(self, body=b"<p>hello</p>", **headers):
        self.body, self.headers = body, headers
        self.conditions = []

    def __call__(self, request):
        self.conditions.append((request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")))
        tag = f'"{sha256(self.body)[:8]}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(body=self.body, headers={"ETag": tag, **self.headers}, content_type="text/html")


def later_runs(site, answers, root, times, between=lambda: None):
    """The page in a first run and in as many later ones, a day after each other."""

    async def run():
        got = []
        for number in range(times + 1):
            async with reading(site, answers, UPath(root), fresh_from=answers.now) as pages:
                got.append(await pages.get("http://site.example/a"))
                again = await pages.get("http://site.example/a")
                assert (again.fetch_method, again.body) == ("stored", got[-1].body)
            answers.now += timedelta(days=1)
            if number < times:
                between()
        return got

    return asyncio.run(run())


def files(root):
    return {path.relative_to(root).as_posix(): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_a_later_run_asks_whether_a_page_changed_and_an_unchanged_one_is_not_sent_again(tmp_path):
    editions = Editions(**{"Last-Modified": "Mon, 02 Nov 2026 08:00:00 GMT"})
    answers = Answers()
    written = []
    first, second, third = later_runs(Site(editions), answers, tmp_path, 2, lambda: written.append(files(tmp_path)))
    tag, changed = f'"{first.sha256[:8]}"', "Mon, 02 Nov 2026 08:00:00 GMT"
    assert editions.conditions == [(None, None), (tag, changed), (tag, changed)]
    assert [page.fetch_method for page in (first, second, third)] == ["http", "not_modified", "not_modified"]
    assert first.body == second.body == third.body == b"<p>hello</p>"
    assert (third.http_status, third.content_type, third.final_url) == (200, "text/html", first.final_url)
    assert [page.fetched_at for page in (first, second, third)] == [START + timedelta(days=day) for day in range(3)]
    assert written[0] == written[1] == files(tmp_path)


def test_a_page_that_changed_comes_with_its_new_body(tmp_path):
    editions = Editions()
    first, second = later_runs(
        Site(editions), Answers(), tmp_path, 1, lambda: setattr(editions, "body", b"<p>good bye</p>")
    )
    assert (first.body, second.body, second.fetch_method) == (b"<p>hello</p>", b"<p>good bye</p>", "http")


def test_the_same_bytes_sent_again_write_nothing(tmp_path):
    def always(request):
        return web.Response(body=b"<p>hello</p>", headers={"ETag": '"7"'})

    written = []
    _, again = later_runs(Site(always), Answers(), tmp_path, 1, lambda: written.append(files(tmp_path)))
    assert again.fetch_method == "http" and written == [files(tmp_path)]


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"spoilt")])
def test_a_page_whose_stored_body_is_lost_is_asked_for_without_conditions(tmp_path, spoil):
    editions = Editions()
    path = PageStore(UPath(tmp_path)).path(sha256(editions.body))
    _, again = later_runs(Site(editions), Answers(), tmp_path, 1, lambda: spoil(path))
    assert editions.conditions == [(None, None), (None, None)]
    assert (again.fetch_method, again.body) == ("http", b"<p>hello</p>")


def test_an_unchanged_answer_from_another_address_is_not_taken_for_the_stored_page(tmp_path):
    target = "/first"

    def moving(request):
        if request.path == "/a":
            return web.Response(status=302, headers={"Location": target})
        if request.headers.get("If-None-Match"):
            return web.Response(status=304)
        return web.Response(body=request.path.encode(), headers={"ETag": '"7"'})

    def move():
        nonlocal target
        target = "/second"

    first, second = later_runs(Site(moving), Answers(), tmp_path, 1, move)
    assert (first.body, second.body, second.fetch_method) == (b"/first", b"/second", "http")


def test_what_a_document_was_and_how_it_came_stands_beside_it_and_lets_nobody_in(tmp_path):
    def reply(request):
        if request.path == "/a":
            return web.Response(status=301, headers={"Location": "/b"})
        secrets = ("Set-Cookie", "X-Auth-Token", "Authorization", "X-Api-Key", "WWW-Authenticate", "X-Session-Id")
        headers = {"ETag": '"7"', "X-Long": "a" * 5000, "Content-Type": "text/html; charset=latin-1"}
        return web.Response(body=b"<p>hello</p>", headers={**headers, **dict.fromkeys(secrets, "canary")})

    async def run():
        async with reading(Site(reply), answers, UPath(tmp_path)) as pages:
            return [await pages.get(f"http://site.example/{name}") for name in ("a", "b")]

    answers, store = Answers(), PageStore(UPath(tmp_path))
    page, _ = asyncio.run(run())
    one, other = store.records(page.sha256)
    assert (one["url"], one["redirects"], one["final_url"]) == (
        "http://site.example/a",
        ["http://site.example/a"],
        "http://site.example/b",
    )
    assert (other["url"], other["redirects"]) == ("http://site.example/b", [])
    assert (one["method"], one["http_status"], one["fetch_method"], one["bytes"]) == ("GET", 200, "http", 12)
    assert (one["content_type"], one["charset"], one["fetched_at"]) == ("text/html", "latin-1", START.isoformat())
    assert one["headers"]["etag"] == '"7"' and "x-long" not in one["headers"]
    assert "canary" not in json.dumps(one)
    assert "canary" not in str([stored.reply.content for kept in answers.kept.values() for _, stored in kept])


class Browser:
    """A renderer that shows what scripts made of a page."""

    async def render(self, url):
        return Fetched(url, url, 200, {"content-type": "text/html"}, b"<p>rendered</p>", 0.1)


def test_a_rendered_page_is_another_document_than_the_plain_one(tmp_path):
    site, answers = Site(hello), Answers()

    async def run(renderer):
        async with reading(site, answers, UPath(tmp_path), renderer=renderer) as pages:
            return [await pages.get("http://site.example/a", rendered=rendered) for rendered in (False, True)]

    plain, rendered = asyncio.run(run(Browser()))
    assert (plain.body, rendered.body, rendered.fetch_method) == (b"<p>hello</p>", b"<p>rendered</p>", "browser")
    replayed = asyncio.run(run(None))
    assert [(page.body, page.fetch_method) for page in replayed] == [(plain.body, "stored"), (rendered.body, "stored")]


def test_without_a_browser_a_rendered_page_says_what_is_missing_and_is_not_remembered(tmp_path):
    async def run():
        async with reading(Site(hello), answers, UPath(tmp_path)) as pages:
            await pages.get("http://site.example/a", rendered=True)

    answers = Answers()
    with pytest.raises(FinalError, match=r"enrich-assets\[browser\]") as caught:
        asyncio.run(run())
    assert caught.value.kind == "no_browser" and not answers.kept


def test_a_local_document_is_kept_like_a_page(tmp_path):
    async def run():
        async with reading(Site(hello), Answers(), UPath(tmp_path)) as pages:
            return await pages.keep("file:///notes/a.html", b"<p>note</p>", "text/html; charset=utf-8")

    page, store = asyncio.run(run()), PageStore(UPath(tmp_path))
    assert (page.fetch_method, page.http_status, page.content_type, page.charset) == ("file", 200, "text/html", "utf-8")
    assert store.get(page.sha256) == page.body == b"<p>note</p>"
    assert [record["url"] for record in store.records(page.sha256)] == ["file:///notes/a.html"]


def test_what_was_forgotten_is_neither_fetched_nor_replayed_nor_kept_nor_remembered(tmp_path):
    def reply(request):
        if request.path == "/to-it":
            return web.Response(status=302, headers={"Location": "/gone"})
        return hello(request)

    site, answers = Site(reply), Answers()
    forgotten = Forgotten([pattern_of("http://site.example/gone"), pattern_of("other.example")])

    async def run():
        async with reading(site, answers, UPath(tmp_path)) as pages:
            await pages.get("http://site.example/old")
            await pages.get("http://site.example/gone")
        before = len(answers.kept)
        async with reading(site, answers, UPath(tmp_path), forgotten=forgotten) as pages:
            for work in (
                lambda: pages.get("http://site.example/gone#part"),
                lambda: pages.get("http://site.example/to-it"),
                lambda: pages.get("https://news.other.example/a"),
                lambda: pages.keep("http://other.example/a", b"x", "text/html"),
            ):
                with pytest.raises(FinalError) as caught:
                    await work()
                assert caught.value.kind == "forgotten"
            assert (await pages.get("http://site.example/old")).fetch_method == "stored"
        assert len(answers.kept) == before

    asyncio.run(run())
    assert site.asked == ["/old", "/gone", "/to-it", "/gone"]


def test_two_rows_that_want_one_page_at_once_cost_one_request(tmp_path):
    site = Site(hello)

    async def run():
        async with reading(site, Answers(), UPath(tmp_path)) as pages:
            return await asyncio.gather(*(pages.get("http://site.example/a") for _ in range(5)))

    assert {page.body for page in asyncio.run(run())} == {b"<p>hello</p>"}
    assert len(site.asked) == 1


def test_a_lost_body_is_fetched_again_and_that_is_replayed(tmp_path):
    count = 0

    def changing(_request):
        nonlocal count
        count += 1
        return web.Response(body=b"version %d" % count)

    site, answers = Site(changing), Answers()

    async def run():
        async with reading(site, answers, UPath(tmp_path)) as pages:
            first = await pages.get("http://site.example/a")
            PageStore(UPath(tmp_path)).path(first.sha256).unlink()
            return [await pages.get("http://site.example/a") for _ in range(3)]

    got = asyncio.run(run())
    assert [page.body for page in got] == [b"version 2"] * 3
    assert [page.fetch_method for page in got] == ["http", "stored", "stored"]


def test_a_damaged_body_is_fetched_again_each_time_that_it_breaks(tmp_path):
    site, answers, store = Site(hello), Answers(), PageStore(UPath(tmp_path))

    async def run():
        async with reading(site, answers, UPath(tmp_path)) as pages:
            path = store.path((await pages.get("http://site.example/a")).sha256)
            got = []
            for spoil in (lambda: path.write_bytes(b"spoilt"), path.unlink, lambda: path.write_bytes(b"")):
                spoil()
                got.append([await asyncio.wait_for(pages.get("http://site.example/a"), 10) for _ in range(2)])
                assert list(store.damaged()) == []
            return got

    for fetched, replayed in asyncio.run(run()):
        assert (fetched.fetch_method, replayed.fetch_method) == ("http", "stored")
        assert fetched.body == replayed.body == b"<p>hello</p>"
    assert len(site.asked) == 4


def test_what_stands_in_the_way_of_a_page_is_a_storage_error(tmp_path):
    body, store = b"<p>hello</p>", PageStore(UPath(tmp_path))
    path = store.path(sha256(body))
    path.mkdir(parents=True)
    assert list(store.damaged()) == [str(path)]
    for work in (lambda: store.put(body), lambda: store.get(sha256(body)), lambda: replay(tmp_path)):
        with pytest.raises(StorageError, match="A folder stands where a file should be"):
            work()
    path.rmdir()
    store.record_path(sha256(body)).unlink()
    path.parent.rmdir()
    (tmp_path / "pages").rmdir()
    (tmp_path / "pages").write_text("x")
    assert list(store.damaged()) == [str(tmp_path / "pages")]
    for work in (lambda: store.put(body), lambda: replay(tmp_path)):
        with pytest.raises(StorageError, match="A file stands where a folder should be"):
            work()


def replay(root):
    async def run():
        async with reading(Site(hello), Answers(), UPath(root)) as pages:
            return await pages.get("http://site.example/a")

    return asyncio.run(run())


def test_a_missing_page_is_remembered_with_its_kind(tmp_path):
    site, answers = Site(lambda _: web.Response(status=404)), Answers()

    async def run():
        async with reading(site, answers, UPath(tmp_path)) as pages:
            errors = []
            for _ in range(2):
                with pytest.raises(FinalError) as caught:
                    await pages.get("http://site.example/gone")
                errors.append(caught.value)
            return errors

    first, again = asyncio.run(run())
    assert first.kind == again.kind == "http_404" and str(first) == str(again)
    assert len(site.asked) == 1


def test_what_settings_forbid_and_what_may_pass_is_not_remembered(tmp_path):
    def reply(request):
        return web.Response(status=503) if request.path == "/busy" else web.Response(body=b"x" * 99)

    site, answers = Site(reply), Answers()

    async def run():
        async with reading(site, answers, UPath(tmp_path), max_bytes=10) as pages:
            for url, kind in (
                ("http://site.example/large", FinalError),
                ("http://127.0.0.1:1/", AddressRefused),
                ("http://site.example/busy", TransientError),
            ):
                with pytest.raises(kind):
                    await pages.get(url)
        # That a site was down is kept for runs like this one; it is no answer for this run.
        assert [stored.final_kind for kept in answers.kept.values() for _, stored in kept] == ["transient/http_503"]
        async with reading(site, answers, UPath(tmp_path)) as pages:
            assert len((await pages.get("http://site.example/large")).body) == 99

    asyncio.run(run())


@pytest.mark.parametrize("body", [b"", b"text", bytes(range(256)) * 1000])
def test_the_store_gives_back_what_it_got(tmp_path, body):
    store = PageStore(UPath(tmp_path))
    key = store.put(body)
    assert key == sha256(body) == store.put(body)
    assert store.get(key) == body
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [f"pages/{key[:2]}/{key}.gz"]


def test_the_store_works_on_storage_that_is_no_disk():
    store = PageStore(UPath("memory://pages-test/storage"))
    key = store.put(b"text")
    assert store.get(key) == b"text"
    with pytest.raises(ArtifactMissing):
        store.get("0" * 64)
    store.path(key).unlink()


def test_a_damaged_page_is_named_and_not_used(tmp_path):
    store = PageStore(UPath(tmp_path))
    key = store.put(b"some text that matters")
    path = store.path(key)
    whole = path.read_bytes()
    other = PageStore(UPath(tmp_path / "other"))
    for damaged in (whole[:-3], b"", whole[:12] + b"\xff" + whole[13:], other.path(other.put(b"else")).read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactDamaged, match=key):
            store.get(key)
        assert not store.verify(key) and list(store.damaged()) == [str(path)]
        assert store.put(b"some text that matters") == key and path.read_bytes() == whole
        assert store.verify(key) and list(store.damaged()) == []
    assert not store.verify("0" * 64)
