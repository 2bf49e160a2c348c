"""The demo site: what it serves over real HTTP, and that its articles are really different from each other."""

from __future__ import annotations

import http.client
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import feedparser
import pytest
import trafilatura

from enrich_assets.core.errors import UserError
from enrich_assets.graphs.intelligence.demo.content import SOURCES, Article, read_articles
from enrich_assets.graphs.intelligence.demo.site import GALLERY_URL, MISSING_URL, PDF_URL, DemoSite, demo_site

AS_OF = datetime(2026, 11, 2, 9, tzinfo=UTC)
PLANTED = {
    "wrong_language", "too_short", "too_old", "no_keyword", "excluded_keyword", "exact_duplicate", "near_duplicate",
    "already_reported", "listed_twice", "below_threshold", "too_little_prose", "prompt_leftover",
}  # fmt: skip
UNSUPPORTED = ("Vantry Dynamics", "Jonas Elbaum", "Project Halcyon")


@pytest.fixture(scope="module")
def site() -> Iterator[DemoSite]:
    with demo_site() as running:
        yield running


@pytest.fixture(scope="module")
def articles() -> list[Article]:
    return read_articles()


def get(site: DemoSite, url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers with lower-case names, and body, as a client sees them that knows the routes."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = http.client.HTTPConnection(*site.routes[host], timeout=5)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Host": host} | {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def feed_links(site: DemoSite, source_id: str) -> list[str]:
    source = SOURCES[source_id]
    body = get(site, source.feed)[2]
    if source.kind == "json":
        return [item["url"] for item in json.loads(body)["items"]]
    return [entry.link for entry in feedparser.parse(io.BytesIO(body)).entries]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def shingles(text: str) -> set[tuple[str, ...]]:
    parts = words(text)
    return {tuple(parts[start : start + 4]) for start in range(len(parts) - 3)}


def test_sixty_articles_stand_in_eight_sources_and_every_case_is_planted(articles: list[Article]) -> None:
    cases = Counter(article.case for article in articles)

    assert len(articles) >= 60
    assert len({article.source.id for article in articles}) >= 8
    assert cases.keys() >= PLANTED
    assert len([article for article in articles if article.source.id == "company_atlas"]) >= 10


def test_dates_stand_before_the_demo_s_now_and_only_the_planted_ones_are_old(articles: list[Article]) -> None:
    for article in articles:
        assert article.published < AS_OF, article.name
        if article.source.id == "company_atlas":
            assert article.published.year == 2024, article.name
        else:
            assert (article.published < datetime(2026, 10, 20, tzinfo=UTC)) == (article.case == "too_old"), article.name


@pytest.mark.parametrize("source_id", [source.id for source in SOURCES.values() if source.kind in ("rss", "atom")])
def test_a_feed_is_well_formed_and_lists_what_the_source_published(
    site: DemoSite, articles: list[Article], source_id: str
) -> None:
    source = SOURCES[source_id]
    status, headers, body = get(site, source.feed)
    feed = feedparser.parse(io.BytesIO(body), response_headers={"content-type": headers["content-type"]})
    listed = {entry.title: entry for entry in feed.entries}

    assert status == 200
    assert not feed.bozo
    assert feed.version == {"rss": "rss20", "atom": "atom10"}[source.kind]
    for article in articles:
        if article.source is source or article.also_in == source.id:
            entry = listed[article.title]
            assert datetime(*entry.published_parsed[:6], tzinfo=UTC) == article.published
            assert entry.author == article.author
            carried = words(entry.content[0].value) if article.full_text else []
            assert len(carried) >= (len(words(article.text)) if article.full_text else 0)


def test_the_json_feed_names_its_version_and_its_articles(site: DemoSite, articles: list[Article]) -> None:
    status, headers, body = get(site, SOURCES["open_circuit"].feed)
    feed = json.loads(body)
    listed = {item["url"]: item for item in feed["items"]}

    assert status == 200
    assert headers["content-type"].startswith("application/feed+json")
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    for article in articles:
        if article.source.id == "open_circuit":
            assert datetime.fromisoformat(listed[article.url]["date_published"]) == article.published


def test_a_listing_links_to_its_articles_and_to_pages_that_a_pattern_leaves_out(
    site: DemoSite, articles: list[Article]
) -> None:
    for source in (SOURCES["field_notes"], SOURCES["company_atlas"]):
        status, _, body = get(site, source.home)
        links = re.findall(r'<a [^>]*href="([^"]+)"', body.decode("utf-8"))
        own = {article.path for article in articles if article.source is source}

        assert status == 200
        assert {link for link in links if re.fullmatch(r"/articles/[a-z0-9-]+\.html", link)} == own
        assert {"/about.html", "/archive/2026-09.html"} <= set(links)
        assert all(get(site, f"http://{source.host}{link}")[0] == 200 for link in set(links) - own)


def test_every_page_is_served_and_its_text_can_be_extracted(site: DemoSite, articles: list[Article]) -> None:
    for article in articles:
        status, headers, body = get(site, article.url)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8"), article.name
        extracted = trafilatura.bare_extraction(body.decode("utf-8"), fast=True, with_metadata=True)
        if article.case and article.case not in ("exact_duplicate", "near_duplicate", "listed_twice", "too_old"):
            assert extracted.text, article.name
            continue
        wanted, found = Counter(words(article.text)), Counter(words(extracted.text))
        assert (wanted & found).total() >= 0.95 * wanted.total(), article.name
        assert (found - wanted).total() <= 0.1 * wanted.total(), article.name
        assert article.author.split()[-1] in extracted.author, article.name


def test_planted_links_answer_as_planted(site: DemoSite, articles: list[Article]) -> None:
    assert MISSING_URL in feed_links(site, "signal_review")
    assert PDF_URL in feed_links(site, "policy_desk")
    assert GALLERY_URL in feed_links(site, "open_circuit")

    assert get(site, MISSING_URL)[0] == 404
    assert get(site, PDF_URL)[1]["content-type"] == "application/pdf"
    gallery = get(site, GALLERY_URL)
    assert gallery[0] == 200
    assert not trafilatura.extract(gallery[2].decode("utf-8"), fast=True)
    assert get(site, "http://quiet-mirror.example/feed")[0] == 503

    (twice,) = [article for article in articles if article.case == "listed_twice"]
    assert twice.url in feed_links(site, twice.source.id)
    assert twice.url in feed_links(site, twice.also_in)


def test_a_feed_may_list_an_article_by_another_url(site: DemoSite, articles: list[Article]) -> None:
    others = [article for article in articles if article.feed_link]

    assert others
    for article in others:
        assert article.feed_link in feed_links(site, article.source.id)
        status, headers, body = get(site, article.feed_link)
        assert headers["location"] == article.url if status == 301 else article.url in body.decode("utf-8")


def test_a_client_that_has_the_page_gets_304(site: DemoSite, articles: list[Article]) -> None:
    url = articles[0].url
    _, headers, _ = get(site, url)

    assert get(site, url, If_None_Match=headers["etag"])[0] == 304
    assert get(site, url, If_Modified_Since=headers["last-modified"])[0] == 304
    assert get(site, url, If_None_Match='"other"', If_Modified_Since=headers["last-modified"])[0] == 200
    assert get(site, url, If_Modified_Since="not a date")[0] == 200


def test_no_two_articles_share_more_than_a_tenth_of_their_shingles(articles: list[Article]) -> None:
    sets = {article.name: shingles(article.text) for article in articles}
    texts = [(name, found) for name, found in sets.items() if found]
    close: dict[frozenset[str], float] = {}
    for position, (name, found) in enumerate(texts):
        for other, theirs in texts[:position]:
            share = len(found & theirs) / min(len(found), len(theirs))
            if share > 0.1:
                close[frozenset((name, other))] = share
    cases = {article.name: article.case for article in articles}

    duplicates = {"exact_duplicate", "near_duplicate"}
    assert len(close) == len([case for case in cases.values() if case in duplicates])
    for pair, share in close.items():
        (planted,) = [name for name in pair if cases[name] in duplicates]
        assert share == 1 if cases[planted] == "exact_duplicate" else 0.85 < share < 1


def test_unsupported_names_stand_in_one_or_two_texts_and_are_never_defined(articles: list[Article]) -> None:
    texts = [article.text for article in articles if article.case != "exact_duplicate"]

    for name in UNSUPPORTED:
        assert 1 <= sum(name in text for text in texts) <= 2, name
        assert not any(re.search(rf"{name},? (is|was|are) an? ", text) for text in texts), name


def test_planted_texts_are_what_their_case_says(articles: list[Article]) -> None:
    by_case: dict[str, list[Article]] = {}
    for article in articles:
        by_case.setdefault(article.case, []).append(article)

    (leftover,) = by_case["prompt_leftover"]
    assert "As an AI language model, I cannot" in leftover.paragraphs[0]
    assert all("sponsored content" in article.text for article in by_case["excluded_keyword"])
    assert all(article.lang == "de" for article in by_case["wrong_language"])
    assert all(len(words(article.text)) <= 45 for article in by_case["too_short"])
    for article in by_case["too_little_prose"]:
        assert len(words(article.text)) >= 200
        assert not re.search(r"[a-z]\.(\s|$)", article.text)
        # Longer than any analysis, so that no choice of its lines can stand in for one.
        assert all(len(paragraph) > 600 for paragraph in article.paragraphs)


def test_requests_are_counted_by_host_and_nothing_is_left_running() -> None:
    before = threading.active_count()
    with demo_site() as site:
        idle = http.client.HTTPConnection(*site.routes["policy-desk.example"], timeout=5)
        idle.request("GET", "/feed", headers={"Host": "policy-desk.example"})
        idle.getresponse().read()
        get(site, "http://harbor-ledger.example/feed")
        get(site, "http://harbor-ledger.example/robots.txt")

        assert site.requests == {"policy-desk.example": 1, "harbor-ledger.example": 2}
    idle.close()

    assert threading.active_count() == before
    with pytest.raises(OSError):
        get(site, "http://policy-desk.example/feed")


def test_a_host_that_is_no_source_has_no_documents(site: DemoSite) -> None:
    status, _, _ = get(site, "http://policy-desk.example/feed", Host="elsewhere.example")

    assert status == 404


def test_a_file_without_front_matter_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "harbor_ledger" / "bare.md"
    file.parent.mkdir()
    file.write_text("Only text.\n", encoding="utf-8")

    with pytest.raises(UserError, match=r"bare\.md"):
        read_articles(tmp_path)
