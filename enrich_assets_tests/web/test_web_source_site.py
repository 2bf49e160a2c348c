"""A home page as a source: its feed is found, and said."""

from __future__ import annotations

import asyncio

import pytest

from enrich_assets.core.errors import FinalError
from enrich_assets.web.sources import entries
from enrich_assets_tests.web.source_kit import WrittenPages, source
from enrich_assets_tests.web.web_samples import page_of

SITE = "http://site.example"
FEED = "<rss version='2.0'><channel><title>The news</title><item><title>A</title><link>/a</link></item></channel></rss>"
NO_ITEMS = "<rss version='2.0'><channel><title>Empty</title></channel></rss>"
SITEMAP = f"<urlset><url><loc>{SITE}/m</loc></url></urlset>"


def listed(documents: dict[str, str], **more):
    pages = WrittenPages({f"{SITE}{p}": page_of(body, url=f"{SITE}{p}", type="") for p, body in documents.items()})
    return asyncio.run(entries(source("site", url=f"{SITE}/", **more), pages)), pages


def home(*links: str) -> str:
    return f"<html><head>{''.join(links)}</head><body>Welcome</body></html>"


def alternate(href: str, *, type: str = "application/rss+xml", title: str = "") -> str:
    return f'<link rel="alternate" type="{type}" title="{title}" href="{href}">'


def test_the_feed_that_the_page_names_is_read_and_said():
    found, pages = listed({"/": home(alternate("news.xml")), "/news.xml": FEED})
    assert pages.asked == [f"{SITE}/", f"{SITE}/news.xml"]
    assert [entry.url for entry in found.entries] == [f"{SITE}/a"]
    assert (found.taken, found.title) == (f"{SITE}/news.xml", "The news")
    assert found.warnings == (f"reads the feed {SITE}/news.xml, which the page names.",)
    assert [page.url for page in found.documents] == pages.asked


def test_a_feed_of_comments_comes_last_and_an_empty_one_is_passed_by():
    links = (alternate("/comments/feed"), alternate("/empty.xml"), alternate("/posts.xml"))
    found, pages = listed({"/": home(*links), "/empty.xml": NO_ITEMS, "/posts.xml": FEED, "/comments/feed": FEED})
    assert found.taken == f"{SITE}/posts.xml" and f"{SITE}/comments/feed" not in pages.asked


def test_without_a_named_feed_the_common_places_are_tried():
    found, pages = listed({"/": home(alternate("/gone.xml"), alternate("/x", type="text/html")), "/rss.xml": FEED})
    assert found.taken == f"{SITE}/rss.xml" and "where feeds commonly stand" in found.warnings[0]
    assert pages.asked == [f"{SITE}{path}" for path in ("/", "/gone.xml", "/feed", "/rss.xml")]


def test_without_a_feed_the_sitemap_of_robots_txt_is_read():
    robots = f"User-agent: *\nDisallow: /private\nSITEMAP: {SITE}/map.xml\n"
    found, _ = listed({"/": home(), "/robots.txt": robots, "/map.xml": SITEMAP})
    assert found.taken == f"{SITE}/map.xml" and [entry.url for entry in found.entries] == [f"{SITE}/m"]
    assert "the sitemap" in found.warnings[0] and "robots.txt names" in found.warnings[0]


def test_without_any_word_of_it_the_common_sitemap_is_read():
    found, _ = listed({"/": home(), "/sitemap.xml": SITEMAP})
    assert found.taken == f"{SITE}/sitemap.xml"


def test_a_home_page_that_is_a_feed_is_read_at_once():
    found, pages = listed({"/": FEED})
    assert len(found.entries) == 1 and found.taken == "" and len(pages.asked) == 1


def test_an_empty_feed_is_better_than_none():
    found, _ = listed({"/": home(alternate("/empty.xml")), "/empty.xml": NO_ITEMS})
    assert found.entries == () and found.taken == f"{SITE}/empty.xml"


def test_a_pattern_chooses_among_the_entries():
    found, _ = listed({"/": home(alternate("news.xml")), "/news.xml": FEED}, link_pattern="/b")
    assert found.entries == ()


def test_a_site_without_a_feed_says_so():
    with pytest.raises(FinalError, match="no feed and no sitemap") as caught:
        listed({"/": home()})
    assert caught.value.kind == "no_feed_found" and "listing" in caught.value.fix


def test_a_link_to_a_local_file_is_no_feed(tmp_path):
    (tmp_path / "feed.xml").write_text(FEED, "utf-8")
    with pytest.raises(FinalError):
        listed({"/": home(alternate(f"file://{tmp_path}/feed.xml"))})
