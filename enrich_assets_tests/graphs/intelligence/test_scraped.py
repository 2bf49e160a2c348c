"""`scraped`: what becomes of each entry of a source."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest

from enrich_assets.core.errors import (
    AddressRefused,
    CallError,
    EndpointError,
    EnrichError,
    StorageError,
    TransientError,
)
from enrich_assets.engine.clients import Clients, Extracted, Page
from enrich_assets.engine.phase import Created
from enrich_assets.graphs.intelligence.scraped import Settings, scraped
from enrich_assets.web.extract import extract
from enrich_assets.web.texts import ExtractedTexts
from enrich_assets_tests.evidence_fakes import FakeLlm, FakePages, article_html, page, refuses

# The package gives the phase under the name of its module.
MODULE = sys.modules[scraped.__module__]
SITE = "http://site.example"
SOURCE = {"id": "site", "name": "The Site", "url": f"{SITE}/", "kind": "listing", "row_id": "site"}
PROSE = "The foundry in Tilburg pours housings for pumps, and a controller decides when each of its furnaces runs. " * 3


def down() -> CallError:
    return TransientError("the server answered 503.", where=SITE, kind="http_503")


class Pages(FakePages):
    """As FakePages, with a content type of its own for each URL that ends like a file of that type."""

    async def get(self, url: str) -> Page:
        got = await super().get(url)
        types = {".txt": "text/plain", ".xml": "application/xml", ".pdf": "application/pdf"}
        return replace(got, content_type=types.get(url[-4:], got.content_type))


def reading(pages: FakePages) -> Clients:
    return Clients(llm=FakeLlm(refuses), pages=pages, texts=ExtractedTexts(), search=None)  # type: ignore[arg-type]


def read(**pages: str | EnrichError) -> Created:
    listed = " ".join(f'<a href="/{name.replace("_", ".")}">{name}</a>' for name in pages)
    html = {f"{SITE}/{name.replace('_', '.')}": body for name, body in pages.items()}
    clients = Clients(
        llm=FakeLlm(refuses), pages=Pages({SOURCE["url"]: listed, **html}), texts=ExtractedTexts(), search=None
    )  # type: ignore[arg-type]
    found = asyncio.run(scraped(SOURCE, clients, Settings()))
    assert isinstance(found, Created)
    return found


def test_an_entry_is_an_article_or_is_named_with_the_reason() -> None:
    found = read(
        good=article_html("A foundry", PROSE),
        short=article_html("Two words", "Two words."),
        notes_txt=PROSE,
        data_xml=f"<a>{PROSE}</a>",
        paper_pdf="%PDF",
        gone=down(),
        inside=AddressRefused("refused by the address guard."),
    )
    assert [(row["url"], row["fetch_method"]) for row in found.rows] == [(f"{SITE}/good", "http")]
    assert {row["url"]: drop.reason for row, drop in found.dropped} == {
        f"{SITE}/short": "no_text",
        f"{SITE}/notes.txt": "not_html",
        f"{SITE}/data.xml": "not_html",
        f"{SITE}/paper.pdf": "not_html",
    }
    assert {row["url"]: failed.kind for row, failed in found.failed} == {
        f"{SITE}/gone": "http_503",
        f"{SITE}/inside": "address_refused",
    }


def test_the_source_counts_what_came_of_it() -> None:
    good = article_html("A foundry", PROSE)
    (source,) = read(good=good, gone=down()).side["sources"]
    front = len(page(SITE, '<a href="/good">good</a> <a href="/gone">gone</a>').body)
    assert (source["status"], source["entries"], source["articles"]) == ("scraped", 2, 1)
    assert source["bytes"] == front + len(good.encode())


def test_a_source_that_is_down_fails_and_is_listed() -> None:
    clients = Clients(
        llm=FakeLlm(refuses), pages=FakePages({SOURCE["url"]: down()}), texts=ExtractedTexts(), search=None
    )  # type: ignore[arg-type]
    found = asyncio.run(scraped(SOURCE, clients, Settings()))
    assert isinstance(found, Created) and found.failure is not None
    assert (found.failure.kind, list(found.rows)) == ("http_503", [])
    assert [row["status"] for row in found.side["sources"]] == ["failed"]


def test_a_defect_met_in_one_entry_costs_that_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(got: Page, **_: object) -> Extracted:
        if got.url.endswith("odd"):
            raise RecursionError("too deep")
        return extract(got)

    monkeypatch.setattr("enrich_assets.web.texts.extract", spoilt)
    found = read(good=article_html("A foundry", PROSE), odd=article_html("Odd", PROSE))
    assert [row["url"] for row in found.rows] == [f"{SITE}/good"]
    assert [(row["url"], failed.kind) for row, failed in found.failed] == [(f"{SITE}/odd", "defect: RecursionError")]
    assert [row["status"] for row in found.side["sources"]] == ["scraped"]


def test_a_defect_met_in_a_source_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(MODULE, "entries", spoilt)
    found = read(good=article_html("A foundry", PROSE))
    assert found.failure is not None and found.failure.kind == "defect: AssertionError"
    assert [(row["status"], row["error"]) for row in found.side["sources"]] == [("failed", "defect: AssertionError")]


@pytest.mark.parametrize("error", [EndpointError("no key"), StorageError("the disk is full")])
def test_what_concerns_every_entry_is_raised(error: EnrichError) -> None:
    with pytest.raises(type(error)):
        read(good=error)
