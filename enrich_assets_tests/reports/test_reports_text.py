from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich_assets.reports.text import clean, day, host_of, listed, points, safe_url, seconds, usd


@pytest.mark.parametrize("url", ["http://a.example/x?b=1&c=2#d", "https://a.example/ü", "https://[2001:db8::1]/x"])
def test_http_and_https_are_links(url: str) -> None:
    assert safe_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//a.example/x",
        "/x",
        "http://",
        "https://user:pass@a.example/",
        "https://good.example\\@evil.example/",
        "https://a.example/\u202egnp.exe",
        "https://a.example/x y",
        "http://[::1",
        "vbscript:x",
    ],
)
def test_anything_else_is_no_link(url: str) -> None:
    assert safe_url(url) == ""


def test_what_could_end_an_attribute_is_encoded() -> None:
    assert safe_url('https://a.example/"><b>|`') == "https://a.example/%22%3E%3Cb%3E%7C%60"


@given(st.text())
def test_a_link_is_always_http_and_holds_no_quote_or_angle_bracket(text: str) -> None:
    for url in (safe_url(text), safe_url(f"https://a.example/{text}")):
        assert url == "" or (url.lower().startswith(("http://", "https://")) and not set(url) & set('"<> \n\\'))


def test_controls_direction_overrides_and_lone_surrogates_are_removed_everywhere() -> None:
    dirty = {"a\x00": ["x\u202ey\x1b[31m\u2066z", ("\ud800",)], "n": 3}
    assert clean(dirty) == {"a": ["xy[31mz", ["?"]], "n": 3}


def test_an_unknown_cost_is_never_written_as_a_number() -> None:
    assert [usd(value) for value in (None, 0.0, 0.00042, 0.123, 1234.5)] == [
        "unknown", "0.00 USD", "0.0004 USD", "0.12 USD", "1,234.50 USD",
    ]  # fmt: skip


def test_numbers_and_names_read_well() -> None:
    assert [seconds(value) for value in (0.44, 12.4, 200)] == ["0.4 s", "12 s", "3 min 20 s"]
    assert [listed(names) for names in ([], ["a"], ["a", "b", "c"])] == ["", "a", "a, b and c"]
    assert points(None) == "–"
    assert day(None) == ""
    assert host_of("https://www.a.example/x") == "a.example"
