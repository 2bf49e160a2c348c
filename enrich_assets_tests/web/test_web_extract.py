"""What is read in an HTML page."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich_assets.core.errors import FinalError
from enrich_assets.web.extract import content_hash, decoded, extract
from enrich_assets.web.language import language_of
from enrich_assets.web.markup import text_of_html
from enrich_assets.web.urls import canonicalize, on_same_site, registered_domain
from enrich_assets_tests.shared_data import shared_data
from enrich_assets_tests.web.web_samples import page_of

BODY = "".join(
    f"<p>The harbour opened its {word} crane on a bright morning, and the first ship came in with the tide, loaded "
    f"with timber and grain for the {word} time this year.</p>"
    for word in ("first", "second", "third", "fourth", "fifth")
)


def article(head="", *, attributes="", body=BODY, before=""):
    return (
        f"<!doctype html><html{attributes}><head><title>Cranes</title>{head}</head>"
        f"<body>{before}<article><h1>Cranes</h1>{body}</article></body></html>"
    )


def test_an_article_gives_its_content():
    got = extract(
        page_of(
            article(
                '<meta property="og:title" content="New cranes"><meta name="author" content="Ada Berg">'
                '<meta property="article:published_time" content="2026-10-30T22:15:00-04:00">'
                '<link rel="canonical" href="https://www.site.example/cranes?utm_source=x">',
                attributes=' lang="en-GB"',
                before="<nav><a href='/'>Home</a> <a href='/x'>Subscribe</a></nav>",
            )
        )
    )
    assert (got.title, got.author, got.language) == ("New cranes", "Ada Berg", "en")
    assert got.published_at == datetime(2026, 10, 31, 2, 15, tzinfo=UTC)
    assert got.canonical_url == "https://www.site.example/cranes"
    assert "fifth crane" in got.text and "Subscribe" not in got.text


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ('<script type="application/ld+json">{"@graph":[{"@type":"NewsArticle",'
         '"datePublished":"2026-10-01T06:30:00Z"}]}</script>',
         datetime(2026, 10, 1, 6, 30, tzinfo=UTC)),
        ('<script type="application/ld+json">{broken</script>', None),
        ('<script type="application/ld+json">' + "[" * 5000 + "</script>", None),
        ('<meta property="article:published_time" content="2026-10-02">', datetime(2026, 10, 2, tzinfo=UTC)),
        ('<meta property="article:published_time" content="yesterday">', None),
        ("", None),
    ],
)  # fmt: skip
def test_the_date_is_what_the_page_states(head, expected):
    assert extract(page_of(article(head))).published_at == expected


def test_a_time_element_adds_the_hour():
    got = extract(page_of(article(body='<time datetime="2026-10-05T14:45:00+02:00">5 October 2026</time>' + BODY)))
    assert got.published_at == datetime(2026, 10, 5, 12, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("/other", "http://site.example/other"),
        ("https://news.elsewhere.com/other", "http://site.example/news/1"),
        ("javascript:void(0)", "http://site.example/news/1"),
        ("http://[broken", "http://site.example/news/1"),
    ],
)
def test_only_a_canonical_link_to_the_same_site_is_believed(href, expected):
    assert extract(page_of(article(f'<link rel="canonical" href="{href}">'))).canonical_url == expected


@pytest.mark.parametrize("body", ["", "<html></html>", "<html><body><script>x()</script></body></html>", "<!-- x -->"])
def test_a_page_without_text_gives_an_empty_text(body):
    assert extract(page_of(body)).text == ""


def test_another_kind_of_document_is_not_html():
    with pytest.raises(FinalError) as caught:
        extract(page_of(b"%PDF-1.7", type="application/pdf"))
    assert caught.value.kind == "not_html"


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("<p>Größe €</p>".encode(), ""),
        ("<p>Größe €</p>".encode("cp1252"), "iso-8859-1"),
        (b'<meta charset="windows-1252">' + "<p>Größe €</p>".encode("cp1252"), ""),
        (b"\xff\xfe" + "<p>Größe €</p>".encode("utf-16-le"), "utf-8"),
        ("<p>Größe €</p>".encode(), "no-such-charset"),
    ],
)
def test_the_bytes_are_read_in_their_charset(body, charset):
    assert "Größe €" in decoded(page_of(body, charset=charset))


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("en", "The company said on Monday that it will open a new plant in the north of the country next year."),
        ("de", "Das Unternehmen teilte am Montag mit, dass es im Norden ein neues Werk eröffnen wird."),
        ("fr", "La société a annoncé lundi qu'elle ouvrira une nouvelle usine dans le nord du pays pour les machines."),
        ("es", "La empresa dijo el lunes que abrirá una nueva planta en el norte del país para las máquinas."),
        ("it", "La società ha detto lunedì che aprirà un nuovo stabilimento nel nord del paese per le macchine."),
        ("pt", "A empresa disse na segunda-feira que vai abrir uma nova fábrica no norte do país para as máquinas."),
        ("nl", "Het bedrijf zei maandag dat het volgend jaar een nieuwe fabriek in het noorden van het land opent."),
        ("", "Zxq wvut prst klmn bcdf ghjk."),
        ("", "Hi"),
    ],
)
def test_the_language_is_voted_by_the_commonest_words(expected, text):
    assert language_of(text) == expected


def test_the_page_s_word_on_its_language_goes_first():
    assert extract(page_of(article('<meta property="og:locale" content="de_DE">'))).language == "de"
    assert extract(page_of(article())).language == "en"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (" HTTPS://News.Example:443/A/?b=2&a=1#part ", "https://news.example/A/?b=2&a=1"),
        ("http://a.example:80", "http://a.example/"),
        ("http://a.example:8080/x", "http://a.example:8080/x"),
        ("http://a.example/x?utm_source=n&id=7&fbclid=z&UTM_Medium=m", "http://a.example/x?id=7"),
        ("http://a.example/x?utm_source=n", "http://a.example/x"),
        ("http://a.example/x/", "http://a.example/x/"),
        ("http://user:word@a.example./x", "http://a.example/x"),
        ("http://b\u00fccher.example/x", "http://xn--bcher-kva.example/x"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        ("mailto:a@b.example", "mailto:a@b.example"),
        ("http://[broken", "http://[broken"),
    ],
)
def test_a_url_has_one_canonical_spelling(url, expected):
    assert canonicalize(url) == expected


@given(st.one_of(st.text(max_size=60), st.from_regex(r"https?://[a-zA-Z.:\[\]@0-9]{1,15}/[^\s]{0,20}", fullmatch=True)))
def test_canonicalizing_never_fails_and_twice_is_once(url):
    once = canonicalize(url)
    assert canonicalize(once) == once


def test_the_registered_domain_follows_the_public_suffixes():
    assert registered_domain("https://news.bbc.co.uk/x") == "bbc.co.uk"
    assert on_same_site("http://www.bbc.co.uk/a", "https://news.bbc.co.uk/b")
    assert not on_same_site("http://one.co.uk/", "http://two.co.uk/")
    assert on_same_site("http://www.site.example/", "http://site.example/")


def test_equal_reading_has_an_equal_hash():
    assert content_hash("Caf\u00e9  opens\n\ttoday") == content_hash(" CAFE\u0301 opens today ")
    assert content_hash("a b") != content_hash("ab")


def test_a_fragment_becomes_lines_of_text():
    html = "<p>One <b>bold</b> word.</p><ul><li>first</li><li>second</li></ul><script>no()</script>A &amp; B<br>C"
    assert text_of_html(html) == "One bold word.\nfirst\nsecond\nA & B\nC"


def _shingles(text):
    words = re.findall(r"\w+", text.lower())
    return Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)))


def _f1(found, expected):
    one, other = _shingles(found), _shingles(expected)
    return 2 * (one & other).total() / (one.total() + other.total())


def test_the_text_of_real_article_pages_is_found():
    folder = shared_data("html", "aeb")
    gold = json.loads((folder / "ground-truth.json").read_text("utf-8"))
    scores = []
    for name in sorted(gold)[::4][:20]:
        body = gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes())
        got = extract(page_of(body, url=gold[name]["url"]))
        scores.append(_f1(got.text, gold[name]["articleBody"]))
    mean = sum(scores) / len(scores)
    print(f"4-shingle F1 on {len(scores)} pages: {mean:.4f}")
    assert mean >= 0.93
