"""The headline of a page."""

from __future__ import annotations

import pytest

from enrich_assets.web.extract import extract
from enrich_assets_tests.web.web_samples import page_of

TEXT = "<p>The harbour opened its new crane on a bright morning, and the first ship came in with the tide.</p>" * 3


def title_of(head="", headings="", url="https://www.thedailypost.example/news/1"):
    body = f"<!doctype html><html lang='en'><head>{head}</head><body>{headings}{TEXT}</body></html>"
    return extract(page_of(body, url=url)).title


OG = '<meta property="og:title" content="{}"><meta property="og:site_name" content="{}">'


@pytest.mark.parametrize(
    ("stated", "site", "expected"),
    [
        ("Harbour opens crane | The Daily Post", "The Daily Post", "Harbour opens crane"),
        ("Harbour opens crane - Daily Post", "The Daily Post", "Harbour opens crane"),
        ("The Daily Post: Harbour opens crane", "Elsewhere", "The Daily Post: Harbour opens crane"),
        ("The Daily Post | Harbour opens crane", "", "Harbour opens crane"),
        ("Harbour opens crane \u2013 TheDailyPost.example", "", "Harbour opens crane"),
        ("Harbour opens crane \u2013 at last", "The Daily Post", "Harbour opens crane \u2013 at last"),
        ("Well-known harbour \u2014 Daily \u2014 Daily Post", "Daily Post", "Well-known harbour \u2014 Daily"),
    ],
)
def test_the_site_s_name_is_no_part_of_it(stated, site, expected):
    assert title_of(OG.format(stated, site)) == expected


def test_the_heading_goes_before_what_is_written_for_search_engines():
    head = OG.format("You will not believe what the harbour opened", "Post")
    assert title_of(head, "<h1>The harbour opened its <i>new</i> crane</h1>") == "The harbour opened its new crane"


@pytest.mark.parametrize(
    "headings",
    [
        "<h1>The Daily Post</h1>",
        "<h1>Economy</h1>",
        "<h1>Something altogether different here</h1>",
        "<h1>Harbour one</h1><h1>Harbour two</h1>",
        "<h1> </h1>",
    ],
)
def test_a_heading_that_is_no_headline_does_not_count(headings):
    assert title_of(OG.format("Harbour opens crane", "The Daily Post"), headings) == "Harbour opens crane"


def test_a_kicker_within_the_heading_is_left_out():
    heading = "<h1><span>Economy</span> Harbour opens crane</h1>"
    assert title_of(OG.format("Harbour opens crane", "Post"), heading) == "Harbour opens crane"


def test_linked_data_names_the_headline():
    stated = '<script type="application/ld+json">{"@type":"NewsArticle","headline":"Cranes &amp; ships"}</script>'
    assert title_of(stated + "<title>Port news</title>") == "Cranes & ships"
    broken = '<script type="application/ld+json">{"@type":"NewsArticle","headline":7}</script>'
    assert title_of(broken + "<title>Port news</title>") == "Port news"


def test_a_page_without_any_has_none():
    assert title_of() == ""
