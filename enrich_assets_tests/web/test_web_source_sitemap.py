"""Sitemaps as sources: indexes, sets, lines, gzip, news, and their bounds."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime

import pytest

from enrich_assets.core.errors import FinalError, TransientError
from enrich_assets.web.sources import entries, sitemap, sitemap_document
from enrich_assets_tests.shared_data import shared_data
from enrich_assets_tests.web.source_kit import WrittenPages, listing_of, source
from enrich_assets_tests.web.web_samples import page_of

SITE = "http://site.example"
NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*urls: str, dates: bool = False) -> str:
    dated = "<lastmod>2026-10-{:02}</lastmod>" if dates else ""
    items = "".join(f"<url><loc>{url}</loc>{dated.format(n + 1)}</url>" for n, url in enumerate(urls))
    return f'<?xml version="1.0"?><urlset {NS}>{items}</urlset>'


def index(*children: tuple[str, str]) -> str:
    items = "".join(f"<sitemap><loc>{url}</loc><lastmod>{date}</lastmod></sitemap>" for url, date in children)
    return f"<sitemapindex {NS}>{items}</sitemapindex>"


def listed(documents: dict[str, str | bytes | Exception], **more):
    pages = WrittenPages({
        f"{SITE}{path}": page_of(body, url=f"{SITE}{path}", type="") if isinstance(body, (str, bytes)) else body
        for path, body in documents.items()
    })  # fmt: skip
    return asyncio.run(entries(source("sitemap", url=f"{SITE}/sitemap.xml", **more), pages)), pages


def test_a_set_gives_its_urls_of_its_own_site():
    found = listing_of(urlset(f"{SITE}/a", f"{SITE}/a", "http://elsewhere.com/b", "ftp://site.example/c"), "sitemap")
    assert [entry.url for entry in found.entries] == [f"{SITE}/a"]


def test_a_pattern_chooses_among_the_urls_whatever_their_site():
    body = urlset(f"{SITE}/news/a", f"{SITE}/about", "http://elsewhere.com/news/b")
    found = listing_of(body, "sitemap", link_pattern="/news/")
    assert [entry.url for entry in found.entries] == [f"{SITE}/news/a", "http://elsewhere.com/news/b"]


def test_the_last_change_orders_and_is_no_publication():
    found = listing_of(urlset(f"{SITE}/1", f"{SITE}/2", f"{SITE}/3", dates=True), "sitemap", max_items=2)
    assert [(entry.url, entry.published_at) for entry in found.entries] == [(f"{SITE}/2", None), (f"{SITE}/3", None)]
    assert found.entries[1].updated_at == datetime(2026, 10, 3, tzinfo=UTC)


def test_news_give_title_language_and_publication():
    news = "http://www.google.com/schemas/sitemap-news/0.9"
    body = (
        f'<urlset {NS} xmlns:n="{news}"><url><loc>{SITE}/a</loc><n:news><n:publication><n:name>S</n:name>'
        "<n:language>de</n:language></n:publication><n:publication_date>2026-10-30T10:00:00+02:00</n:publication_date>"
        "<n:title>Neues &amp; mehr</n:title></n:news></url></urlset>"
    )
    [entry] = listing_of(body, "sitemap").entries
    assert (entry.title, entry.language) == ("Neues & mehr", "de")
    assert entry.published_at == datetime(2026, 10, 30, 8, tzinfo=UTC)


@pytest.mark.parametrize("namespace", ["", 'xmlns="http://www.google.com/schemas/sitemap/0.84"', 'xmlns="nonsense"'])
def test_a_wrong_namespace_is_read(namespace):
    found = listing_of(f"<urlset {namespace}><url><loc> {SITE}/a </loc></url></urlset>", "sitemap")
    assert [entry.url for entry in found.entries] == [f"{SITE}/a"]


@pytest.mark.parametrize("packed", [False, True])
def test_lines_of_urls_are_read_also_packed(packed):
    body = f"\ufeff{SITE}/a\r\n\r\n{SITE}/b\nno url\n".encode()
    found = listing_of(gzip.compress(body) if packed else body, "sitemap", type="text/plain")
    assert [entry.url for entry in found.entries] == [f"{SITE}/a", f"{SITE}/b"]


def test_an_index_is_followed_newest_first_until_nothing_newer_can_come():
    found, pages = listed(
        {
            "/sitemap.xml": index((f"{SITE}/old.xml", "2026-01-01"), (f"{SITE}/new.xml", "2026-10-09")),
            "/new.xml": urlset(f"{SITE}/1", f"{SITE}/2", f"{SITE}/3", dates=True),
            "/old.xml": urlset(f"{SITE}/4"),
        },
        max_items=2,
    )
    assert pages.asked == [f"{SITE}/sitemap.xml", f"{SITE}/new.xml"]
    assert [entry.url for entry in found.entries] == [f"{SITE}/2", f"{SITE}/3"]
    assert len(found.documents) == 2 and found.size == sum(len(page.body) for page in found.documents)


def test_a_child_that_cannot_be_read_is_a_warning():
    documents = {
        "/sitemap.xml": index((f"{SITE}/gone.xml", ""), (f"{SITE}/page.html", ""), (f"{SITE}/good.xml", "")),
        "/page.html": "<html><body>x</body></html>",
        "/good.xml": urlset(f"{SITE}/a"),
    }
    found, _ = listed(documents)
    assert [entry.url for entry in found.entries] == [f"{SITE}/a"]
    assert [warning.split(" cannot")[0] for warning in found.warnings] == [f"{SITE}/gone.xml", f"{SITE}/page.html"]


def test_an_index_whose_children_all_fail_fails_as_the_first_of_them():
    with pytest.raises(TransientError, match="is down"):
        listed({"/sitemap.xml": index((f"{SITE}/a.xml", "")), "/a.xml": TransientError("is down")})


def test_an_index_that_names_itself_ends():
    found, pages = listed({"/sitemap.xml": index((f"{SITE}/sitemap.xml", ""))})
    assert pages.asked == [f"{SITE}/sitemap.xml"] and found.entries == ()
    assert "no URL that the source's rules choose" in found.warnings[0]


def test_depth_and_number_of_documents_are_bounded():
    chain = {f"/{n}.xml": index((f"{SITE}/{n + 1}.xml", "")) for n in range(9)}
    found, pages = listed({"/sitemap.xml": index((f"{SITE}/0.xml", "")), **chain})
    assert len(pages.asked) == sitemap.DEEPEST + 1 and "not all of the sitemap is read" in found.warnings[0]
    wide = {f"/{n}.xml": urlset(f"{SITE}/{n}") for n in range(60)}
    found, pages = listed({"/sitemap.xml": index(*((f"{SITE}{path}", "") for path in wide)), **wide}, max_items=100)
    assert len(pages.asked) == sitemap.MOST_DOCUMENTS and len(found.entries) == sitemap.MOST_DOCUMENTS - 1
    assert "50 documents" in found.warnings[0]


def test_a_packed_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(sitemap_document, "LARGEST_BYTES", 1_000_000)
    with pytest.raises(FinalError) as caught:
        listing_of(gzip.compress(b" " * 5_000_000), "sitemap")
    assert caught.value.kind == "too_large"


def test_more_urls_than_the_protocol_allows_are_cut(monkeypatch):
    monkeypatch.setattr(sitemap_document, "MOST_URLS", 2)
    found = listing_of(urlset(*(f"{SITE}/{n}" for n in range(5))), "sitemap")
    assert len(found.entries) == 2 and "not read to its end" in found.warnings[0]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<html><body>x</body></html>", "not_a_sitemap"),
        ("", "not_a_sitemap"),
        ("User-agent: *\nDisallow: /", "not_a_sitemap"),
        (b"\x1f\x8bbroken", "not_a_sitemap"),
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///x">]><urlset><loc>&e;</loc></urlset>', "external_entity"),
    ],
)
def test_a_document_that_is_no_sitemap_says_so(body, kind):
    with pytest.raises(FinalError) as caught:
        listing_of(body, "sitemap")
    assert caught.value.kind == kind and "source s" in str(caught.value)


def test_real_sitemaps_give_their_urls():
    folder = shared_data("robots", "crawler-commons", "src", "test", "resources", "sitemaps")
    counts = {}
    news = "extension/sitemap-news.xml"
    for name in ("sitemap.txt.gz", "xmlSitemap.gz", "sitemap.badns.xml", "sitemap-with-bom.txt", news):
        document = sitemap_document.read_sitemap(source("sitemap"), page_of((folder / name).read_bytes(), type=""))
        counts[name] = len(document.pages)
    assert list(counts.values()) == [5, 5, 2, 2, 2]
    document = sitemap_document.read_sitemap(
        source("sitemap"), page_of((folder / "sitemap.index.xml").read_bytes(), type="")
    )
    assert len(document.children) > 10


def test_packed_parts_are_one_document():
    lines = [gzip.compress(f"http://site.example/{n}\n".encode()) for n in range(3)]
    assert len(listing_of(b"".join(lines), "sitemap", type="text/plain").entries) == 3


def test_addresses_without_a_scheme_get_that_of_the_sitemap():
    lines = listing_of(b"site.example/a\nwww.site.example/b\n", "sitemap", type="text/plain").entries
    assert [entry.url for entry in lines] == ["http://site.example/a", "http://www.site.example/b"]
    body = "<urlset><url><loc>site.example/a</loc></url><url><loc>/b.html</loc></url></urlset>"
    found = listing_of(body, "sitemap", url="https://site.example/sitemap.xml").entries
    assert [entry.url for entry in found] == ["https://site.example/a", "https://site.example/b.html"]


@pytest.mark.parametrize("end", ["http://site.example/a-long-na", "", "http://site.example/c</loc></url>"])
def test_an_address_that_is_cut_is_none(end):
    listing = listing_of(
        "<urlset><url><loc>http://site.example/a</loc></url><url><loc>http://site.example/b</loc></url><url><loc>"
        + end,
        "sitemap",
    )
    assert [entry.url[-1] for entry in listing.entries] == ["a", "b", *(["c"] if end.endswith(">") else [])]
    assert any("not read to its end" in warning for warning in listing.warnings)
