"""The page store and the replay of pages from the ledger."""

from __future__ import annotations

import asyncio
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
from enrich_assets.web.http import HttpClient
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
async def reading(site, answers, root, *, fresh_from=START, **settings):
    async with (
        serving(site.handle) as port,
        HttpClient(
            HttpSettings(**settings), routes={"site.example": ("127.0.0.1", port)}, clock=lambda: answers.now
        ) as http,
    ):
        calls = calls_over(answers, phase="scraped", fresh_from=fresh_from, backoff=Backoff(1))
        yield StoredPages(http, PageStore(root), calls)


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
    assert stored.reply.content["headers"] == {"etag": '"7"'}


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
