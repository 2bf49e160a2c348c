"""tier1: what plain rules keep and drop, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from enrich_assets.engine.graph import RunInfo
from enrich_assets.engine.phase import Selection
from enrich_assets.graphs.intelligence.settings import Category
from enrich_assets.graphs.intelligence.tier1 import Settings, tier1
from enrich_assets.web.duplicates import sketch
from enrich_assets.web.extract import content_hash

NOW = datetime(2026, 3, 2, tzinfo=UTC)
STEEL = Category(id="steel", name="Steel", description="Steel.", keywords=("steel",))
SETTINGS = Settings(language="en", categories=(STEEL,), least_words=5)
TEXT = "The steel works of the valley began a second furnace on Monday, and hired a hundred people for it at once. "


def article(name: str, text: str = TEXT, **fields: Any) -> dict[str, Any]:
    url = f"https://{name}.example/a"
    return {
        "row_id": name, "url": url, "canonical_url": url, "source_id": name, "source_name": name.title(),
        "source_weight": 1.0, "title": f"Steel {name}", "author": "", "published_at": NOW - timedelta(days=1),
        "language": "en", "text": text, "word_count": len(text.split()), "content_hash": content_hash(text), **fields,
    }  # fmt: skip


def sieve(*rows: dict[str, Any], earlier: tuple[dict[str, Any], ...] = (), settings: Settings = SETTINGS) -> Selection:
    run = RunInfo(run_id="20260302_000000", graph="intelligence", as_of=NOW, title="", fresh_from=NOW)
    return tier1(list(rows), settings, run, {"earlier": earlier})


def reasons(found: Selection) -> dict[str, str]:
    return {row_id: drop.reason for row_id, drop in found.dropped.items()}


def test_every_rule_names_its_reason() -> None:
    found = sieve(
        article("kept"),
        article("german", language="de"),
        article("brief", "Steel."),
        article("old", published_at=NOW - timedelta(days=30)),
        article("silk", "A text about silk and nothing else in the world, and long enough.", title="Silk"),
    )
    assert [row["row_id"] for row in found.kept] == ["kept"]
    assert reasons(found) == {
        "german": "wrong_language", "brief": "too_short", "old": "too_old", "silk": "no_keyword",
    }  # fmt: skip


def test_of_a_cluster_the_better_source_stays_and_lists_the_others() -> None:
    longer = TEXT * 12 + "That was said by its owner at noon."
    found = sieve(
        article("weak", longer, source_weight=0.5),
        article("strong", longer, source_weight=2.0),
        article("retold", TEXT * 12 + "That was said by its owner in the evening."),
        article("other", "Steel is dear this year, says a quite different report about quite different things."),
    )
    assert reasons(found) == {"weak": "exact_duplicate", "retold": "near_duplicate"}
    listed = {row["row_id"]: [(copy.source_name, copy.url) for copy in row["also_at"]] for row in found.kept}
    assert listed["other"] == []
    assert sorted(listed["strong"]) == [("Retold", "https://retold.example/a"), ("Weak", "https://weak.example/a")]
    similar = {copy.source_name: copy.similarity for row in found.kept for copy in row["also_at"]}
    assert similar["Weak"] == 1.0 and 0.7 <= similar["Retold"] <= 1.0


def test_one_canonical_address_is_one_article() -> None:
    at = "https://agency.example/story"
    found = sieve(
        article("first", canonical_url=at, source_weight=2.0),
        article("second", "Steel, told anew with other words from beginning to end of the story.", canonical_url=at),
    )
    assert reasons(found) == {"second": "exact_duplicate"}


def test_what_was_reported_is_dropped_unless_it_says_something_new() -> None:
    first = {
        "run_id": "20260301_000000", "title": "Steel", "canonical_url": "https://same.example/a",
        "content_hash": content_hash(TEXT), "sketch": sketch(TEXT),
    }  # fmt: skip
    moved = {**first, "canonical_url": "https://moved.example/a"}
    grown = article("same", "The steel works now close, after all, because nobody bought what they made this year.")
    found = sieve(article("elsewhere"), grown, earlier=(moved, first))
    assert reasons(found) == {"elsewhere": "already_reported"}
    assert [(row["row_id"], row["follow_up"]) for row in found.kept] == [("same", True)]
