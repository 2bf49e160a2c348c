"""The preset files: they are valid settings, and what a reader expects of them holds."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from enrich_assets.core.settings import validated_settings
from enrich_assets.graphs.intelligence.settings import SharedSettings

PRESETS = ("ai_news", "demo")


def _preset(name: str) -> dict[str, Any]:
    text = (files("enrich_assets.graphs.intelligence") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def _shared(name: str) -> SharedSettings:
    """The part of a preset that no single phase owns."""
    values = {key: value for key, value in _preset(name).items() if key in SharedSettings.model_fields}
    return validated_settings(SharedSettings, values, where=f"preset {name}")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_valid_settings_and_a_company_with_interests(name: str) -> None:
    settings = _shared(name)
    assert settings.title
    assert settings.company.description.endswith(".")
    assert len(settings.company.interests) >= 3


@pytest.mark.parametrize("name", PRESETS)
def test_every_category_has_one_sentence_and_10_to_20_different_keywords(name: str) -> None:
    for category in _shared(name).categories:
        assert re.fullmatch(r"[A-Z][^.!?]{20,}\.", category.description), category.id
        assert 10 <= len(category.keywords) <= 20, category.id
        lowered = [keyword.casefold() for keyword in category.keywords]
        assert len(set(lowered)) == len(lowered), category.id
        assert all(keyword == keyword.strip() != "" for keyword in category.keywords), category.id


@pytest.mark.parametrize("name", PRESETS)
def test_no_keyword_speaks_for_two_categories(name: str) -> None:
    keywords = [keyword.casefold() for category in _shared(name).categories for keyword in category.keywords]
    assert len(set(keywords)) == len(keywords)


@pytest.mark.parametrize("name", PRESETS)
def test_sources_have_different_addresses_and_sensible_weights(name: str) -> None:
    sources = _shared(name).sources
    assert len({source.url.rstrip("/") for source in sources}) == len(sources)
    assert all(0.5 <= source.weight <= 1.5 for source in sources)


def test_the_news_preset_reads_at_least_40_public_sources_over_https() -> None:
    sources = _shared("ai_news").sources
    assert len(sources) >= 40
    for source in sources:
        parts = urlsplit(source.url)
        assert parts.scheme == "https", source.url
        assert "." in (parts.hostname or ""), source.url
        assert parts.username is None, source.url
        assert source.kind == "feed", source.url


def test_no_host_gives_the_news_preset_more_than_an_eighth_of_its_sources() -> None:
    hosts = [urlsplit(source.url).hostname for source in _shared("ai_news").sources]
    assert max(hosts.count(host) for host in set(hosts)) <= len(hosts) / 8


def test_the_demo_stays_on_reserved_hosts_and_its_clock_stands_still() -> None:
    settings = _shared("demo")
    assert all((urlsplit(source.url).hostname or "").endswith(".example") for source in settings.sources)
    assert settings.as_of is not None and settings.as_of.isoformat() == "2026-11-02T09:00:00+00:00"
    assert settings.compare_with == 0
    assert {category.id for category in settings.categories} == {
        "research", "products", "chips", "regulation", "industry", "health",
    }  # fmt: skip


def test_the_demos_listing_sources_accept_their_own_articles_only() -> None:
    listings = [source for source in _shared("demo").sources if source.kind == "listing"]
    assert listings
    for source in listings:
        host = urlsplit(source.url).hostname
        assert re.search(source.link_pattern, f"http://{host}/articles/some-article.html")
        assert not re.search(source.link_pattern, f"http://{host}/about.html")
        assert not re.search(source.link_pattern, "http://elsewhere.example/articles/some-article.html")


def test_the_urls_that_the_demo_counts_as_reported_belong_to_its_sources() -> None:
    demo = _preset("demo")
    hosts = {urlsplit(source.url).hostname for source in _shared("demo").sources}
    reported = demo["tier1"]["reported_urls"]
    assert reported
    assert {urlsplit(url).hostname for url in reported} <= hosts
