"""What the kinds of sources list."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from enrich_assets.core.errors import FinalError
from enrich_assets.web import patterns
from enrich_assets_tests.shared_data import shared_data
from enrich_assets_tests.web.source_kit import listing_of, source

LONG = " ".join(f"word{i}" for i in range(130))


def listed(body, kind="feed", **more):
    return list(listing_of(body, kind, **more).entries)


RSS = f"""<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel><title>S</title><language>en-US</language>
<item><title>A &amp;amp; B</title><link>/a</link><dc:creator>Ada Berg</dc:creator>
 <pubDate>Fri, 30 Oct 2026 10:00:00 +0200</pubDate>
 <description>&lt;p&gt;Short &lt;b&gt;text&lt;/b&gt;.&lt;/p&gt;</description>
</item><item><title>B</title><link>http://site.example/b</link>
 <content:encoded><![CDATA[<p>{LONG}</p><script>no()</script>]]></content:encoded></item>
<item><title>No link</title></item>
<item><title>Mail</title><link>mailto:a@b.example</link></item>
</channel></rss>"""


def test_rss_gives_its_entries():
    first, second = listed(RSS)
    assert (first.url, first.title, first.author) == ("http://site.example/a", "A & B", "Ada Berg")
    assert first.published_at == datetime(2026, 10, 30, 8, 0, tzinfo=UTC)
    assert (first.summary, first.full_text, first.language) == ("Short text.", None, "en")
    assert second.full_text == LONG and second.published_at is None


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_date_that_a_program_wrote_for_none_is_none(date):
    item = f"<item><title>A</title><link>/a</link><pubDate>{date}</pubDate></item>"
    assert listed(f'<rss version="2.0"><channel>{item}</channel></rss>')[0].published_at is None
    feed = {"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "url": "/a", "date_published": date}]}
    assert listed(json.dumps(feed), type="application/json")[0].published_at is None


def test_atom_gives_its_entries():
    [entry] = listed(
        f"""<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>S</title><entry>
        <title type="html">&lt;i&gt;Neu&lt;/i&gt;</title><link href="http://site.example/c"/>
        <author><name>Eva Kern</name></author>
        <updated>2026-10-29T12:00:00Z</updated><published>2026-10-28T12:00:00Z</published><summary>Kurz.</summary>
        <content type="html">&lt;p&gt;{LONG}&lt;/p&gt;</content></entry></feed>"""
    )
    assert (entry.title, entry.author, entry.summary) == ("Neu", "Eva Kern", "Kurz.")
    assert entry.published_at == datetime(2026, 10, 28, 12, 0, tzinfo=UTC)
    assert entry.full_text == LONG and entry.language == "de"


def test_rdf_gives_its_entries():
    [entry] = listed(
        """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">
        <channel rdf:about="http://site.example/"><title>S</title></channel>
        <item rdf:about="http://site.example/d"><title>D</title><link>http://site.example/d</link></item></rdf:RDF>"""
    )
    assert (entry.url, entry.title) == ("http://site.example/d", "D")


