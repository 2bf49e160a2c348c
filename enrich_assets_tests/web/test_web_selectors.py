"""CSS selectors of a source go before the general rules."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from enrich_assets.core.errors import SettingsError
from enrich_assets.core.settings import validated_settings
from enrich_assets.web.extract import extract
from enrich_assets.web.selectors import Selectors
from enrich_assets_tests.web.web_samples import page_of

PAGE = """<!doctype html><html lang="en"><head><title>Harbour | The Daily</title>
<meta name="author" content="Newsroom"><meta property="article:published_time" content="2020-01-01T00:00:00Z"></head>
<body><div class="kicker">Economy</div><p class="head">The harbour opened its <b>crane</b></p>
<span class="by">Ada Berg</span><span class="by">Kim Lund</span><span class="by">Ada Berg</span>
<i class="when" datetime="2026-10-31T08:00:00+01:00">yesterday</i><i class="day">2026-10-30</i>
<div class="story"><p>First words.</p><div class="story"><p>Second words.</p></div><script>no()</script></div>
<p>Not these.</p><div class="story">Third words.</div></body></html>"""


def test_what_the_selectors_find_is_taken():
    chosen = Selectors(title="p.head", author=".by", published=".when", text="div.story")
    got = extract(page_of(PAGE), selectors=chosen)
    assert (got.title, got.author) == ("The harbour opened its crane", "Ada Berg; Kim Lund")
    assert got.published_at == datetime(2026, 10, 31, 7, 0, tzinfo=UTC)
    assert got.text == "First words.\nSecond words.\nThird words."
    assert got.method == "selectors"


def test_a_date_may_stand_in_text_or_content():
    assert extract(page_of(PAGE), selectors=Selectors(published=".day")).published_at == datetime(
        2026, 10, 30, tzinfo=UTC
    )
    by_content = Selectors(published="meta[property='article:published_time']")
    assert extract(page_of(PAGE), selectors=by_content).published_at == datetime(2020, 1, 1, tzinfo=UTC)


def test_what_they_do_not_find_is_found_as_without_them():
    nothing = Selectors(title=".none", author=".none", published=".none", text=".none")
    assert extract(page_of(PAGE), selectors=nothing) == extract(page_of(PAGE))
    unreadable = Selectors(published="p.head")
    assert extract(page_of(PAGE), selectors=unreadable).published_at == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("css", ["p[", "div >", "a::text", "x|y", "p:has(", ":no-such-thing", "!"])
def test_what_is_no_selector_is_refused_with_the_settings(css):
    with pytest.raises(SettingsError) as caught:
        validated_settings(Selectors, {"text": css}, where="sources.yaml")
    assert "text" in str(caught.value) and "not a CSS selector" in str(caught.value)
    assert caught.value.exit_code == 2


def test_no_selectors_say_so():
    assert not Selectors()
    assert not Selectors(title="  ")
    assert Selectors(text="article p")
