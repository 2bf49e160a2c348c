"""The kinds of sources: those of the project, those of other distributions, and what the settings take."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from enrich_assets.core.entry_points import look_again
from enrich_assets.core.errors import SettingsError
from enrich_assets.core.settings import validated_settings
from enrich_assets.web.sources import entries, kind
from enrich_assets.web.sources.source import Source
from enrich_assets_tests.web.source_kit import WrittenPages, source
from enrich_assets_tests.web.web_samples import page_of

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "sources.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def forget_entry_points() -> Iterator[None]:
    look_again()
    yield
    look_again()


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, points: str, module: str = "") -> None:
    """A distribution as an installer leaves it: its metadata beside its module, on the path."""
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[{kind.GROUP}]\n{points}\n", "utf-8")
    if module:
        (folder / f"{name.replace('-', '_')}.py").write_text(module, "utf-8")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()


def test_every_own_kind_has_a_file_and_a_place_in_the_page() -> None:
    for name in kind.OWN_KINDS:
        assert callable(kind.kind_named(name)) and f"kind: {name}" in PAGE, name


def test_the_page_s_own_kind_is_read_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    points = re.search(r'```toml\n\[project\.entry-points\."enrich_assets\.sources"\]\n(\w+) = "(\S+?)"\n```', PAGE)
    assert module and points
    install(tmp_path, monkeypatch, points[2].partition(":")[0], f"{points[1]} = {points[2]}", module[1])
    url = "http://site.example/changes.csv"
    body = "2026-10-30;http://site.example/a;A change\n;http://site.example/b;Another\n"
    pages = WrittenPages({url: page_of(body, url=url, type="text/csv")})
    listing = asyncio.run(entries(source(points[1], url=url), pages))
    assert [(entry.url, entry.title) for entry in listing.entries] == [
        ("http://site.example/a", "A change"), ("http://site.example/b", "Another"),
    ]  # fmt: skip
    assert listing.entries[0].published_at is not None and listing.documents[0].url == url


def test_a_kind_that_nobody_registered_has_near_misses() -> None:
    from enrich_assets.graphs.catalog import graph_named

    values = {"sources": [{"id": "a", "name": "A", "url": "http://a.example/", "kind": "sitmap"}]}
    with pytest.raises(SettingsError, match=r"sources\.0\.kind.*'sitmap'.*Did you mean 'sitemap'"):
        graph_named("intelligence").resolve(values, where="mine.yaml")


@pytest.mark.parametrize(
    ("points", "module", "message"),
    [
        ("broken = broken_kind:entries", "raise RuntimeError('no such library')", "broken-kind 1.2 cannot be loaded"),
        ("broken = broken_kind:absent", "x = 1", "broken-kind 1.2 cannot be loaded"),
        ("broken = broken_kind:x", "x = 1", "broken-kind 1.2 registers a int"),
    ],
)
def test_an_entry_point_that_cannot_be_used_names_its_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: str, module: str, message: str
) -> None:
    install(tmp_path, monkeypatch, "broken-kind", points, module)
    monkeypatch.delitem(sys.modules, "broken_kind", raising=False)
    with pytest.raises(SettingsError, match=message) as caught:
        kind.kind_named("broken")
    assert "broken-kind" in str(caught.value)


def test_two_distributions_with_one_name_are_refused_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "one", monkeypatch, "first-kind", "table = first_kind:entries")
    install(tmp_path / "two", monkeypatch, "second-kind", "table = second_kind:entries")
    with pytest.raises(SettingsError, match=r"'table' is registered by (first|second)-kind 1\.2 and by (first|second)"):
        kind.kind_named("table")
    assert source("feed").kind == "feed"


def test_the_name_of_an_own_kind_cannot_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "greedy-kind", "feed = greedy_kind:entries")
    with pytest.raises(SettingsError, match=r"'feed' is registered by enrich_assets itself and by greedy-kind 1\.2"):
        kind.kind_named("feed")


def test_a_url_with_credentials_is_refused() -> None:
    with pytest.raises(SettingsError, match="credentials"):
        validated_settings(Source, {"id": "a", "name": "A", "url": "http://me:secret@a.example/"}, where="sources")


@pytest.mark.parametrize("css", ["a[", "a:no-such", "::", "ns|a"])
def test_a_selector_that_cannot_be_read_is_refused(css: str) -> None:
    with pytest.raises(ValidationError, match="link_css"):
        source("listing", link_css=css)


def test_a_selector_chooses_the_links_of_a_listing() -> None:
    from enrich_assets_tests.web.source_kit import listing_of

    body = """<nav><a href="/about">About</a></nav><main><h2><a href="/a">First</a></h2>
    <article><a href="http://elsewhere.com/b"><img></a><a href="/c">C</a></article></main>"""
    by_link = listing_of(body, "listing", type="text/html", link_css="main h2 a")
    assert [(entry.url, entry.title) for entry in by_link.entries] == [("http://site.example/a", "First")]
    by_box = listing_of(body, "listing", type="text/html", link_css="article, h2")
    assert [entry.url[-2:] for entry in by_box.entries] == ["/a", "/b", "/c"]
    both = listing_of(body, "listing", type="text/html", link_css="article", link_pattern="site.example")
    assert [entry.url for entry in both.entries] == ["http://site.example/c"]
    nothing = listing_of(body, "listing", type="text/html", link_css=".none")
    assert nothing.entries == () and "no link" in nothing.warnings[0]