def test_json_feed_gives_its_entries():
    feed = {
        "version": "https://jsonfeed.org/version/1.1", "title": "S", "language": "en", "authors": [{"name": "Desk"}],
        "items": [
            {"id": "1", "url": "/e", "title": "E", "content_html": f"<p>{LONG}</p>", "summary": "Short.",
             "date_published": "2026-10-27T08:00:00-05:00", "authors": [{"name": "Ada"}, {"name": "Bo"}]},
            {"id": "http://site.example/f", "content_text": "Only text."},
            {"id": "3", "title": "No link"}, "no object", {"id": 4, "url": 5},
        ],
    }  # fmt: skip
    first, second = listed(json.dumps(feed), type="application/feed+json")
    assert (first.url, first.author, first.full_text) == ("http://site.example/e", "Ada; Bo", LONG)
    assert first.published_at == datetime(2026, 10, 27, 13, 0, tzinfo=UTC)
    assert (second.url, second.author, second.summary, second.full_text) == (
        "http://site.example/f", "Desk", "Only text.", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "looks_like"),
    [
        ("<!doctype html><html><head><title>x</title></head><body>y</body></html>", "an HTML page"),
        ("<html><body><item><link>http://a.example/</link></item></body></html>", "an HTML page"),
        ("", "empty"),
        ("<?xml version='1.0'?><note><to>you</to></note>", "XML of another kind"),
        (b"%PDF-1.7 \x00\x01", "a PDF"),
        ('{"items": []}', "no JSON Feed"),
        ("[1, 2]", "no JSON Feed"),
        ("{broken", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_document_that_is_no_feed_says_what_it_is(body, looks_like):
    with pytest.raises(FinalError, match=looks_like) as caught:
        listed(body)
    assert caught.value.kind == "not_a_feed" and "http://site.example/feed" in str(caught.value)


def test_a_body_that_names_a_local_file_does_not_open_it(tmp_path):
    (tmp_path / "feed.xml").write_text(RSS, "utf-8")
    with pytest.raises(FinalError):
        listed(str(tmp_path / "feed.xml"))


def test_the_newest_entries_are_read_in_the_feed_s_order():
    items = "".join(
        f"<item><link>http://site.example/{day}</link><pubDate>{day:02} Oct 2026 10:00:00 GMT</pubDate></item>"
        for day in (3, 9, 1, 7)
    )
    found = listed(f"<rss version='2.0'><channel>{items}</channel></rss>", max_items=2)
    assert [entry.url[-1] for entry in found] == ["9", "7"]
    undated = "".join(f"<item><link>http://site.example/{n}</link></item>" for n in range(9))
    found = listed(f"<rss version='2.0'><channel>{undated}</channel></rss>", max_items=3)
    assert [entry.url[-1] for entry in found] == ["0", "1", "2"]


LISTING = """<html><head><base href="/news/"></head><body><a href="/about">About</a>
<a href="one"><img src="x"></a><a href="one#comments"> The
 first </a><a href="/news/two?utm_source=list">Second</a><a href="http://elsewhere.com/news/three">Third</a>
<a href="javascript:x()">No</a><a href="http://[broken">No</a><a href="mailto:a@b.example">No</a></body></html>"""


def test_a_listing_gives_its_links_once_in_page_order():
    found = listed(LISTING, "listing", type="text/html", link_pattern=r"/news/\w+")
    assert [(entry.url, entry.title) for entry in found] == [
        ("http://site.example/news/one", "The first"),
        ("http://site.example/news/two?utm_source=list", "Second"),
        ("http://elsewhere.com/news/three", "Third"),
    ]


def test_a_listing_without_a_pattern_stays_on_its_site():
    found = listed(LISTING, "listing", type="text/html")
    assert [entry.url for entry in found] == [
        "http://site.example/about", "http://site.example/news/one", "http://site.example/news/two?utm_source=list",
    ]  # fmt: skip


def test_a_listing_that_cannot_be_read_is_final():
    with pytest.raises(FinalError) as caught:
        listed(LISTING, "listing", type="application/pdf")
    assert caught.value.kind == "not_html"


def test_a_pattern_that_never_ends_ends():
    begun = time.monotonic()
    with pytest.raises(FinalError, match=r"\(a\|aa\)\+\$.*takes too long.*aaaa") as caught:
        listed(f'<a href="/{"a" * 60}!">x</a>', "listing", type="text/html", link_pattern="(a|aa)+$")
    assert caught.value.kind == "bad_link_pattern" and time.monotonic() - begun < 30


def test_the_time_of_a_pattern_is_counted_over_all_links(monkeypatch):
    monkeypatch.setattr(patterns, "LONGEST_MATCHING_SECONDS", 0.0)
    with pytest.raises(FinalError, match="takes too long"):
        listed(LISTING, "listing", type="text/html", link_pattern="news")


@pytest.mark.parametrize(
    "pattern", ["((", "*", "((a{1000}){1000}){1000}", "a{" + "9" * 900 + "}", "x" * 1001, "(" * 999]
)
def test_a_pattern_that_cannot_be_compiled_is_refused_with_the_settings(pattern):
    with pytest.raises(ValidationError, match="link_pattern"):
        source("listing", link_pattern=pattern)


def test_a_page_is_its_own_entry():
    assert [entry.url for entry in listed("<p>x</p>", "page", url="http://site.example/x")] == ["http://site.example/x"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_do_not_explode(encoding):
    bomb = (
        '<?xml version="1.0"?><!DOCTYPE r [\n<!ENTITY a "' + "a" * 100_000 + '">]><rss version="2.0"><channel><item>'
        "<link>http://site.example/1</link><title>" + "&a;" * 100_000 + "</title></item></channel></rss>"
    ).encode(encoding)
    begun = time.monotonic()
    with pytest.raises(FinalError) as caught:
        listed(bomb)
    assert caught.value.kind == "xml_bomb" and time.monotonic() - begun < 20


def test_entities_of_entities_do_not_explode():
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    with pytest.raises(FinalError) as caught:
        listed(
            f'<!DOCTYPE r [<!ENTITY l0 "ha">{laughs}]><rss version="2.0"><channel><title>&l9;</title></channel></rss>'
        )
    assert caught.value.kind == "xml_bomb"


def test_an_entity_of_another_document_is_refused(tmp_path):
    (tmp_path / "secret").write_text("hidden", "utf-8")
    outside = f'<!DOCTYPE r [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
    with pytest.raises(FinalError) as caught:
        listed(f'{outside}<rss version="2.0"><channel><item><title>&e;</title></item></channel></rss>')
    assert caught.value.kind == "external_entity"


@pytest.mark.parametrize("kind", ["feed", "sitemap"])
@pytest.mark.parametrize(
    "inner",
    [
        "<a>" * 1_000_000,
        "<a>" * 500_000 + "</a>" * 500_000,
        "<title>" + "<!-- " * 500_000,
        "<title>" + "<![CDATA[" * 500_000,
        f"<author>{'a' * 1_000_000}</author>",
        "<item><title>x</title><link>http://site.example/1</link></item>" * 20_000,
    ],
    ids=["open", "closed", "comments", "cdata", "author", "items"],
)
def test_what_is_made_to_take_long_ends_soon(kind, inner):
    begun = time.process_time()
    with contextlib.suppress(FinalError):
        listed(f"<rss version='2.0'><channel>{inner}</channel></rss>", kind)
    assert time.process_time() - begun < 5


def _rss(inner, more="", before=""):
    return f"{before}<rss version='2.0'{more}><channel><title>t</title>{inner}</channel></rss>"


def _item(inner):
    return f"<item><link>http://site.example/1</link>{inner}</item>"


def _named(count, of='a{}=""'):
    return " ".join(of.format(number) for number in range(count))


def _json_feed(*items):
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "T", "items": items})


_LINK = '<a href="'
_DECLARED = "a{} CDATA '1'"
HOSTILE = {
    "attributes": (_rss(_item(f"<x {_named(20_000)}/>")), "xml_bomb"),
    "many attributes": (_rss(_item(f"<x {_named(200_000)}/>")), "xml_bomb"),
    "attributes everywhere": (_rss(_item(f"<x {_named(240)}/>" * 4_000)), "too_large"),
    "attributes, broken": (_rss(_item(f"<x {_named(200_000)}<y>")), "entries"),
    "attributes, declared": (
        _rss(_item("<x/>" * 9_000), before=f"<!DOCTYPE rss [<!ATTLIST x {_named(200, _DECLARED)}>]>"),
        "xml_bomb",
    ),
    "namespaces of the root": (_rss(_item(""), " " + _named(50_000, 'xmlns:p{}="u"')), "xml_bomb"),
    "namespaces": (_rss(_item("".join(f"<p{n}:a xmlns:p{n}='u{n}'/>" for n in range(50_000)))), "xml_bomb"),
    "elements": (_rss(_item("<a/>" * 2_000_000)), "too_large"),
    "elements, broken": (_rss(_item("<b></b>" * 500_000 + "</x>")), "entries"),
    "nested": (_rss(_item(f"<description>{'&lt;div&gt;' * 400_000}</description>")), "entries"),
    "nested everywhere": (_rss(_item(f"<description>{'&lt;div&gt;' * 9_000}</description>") * 90), "entries"),
    "full texts": (_rss(_item(f"<description>{'&lt;p&gt;hello you there' * 480}</description>") * 800), "entries"),
    "characters": (_rss(_item(f"<title>{'&#x26;' * 1_000_000}</title>")), "entries"),
    "bare ampersands": (_rss(_item(f"<title>{'&' * 5_000_000}</title>")), "entries"),
    "links": (_rss(_item(f"<description><![CDATA[{_LINK * 400_000}]]></description>")), "entries"),
    "title": (_rss(_item(f"<title>{'a' * 5_000_000}</title>")), "entries"),
    "date": (_rss(_item(f"<pubDate>{'1 ' * 3_000_000}</pubDate>")), "entries"),
    "declared entities": (_rss(_item("<x></x>" * 500_000), before="<!DOCTYPE r [<!ENTITY a 'b'>]>"), "entries"),
    "JSON items": (_json_feed(*[{"id": str(n), "url": f"http://site.example/{n}"} for n in range(100_000)]), "entries"),
    "JSON text": (_json_feed({"url": "http://site.example/1", "content_html": "<div>" * 1_500_000}), "entries"),
    "JSON texts": (_json_feed(*[{"url": "http://s.example/1", "summary": "<p>a" * 2_000}] * 1_000), "entries"),
}


@pytest.mark.parametrize(("body", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_feed_ends_soon(body, expected):
    begun = time.process_time()
    try:
        found = listing_of(body, max_items=100_000)
        outcome = "entries"
        assert len(found.entries) <= 1_000
        assert all(len(entry.title) <= 10_000 and len(entry.summary) <= 500_000 for entry in found.entries)
    except FinalError as error:
        outcome = error.kind
    assert outcome == expected
    assert time.process_time() - begun < 10


def test_half_an_address_is_no_address():
    long = f"http://site.example/{'a' * 10_000}"
    assert listed(_rss(f"<item><title>x</title><link>{long}</link></item>")) == []
    assert listed(_json_feed({"id": "1", "title": "x", "url": long})) == []


def test_texts_beyond_the_bound_are_left_to_the_pages():
    body = f"<description>{'&lt;p&gt;' + LONG + '&lt;i&gt;' * 6_000}</description>"
    first, *_, last = listed(_rss(_item(body) * 12))
    assert first.full_text == LONG and last.full_text is None and last.url


def test_a_feed_with_many_namespaces_and_attributes_is_read():
    names = _named(60, 'xmlns:p{0}="http://site.example/{0}"')
    [entry] = listed(_rss(_item(f"<title>A</title><x {_named(100)}/>"), f" {names}"))
    assert entry.title == "A"


@pytest.mark.parametrize("mark", ["\ufeff", "\ufeff \n", ""])
def test_a_byte_order_mark_before_a_json_feed_is_passed_over(mark):
    [entry] = listed(mark + _json_feed({"id": "1", "url": "/a", "title": "Ä"}), type="application/json")
    assert (entry.url, entry.title) == ("http://site.example/a", "Ä")


def test_a_harmless_entity_is_read():
    [entry] = listed(
        '<!DOCTYPE r [\n<!ENTITY ae "Example">\n]><rss version="2.0"><channel><item><link>http://site.example/1</link>'
        "<title>&ae; news</title></item></channel></rss>"
    )
    assert entry.title == "Example news"


def _outcome(path, kind="feed"):
    # The processor's time: other programs of the machine do not count.
    begun = time.process_time()
    try:
        outcome = "entries" if listing_of(path.read_bytes(), kind, type="").entries else "none"
    except FinalError as error:
        outcome = error.kind
    assert time.process_time() - begun < 10, path.name
    return outcome


DANGERS = {
    "cyclic.xml": "xml_bomb",
    "external.xml": "external_entity",
    "external_file.xml": "external_entity",
    "quadratic.xml": "xml_bomb",
}


def test_xml_bombs_end_quickly():
    for path in sorted(shared_data("security", "defusedxml", "xmltestdata").iterdir()):
        assert _outcome(path) == DANGERS.get(path.name, "not_a_feed"), path.name


def _feed_files():
    return sorted(path for path in shared_data("feeds").rglob("*") if path.is_file())


KNOWN = {"entries", "none", "not_a_feed", "xml_bomb", "external_entity"}


def test_every_real_feed_file_is_read_without_an_accident():
    outcomes = Counter(_outcome(path) for path in _feed_files())
    print(outcomes)
    assert outcomes.total() > 2000 and outcomes["entries"] > 100 and set(outcomes) <= KNOWN


def test_every_file_of_a_crawler_s_tests_is_read_as_a_sitemap_without_an_accident():
    files = sorted(path for path in shared_data("robots", "crawler-commons").rglob("*") if path.is_file())
    outcomes = Counter(_outcome(path, "sitemap") for path in files)
    assert set(outcomes) <= {"entries", "none", "not_a_sitemap", "http_404"} and outcomes.total() > 40
    sitemaps = [path for path in files if "sitemaps" in path.parts and path.name != "sitemap.index.xml"]
    assert [path.name for path in sitemaps if _outcome(path, "sitemap") == "not_a_sitemap"] == []


def test_dates_that_cannot_be_read_or_lie_ahead_are_counted_and_said():
    dates = ["Mon, 26 Oct 2026 10:00:00 GMT", "sometime soon", "to", "2099-01-01", ""]
    items = "".join(f"<item><link>/{n}</link><pubDate>{date}</pubDate></item>" for n, date in enumerate(dates))
    found = listing_of(f'<rss version="2.0"><channel>{items}</channel></rss>', "feed")
    assert [entry.published_at for entry in found.entries] == [datetime(2026, 10, 26, 10, tzinfo=UTC), *[None] * 4]
    assert (found.unreadable_dates, found.doubtful_dates) == (2, 1)
    assert "'sometime soon', 'to'" in found.warnings[0] and "ahead" in found.warnings[1]


def test_the_other_dates_of_a_feed_decide_whether_the_day_or_the_month_is_first():
    items = "".join(f"<item><link>/{n}</link><pubDate>{date}</pubDate></item>" for n, date in enumerate(
        ["03/04/2026 10:00", "25/03/2026 10:00"]))  # fmt: skip
    found = listed(f'<rss version="2.0"><channel>{items}</channel></rss>')
    assert [entry.published_at.month for entry in found] == [4, 3]


@pytest.mark.parametrize("is_broken", [False, True], ids=["well-formed", "ill-formed"])
@pytest.mark.parametrize("charset", ["utf-8", "", "utf-16", "iso-8859-1"])
def test_a_character_cut_in_half_leaves_the_rest_of_a_feed_readable(charset, is_broken):
    items = "".join(f"<item><title>Größe {n}</title><link>http://a.example/{n}</link></item>" for n in range(5))
    wrong = "<b><i></b></u>" if is_broken else ""
    body = f"<?xml version='1.0' encoding='UTF-8'?><rss version='2.0'><channel>{wrong}{items}</channel></rss>".encode()
    cut = body.replace("Größe 3".encode(), "Größ".encode()[:-1] + b"...", 1)
    titles = [entry.title for entry in listing_of(cut, charset=charset).entries]
    assert titles[:3] == ["Größe 0", "Größe 1", "Größe 2"] and titles[4] == "Größe 4"
    assert titles[3] == "Grö\ufffd..."


def test_items_without_a_link_are_counted():
    items = "<item><title>A</title><link>http://a.example/1</link></item><item><title>B</title></item>"
    listing = listing_of(f"<rss version='2.0'><channel>{items}</channel></rss>")
    assert len(listing.entries) == 1 and "1 of 2 items have no link to read, and are left out." in listing.warnings
