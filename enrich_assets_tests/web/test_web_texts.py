"""Pages are extracted once, in processes that neither a page nor a signal can bring down."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from upath import UPath

from enrich_assets.core.errors import FinalError
from enrich_assets.web import extraction_pool, text_store
from enrich_assets.web.extract import extract
from enrich_assets.web.extraction_pool import ExtractionPool
from enrich_assets.web.selectors import Selectors
from enrich_assets.web.text_store import TextStore
from enrich_assets.web.texts import ExtractedTexts
from enrich_assets_tests.web.web_samples import page_of


def article(number=0, words=40):
    text = f"<p>The harbour opened crane number {number} with the tide and with much grain. </p>" * words
    head = '<meta property="article:published_time" content="2026-10-30T22:15:00-04:00">'
    return f"<!doctype html><html lang='en'><head>{head}<title>Crane {number}</title></head><body>{text}</body></html>"


def children():
    """The processes below this one, as a set of ids."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def gone(pids, seconds=10.0):
    """Whether all processes end within `seconds`."""
    end = time.monotonic() + seconds
    while any(map(_runs, pids)):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def pool():
    made = ExtractionPool(2)
    yield made
    made.close()


@pytest.fixture
def own_pool():
    made = ExtractionPool(2)
    yield made
    made.close()


def test_a_process_finds_what_this_one_finds(pool):
    page, chosen = page_of(article()), Selectors(title="title", text="p")
    assert pool.submit(page, None).result() == extract(page)
    assert pool.submit(page, chosen).result() == extract(page, selectors=chosen)
    assert pool.submit(page_of("\ud800\udfff".encode("utf-8", "surrogatepass") + b"\x00<p>x"), None).result().text == ""


def test_another_kind_of_document_is_refused_there_too(pool):
    with pytest.raises(FinalError) as caught:
        pool.submit(page_of(b"%PDF-1.7", type="application/pdf"), None).result()
    assert caught.value.kind == "not_html" and caught.value.where == "http://site.example/news/1"


def test_a_killed_worker_costs_its_page_and_is_replaced(pool):
    pool.submit(page_of(article()), None).result()
    before = children()
    slow = pool.submit(page_of("<p>" + "<" * 9_000_000), None)
    time.sleep(0.7)
    for pid in children() - before:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(FinalError) as caught:
        slow.result(timeout=30)
    assert caught.value.kind == "extraction"
    assert pool.submit(page_of(article(2)), None).result().title == "Crane 2"


def test_all_processes_killed_start_again(own_pool):
    before = children()
    own_pool.submit(page_of(article()), None).result()
    started = children() - before
    for pid in started:
        os.kill(pid, signal.SIGKILL)
    assert gone(started)
    assert own_pool.submit(page_of(article(2)), None).result(timeout=60).title == "Crane 2"


def test_a_page_that_takes_too_long_is_ended():
    pool = ExtractionPool(1, deadline=1.0, memory_bytes=2_000_000_000)
    try:
        began = time.monotonic()
        slow = pool.submit(page_of("<p>" + "<a href=x>y</a> " * 300_000), None)
        assert pool.submit(page_of(article(3)), None).result(timeout=60).title == "Crane 3"
        with pytest.raises(FinalError, match=r"longer than 1 second") as caught:
            slow.result(timeout=60)
        assert caught.value.kind == "extraction" and time.monotonic() - began < 60
    finally:
        pool.close()


def test_a_page_that_takes_too_much_memory_is_ended(pool):
    with pytest.raises(FinalError, match="MB of memory") as caught:
        pool.submit(page_of("<p>a" * 2_000_000), None).result(timeout=60)
    assert caught.value.kind == "extraction"
    assert pool.submit(page_of(article(4)), None).result(timeout=60).title == "Crane 4"


@pytest.mark.parametrize(
    "body",
    [
        "<div>" * 1_000_000 + "deep",
        "<i><p>" * 500_000 + "x" * 5_000_000,
        "<p " + "a=b " * 1_500_000 + ">x",
        "<table><tr><td>x" * 300_000,
        "<p>" + "word " * 1_900_000,
        '<script type="application/ld+json">' + "[" * 9_000_000 + "</script>",
    ],
    ids=["nested", "nested inline", "attributes", "tables", "one text", "linked data"],
)
def test_hostile_pages_stay_within_time_and_memory(pool, body):
    pool.submit(page_of(article()), None).result()
    page = page_of(body)
    before, most, began = psutil.Process().memory_info().rss, 0, time.monotonic()
    found = pool.submit(page, None)
    while not found.done():
        most = max(most, _above(before))
        time.sleep(0.02)
    assert time.monotonic() - began < 30
    assert most < 200_000_000
    if found.exception() is not None:
        assert isinstance(found.exception(), FinalError)


def _above(before):
    """Bytes above `before` of this process with what the extraction processes have for themselves."""
    total = psutil.Process().memory_info().rss - before
    for child in psutil.Process().children(recursive=True):
        try:
            if any("extraction" in word for word in child.cmdline()):  # others were left running by other tests
                total += child.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            continue
    return total


def test_nobody_is_left_after_closing(own_pool):
    before = children()
    for number in range(4):
        own_pool.submit(page_of(article(number)), None).result()
    started = children() - before
    assert started
    own_pool.close()
    assert gone(started)


def test_workers_end_when_their_parent_dies():
    script = """
        import sys, time
        from enrich_assets.web.extraction_pool import ExtractionPool
        from enrich_assets_tests.web.web_samples import page_of
        pool = ExtractionPool(2)
        pool.submit(page_of("<p>hello"), None).result()
        pool.submit(page_of("<p>" + "<" * 9_000_000), None)
        print("ready", flush=True)
        time.sleep(120)
    """
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, cwd=root, env={**os.environ}
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
        started = {process.pid for process in psutil.Process(parent.pid).children(recursive=True)}
        parent.kill()
    assert started and gone(started, seconds=extraction_pool.DEADLINE_SECONDS + 10)


