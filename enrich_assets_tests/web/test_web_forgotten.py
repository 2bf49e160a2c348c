"""What a pattern means, and the file that remembers what was forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from upath import UPath

from enrich_assets.core.errors import FinalError, StorageError, UserError
from enrich_assets.web.forgotten import Forgotten, ForgottenFile, pattern_of

NOW, LATER = "2026-11-02T09:00:00+00:00", "2026-11-03T09:00:00+00:00"


@pytest.mark.parametrize(
    ("written", "meant", "not_meant"),
    [
        (
            "Example.com.",
            ["http://example.com/", "https://news.EXAMPLE.com:8080/a?b#c", "https://user@example.com/a"],
            ["https://badexample.com/", "https://example.com.evil.org/", "https://other.org/?u=example.com", "", "/a"],
        ),
        ("*.news.example.com", ["https://a.news.example.com/"], ["https://example.com/"]),
        ("bücher.example", ["https://www.xn--bcher-kva.example/a"], ["https://bucher.example/"]),
        ("faß.de", ["https://xn--fa-hia.de/a", "https://www.faß.de/"], ["https://fass.de/a"]),
        (
            "https://example.com/a/../b?q=%C3%A4&r=%7Etom",
            ["https://example.com/b?q=ä&r=~tom", "https://example.com/%62?q=%c3%a4&r=%7etom"],
            ["https://example.com/a/b?q=ä&r=~tom", "https://example.com/b?q=a&r=~tom"],
        ),
        ("http://2130706433/a", ["http://127.0.0.1/a", "http://0x7f.1/a"], ["http://127.0.0.2/a"]),
        ("192.0.2.7", ["http://192.0.2.7/a"], ["http://192.0.2.70/"]),
        (
            "https://Example.com/a?x=1&utm_source=feed#part",
            ["http://example.com/a?x=1", "https://example.com:443/a?x=1&fbclid=2"],
            ["https://example.com/a", "https://www.example.com/a?x=1", "https://example.com/A?x=1"],
        ),
        ("file:///notes/a.html", ["file:///notes/a.html"], ["file:///notes/b.html"]),
    ],
)
def test_a_pattern_means_a_domain_with_its_subdomains_or_one_url(
    written: str, meant: list[str], not_meant: list[str]
) -> None:
    pattern = pattern_of(written)
    assert pattern_of(pattern.text) == pattern
    for holder in (pattern.matches, Forgotten([pattern]).covers):
        assert [url for url in meant if not holder(url)] == []
        assert [url for url in not_meant if holder(url)] == []


@pytest.mark.parametrize(
    "written", ["", " ", "com", "co.uk", "example.com/page", "a b", "..", "http://", "x@y.z", "a:80"]
)
def test_what_is_neither_and_what_everybody_has_domains_under_is_refused(written: str) -> None:
    with pytest.raises(UserError, match=r"neither a domain nor a URL|no domain of anybody"):
        pattern_of(written)


def test_a_forgotten_url_is_an_error_that_says_how_to_lift_it() -> None:
    forgotten = Forgotten([pattern_of("example.com")])
    forgotten.refuse("https://other.org/", "https://example.org/")
    with pytest.raises(FinalError, match="--lift") as caught:
        forgotten.refuse("https://other.org/", "https://www.example.com/a")
    assert (caught.value.kind, caught.value.where) == ("forgotten", "https://www.example.com/a")


def test_the_file_says_what_was_forgotten_when_and_how_much(tmp_path: Path) -> None:
    file, pattern = ForgottenFile(UPath(tmp_path)), pattern_of("example.com")
    assert file.entries() == [] and not file.holding()
    file.begin(pattern, NOW)
    file.begin(pattern, LATER)
    file.note(pattern, {"pages": 5, "texts": 2})
    file.note(pattern, {"pages": 3})  # the first attempt was killed
    [entry] = ForgottenFile(UPath(tmp_path)).entries()
    assert (entry.begun_at, entry.finished_at, entry.removed) == (NOW, None, {"pages": 5, "texts": 2})
    file.finish(pattern, LATER)
    file.note(pattern, {"pages": 1})
    file.finish(pattern, LATER)
    [entry] = file.entries()
    assert (entry.finished_at, entry.removed) == (LATER, {"pages": 6, "texts": 2})
    assert file.holding().covers("https://example.com/")


def test_what_is_lifted_or_withdrawn_holds_no_more(tmp_path: Path) -> None:
    file, pattern = ForgottenFile(UPath(tmp_path)), pattern_of("example.com")
    file.begin(pattern, NOW)
    assert file.lift(pattern, LATER) and not file.lift(pattern, LATER)
    assert not file.holding() and [entry.lifted_at for entry in file.entries()] == [LATER]
    file.begin(pattern, LATER)
    assert file.holding().covers("https://example.com/")
    file.withdraw(pattern)
    assert not file.holding() and len(file.entries()) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"forgotten": 1}', '{"forgotten": [{"what": 1}]}', "\x00"])
def test_a_damaged_file_is_an_error_and_forgets_nothing_of_what_was_forgotten(tmp_path: Path, content: str) -> None:
    (tmp_path / "forgotten.json").write_text(content, encoding="utf-8")
    with pytest.raises(StorageError, match="cannot be read"):
        ForgottenFile(UPath(tmp_path)).holding()


def test_the_file_carries_no_content_of_pages(tmp_path: Path) -> None:
    file, pattern = ForgottenFile(UPath(tmp_path)), pattern_of("https://example.com/a")
    file.begin(pattern, NOW)
    [entry] = json.loads((tmp_path / "forgotten.json").read_text(encoding="utf-8"))["forgotten"]
    assert set(entry) == {"pattern", "begun_at", "finished_at", "lifted_at", "removed"}
