"""What comes from a forgotten pattern is recognised in pages and answers, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from enrich_assets.core.errors import ArtifactMissing
from enrich_assets.core.fingerprint import sha256
from enrich_assets.defs.forgetting import forget
from enrich_assets.engine.ledger import Ledger, utc_now
from enrich_assets.engine.requests import Reply, Request, Stored
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.store.store import Store
from enrich_assets.web.forgotten import pattern_of
from enrich_assets.web.page_store import PageStore

SAID = "The herons of the ninth harbour count their lanterns at night."


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.for_storage(str(tmp_path)) as opened:
        yield opened


def keep(
    ledger: Ledger, kind: Any, content: dict[str, Any], *, row_id: str = "r", phase: str = "enriched", final: Any = None
) -> None:
    request = Request(kind, {"n": ledger.count_answers(), "content": content, "final": final})
    asyncio.run(
        ledger.keep_answer(request, Stored(Reply(content), final=final), run_id="r", phase=phase, row_id=row_id)
    )


def fetched(ledger: Ledger, pages: PageStore, body: bytes, url: str, *passed: str, final: str = "") -> str:
    record = {"url": url, "redirects": list(passed), "final_url": final or url, "sha256": sha256(body)}
    keep(ledger, "page", record, phase="scraped")
    return pages.put(body, record)


def removed_of(root: Path, ledger: Ledger, text: str) -> dict[str, int]:
    return forget(pattern_of(text), GRAPHS.values(), Store(str(root)), ledger, clock=utc_now)


def test_pages_go_by_the_url_asked_for_those_on_the_way_and_the_final_one(tmp_path: Path, ledger: Ledger) -> None:
    pages = PageStore(UPath(tmp_path))
    gone = [
        fetched(ledger, pages, b"asked", "http://gone.example/a", final="http://other.example/a"),
        fetched(
            ledger, pages, b"passed", "http://other.example/b", "http://www.gone.example/b", final="http://o.example/"
        ),
        fetched(ledger, pages, b"final", "http://other.example/c", final="https://gone.example/c"),
    ]
    stays = fetched(ledger, pages, b"stays", "http://gone.example.org/", final="http://other.example/?u=gone.example")
    keep(ledger, "page", {}, final="http://gone.example/x: the server answered 404.", phase="scraped")
    keep(ledger, "page", {}, final="http://other.example/x: the server answered 404.", phase="scraped")
    removed = removed_of(tmp_path, ledger, "gone.example")
    assert (removed["pages"], removed["page_answers"]) == (3, 4)
    assert pages.get(stays) == b"stays" and list(pages.hashes()) == [stays]
    for key in gone:
        with pytest.raises(ArtifactMissing):
            pages.get(key)
    assert len(list(ledger.answers("page"))) == 2


def test_a_document_that_is_another_urls_too_stays_until_that_url_is_forgotten(tmp_path: Path, ledger: Ledger) -> None:
    pages = PageStore(UPath(tmp_path))
    key = fetched(ledger, pages, b"the same", "http://gone.example/a")
    fetched(ledger, pages, b"the same", "http://other.example/a")
    assert removed_of(tmp_path, ledger, "gone.example")["pages"] == 0
    assert pages.get(key) == b"the same"
    assert [record["url"] for record in pages.records(key)] == ["http://other.example/a"]
    assert removed_of(tmp_path, ledger, "http://other.example/a")["pages"] == 1
    assert list(pages.hashes()) == []


def test_a_document_that_the_ledger_lost_is_known_by_its_record(tmp_path: Path, ledger: Ledger) -> None:
    pages = PageStore(UPath(tmp_path))
    pages.put(b"orphan", {"url": "http://gone.example/a", "final_url": "http://gone.example/a"})
    assert removed_of(tmp_path, ledger, "gone.example")["pages"] == 1


def test_texts_of_its_documents_go_and_others_stay(tmp_path: Path, ledger: Ledger) -> None:
    pages = PageStore(UPath(tmp_path))
    for url in ("http://gone.example/a", "http://other.example/a"):
        key = fetched(ledger, pages, url.encode(), url)
        folder = tmp_path / "texts" / key[:2] / key
        folder.mkdir(parents=True)
        (folder / "one.json.gz").write_bytes(b"text")
    assert removed_of(tmp_path, ledger, "gone.example")["texts"] == 1
    assert [path.parent.name for path in (tmp_path / "texts").rglob("*.gz")] == [sha256(b"http://other.example/a")]


def test_hits_of_search_answers_go_and_the_others_stay(tmp_path: Path, ledger: Ledger) -> None:
    hit = {"url": "http://gone.example/a", "title": "t", "snippet": "s"}
    other = {**hit, "url": "http://other.example/a"}
    for hits in ([hit, other], [other], [hit]):
        keep(ledger, "search", {"hits": hits})
    assert removed_of(tmp_path, ledger, "gone.example")["search_answers"] == 2
    assert [answer.content["hits"] for answer in ledger.answers("search")] == [[other], [other], []]


@pytest.mark.parametrize(
    ("answer", "phase", "goes"),
    [
        (f'{{"claims": [{{"quote": "{SAID}"}}]}}', "enriched", True),
        (
            '{"quote": "Reported: herons of the ninth harbour, count THEIR lanterns – at night, today"}',
            "enriched",
            True,
        ),
        ('{"quote": "their lanterns at night"}', "enriched", False),
        ('{"entities": [{"name": "Ninth Harbour"}]}', "enriched", False),
        (f"no JSON, and yet {SAID}", "enriched", True),
        (f'{{"analysis": "{SAID}"}}', "paraphrased", False),
        ('{"url": "http://gone.example/a"}', "enriched", True),
    ],
)
def test_model_answers_go_where_they_quote_it(
    tmp_path: Path, ledger: Ledger, answer: str, phase: str, goes: bool
) -> None:
    fetched(ledger, PageStore(UPath(tmp_path)), f"<p>Once. {SAID}</p>".encode(), "http://gone.example/a")
    keep(ledger, "model", {"text": answer}, phase=phase)
    assert removed_of(tmp_path, ledger, "gone.example")["model_answers"] == int(goes)


def test_model_answers_about_its_articles_go_whatever_they_say(tmp_path: Path, ledger: Ledger) -> None:
    fetched(ledger, PageStore(UPath(tmp_path)), b"<p>Once.</p>", "http://gone.example/a?utm_source=feed")
    for url in ("http://gone.example/a", "http://other.example/a"):
        keep(ledger, "model", {"text": "{}"}, row_id=sha256(url.encode())[:16], phase="tier2")
    assert removed_of(tmp_path, ledger, "gone.example")["model_answers"] == 1