def test_keys_of_the_environment_do_not_reach_the_processes(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "canary-of-the-environment")
    pool = ExtractionPool(1)
    try:
        before = children()
        pool.submit(page_of(article()), None).result()
        for pid in children() - before:
            assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        pool.close()


def test_a_small_run_starts_no_process(tmp_path):
    async def run():
        async with ExtractedTexts(TextStore(UPath(tmp_path)), ExtractionPool()) as texts:
            before = children()
            for number in range(3):
                await texts.of(page_of(article(number)))
            assert children() == before
            return texts.extracted

    extract(page_of(article()))  # the imports are not part of what it takes
    assert asyncio.run(run()) == 3


def test_many_pages_go_to_processes_and_large_ones_at_once(tmp_path):
    async def run(pages):
        async with ExtractedTexts(None, ExtractionPool(2)) as texts:
            before = children()
            found = await asyncio.gather(*(texts.of(page) for page in pages))
            for _ in range(600):
                if children() - before:
                    break
                await asyncio.sleep(0.05)
            assert children() - before
            return [one.title for one in found]

    assert asyncio.run(run([page_of(article(0, words=2000))])) == ["Crane 0"]
    assert asyncio.run(run([page_of(article(number)) for number in range(60)])) == [f"Crane {n}" for n in range(60)]


def _twice(root, pages, selectors=None):
    async def run():
        async with ExtractedTexts(TextStore(UPath(root)), ExtractionPool(1)) as texts:
            found = [await texts.of(page, selectors=selectors) for page in pages]
            return found, texts.extracted, texts.reused

    return asyncio.run(run())


def test_an_unchanged_page_is_extracted_once(tmp_path):
    pages = [page_of(article(number), url=f"http://site.example/{number}") for number in range(5)]
    first, made, reused = _twice(tmp_path, pages)
    assert (made, reused) == (5, 0)
    again, made, reused = _twice(tmp_path, pages)
    assert (made, reused) == (0, 5) and again == first
    pages[2] = page_of(article(99), url="http://site.example/2")
    _, made, reused = _twice(tmp_path, pages)
    assert (made, reused) == (1, 4)


def test_selectors_and_another_extractor_ask_again(tmp_path, monkeypatch):
    page = [page_of(article())]
    _twice(tmp_path, page)
    assert _twice(tmp_path, page, Selectors(title="p"))[1:] == (1, 0)
    assert _twice(tmp_path, page, Selectors(title="p"))[1:] == (0, 1)
    text_store.extractor.cache_clear()
    monkeypatch.setattr(text_store, "RULES_VERSION", text_store.RULES_VERSION + 1)
    try:
        assert _twice(tmp_path, page)[1:] == (1, 0)
    finally:
        text_store.extractor.cache_clear()


@pytest.mark.parametrize("spoilt", [b"", b"not gzip", b"\x1f\x8b\x08\x00", None])
def test_a_damaged_result_is_made_again(tmp_path, spoilt):
    page = [page_of(article())]
    first, _, _ = _twice(tmp_path, page)
    (kept,) = (tmp_path / "texts").rglob("*.json.gz")
    kept.write_bytes(kept.read_bytes()[:-9] if spoilt is None else spoilt)
    again, made, _ = _twice(tmp_path, page)
    assert made == 1 and again == first
    assert _twice(tmp_path, page)[1:] == (0, 1)


def test_a_result_in_the_place_of_another_is_made_again_and_named(tmp_path):
    one, other = page_of(article()), page_of(article(7))
    first, _, _ = _twice(tmp_path, [one, other])
    store = TextStore(UPath(tmp_path))
    assert list(store.damaged()) == []
    copied, spoilt = store.path(one, None), store.path(other, None)
    spoilt.write_bytes(copied.read_bytes())
    (copied.parent / f"{'0' * 16}.json.gz").write_bytes(copied.read_bytes())  # of another fingerprint
    assert sorted(store.damaged()) == sorted([str(spoilt), str(copied.parent / f"{'0' * 16}.json.gz")])
    assert store.get(other, None) is None and len(store.kept(one.sha256)) == 1 and store.kept(other.sha256) == []
    assert _twice(tmp_path, [one, other]) == (first, 1, 1)


def test_a_result_that_was_changed_is_made_again(tmp_path):
    page = page_of(article())
    first, _, _ = _twice(tmp_path, [page])
    path = TextStore(UPath(tmp_path)).path(page, None)
    whole = json.loads(gzip.decompress(path.read_bytes()))
    for changed in (whole | {"result": whole["result"] | {"title": "Another"}}, whole["result"], [whole]):
        path.write_bytes(gzip.compress(json.dumps(changed).encode()))
        assert _twice(tmp_path, [page]) == (first, 1, 0)


def test_what_is_forgotten_is_gone(tmp_path):
    page, other = page_of(article()), page_of(article(7))
    _twice(tmp_path, [page, other])
    _twice(tmp_path, [page], Selectors(title="p"))
    store = TextStore(UPath(tmp_path))
    assert store.remove(page.sha256) == 2
    assert store.remove(page.sha256) == 0
    assert store.get(page, None) is None and store.get(other, None) is not None
    assert not (tmp_path / "texts" / page.sha256[:2] / page.sha256).exists()


def test_an_error_is_not_kept(tmp_path):
    pdf = page_of(b"%PDF", type="application/pdf")
    for _ in range(2):
        with pytest.raises(FinalError):
            _twice(tmp_path, [pdf])
    assert not (tmp_path / "texts").exists()
