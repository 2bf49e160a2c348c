"""The phase validated: each rule finds what it is for, and lets an honest row pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.columns import Column, table_of
from enrich_assets.engine.phase import Selection
from enrich_assets.graphs.intelligence.enriched import Entity
from enrich_assets.graphs.intelligence.validated import (
    RULES,
    Settings,
    few_rows_quarantined,
    no_broken_rows_published,
    validated,
)

QUOTE = "Corvane Systems is a maker of “warehouse” software."
ATLAS = "http://atlas.example/corvane"
ENTITY: Mapping[str, Any] = {
    "name": "Corvane Systems",
    "kind": "company",
    "background": "Corvane Systems makes software.",
    "url": ATLAS,
    "quote": QUOTE,
    "grade": "supported",
    "domains": 1,
    "page_sha256": "ab" * 32,
    "quote_start": 0,
}
NOTHING_KNOWN = {
    **ENTITY, "grade": "unsupported", "background": "", "quote": "", "url": "", "page_sha256": "", "quote_start": None,
}  # fmt: skip
ROW: Mapping[str, Any] = {
    "row_id": "a",
    "url": "http://news.example/a",
    "title": "A plant opens",
    "text": "Corvane Systems is a maker. " * 30,
    "source_id": "news",
    "category": "chips",
    "http_status": 200,
    "tier1_score": 5.0,
    "tier2_score": 7.0,
    "tier2_reason": "It bears on the reader.",
    "relevance": 7.0,
    "impact": 6.0,
    "novelty": 10.0,
    "credibility": 0.0,
    "actionability": 4.5,
    "rationale": "New and checked.",
    "tier3_score": 6.1,
    "rank": 1,
    "final_score": 6.0,
    "analysis": "x" * 550,
    "analysis_characters": 550,
    "entities": [ENTITY, NOTHING_KNOWN],
}
SCRAPED = [
    {"row_id": "a", "url": "http://news.example/a", "http_status": 200, "page_sha256": "cd" * 32, "text": ROW["text"]},
    {"row_id": "b", "url": ATLAS, "http_status": 200, "page_sha256": "ab" * 32, "text": f"{QUOTE} It is large."},
]
INITIALIZED = {"settings": {"paraphrased": {"shortest": 500, "longest": 600}}}


def judged(*rows: Mapping[str, Any], scraped: Sequence[Mapping[str, Any]] = SCRAPED) -> Selection:
    return validated(list(rows), Settings(), initialized=INITIALIZED, scraped=list(scraped))


def with_entity(**changes: Any) -> dict[str, Any]:
    return {**ROW, "entities": [{**ENTITY, **changes}]}


def test_an_honest_row_passes_every_rule() -> None:
    assert judged(ROW) == Selection(kept=[{"row_id": "a", "rules_passed": len(RULES)}])


def test_no_rows_are_fine() -> None:
    assert judged() == Selection(kept=[])


@pytest.mark.parametrize(
    ("row", "rule", "where"),
    [
        ({**ROW, "title": " "}, "empty_field", "title"),
        ({**ROW, "analysis": None}, "empty_field", "analysis"),
        (with_entity(name=""), "empty_field", "entities[0].name"),
        ({**ROW, "impact": 10.5}, "schema_bounds", "impact"),
        ({**ROW, "tier3_score": -0.1}, "schema_bounds", "tier3_score"),
        ({**ROW, "novelty": None}, "schema_bounds", "novelty"),
        ({**ROW, "tier1_score": float("nan")}, "schema_bounds", "tier1_score"),
        ({**ROW, "rank": 0}, "schema_bounds", "rank"),
        ({**ROW, "analysis": "x" * 499, "analysis_characters": 499}, "analysis_bounds", "fewer than 500"),
        ({**ROW, "analysis": "x" * 601, "analysis_characters": 601}, "analysis_bounds", "more than 600"),
        ({**ROW, "analysis_characters": 555}, "analysis_bounds", "analysis_characters"),
        ({**ROW, "url": "http://news.example/never"}, "link_not_fetched", "never fetched"),
        (with_entity(quote="Corvane Systems is a baker of bread."), "quote_not_found", f"not stand on {ATLAS}"),
        (with_entity(quote=""), "quote_not_found", "Corvane Systems"),
        (with_entity(quote="It is a maker of software for warehouses."), "quote_not_found", "by name"),
        (with_entity(url=ROW["url"]), "quote_not_found", "own page"),
        (with_entity(url="ftp://atlas.example/x"), "quote_not_found", "no page"),
        (with_entity(page_sha256=""), "quote_not_found", "no page"),
        (with_entity(background=""), "quote_not_found", "no background"),
        (with_entity(grade="certain"), "quote_not_found", "no grade"),
        ({**ROW, "entities": [{**NOTHING_KNOWN, "background": "A firm."}]}, "quote_not_found", "unsupported"),
        ({**ROW, "rationale": "As an AI language model, I think so."}, "prompt_leftover", "rationale"),
        ({**ROW, "tier2_reason": "{{ row.title }}"}, "prompt_leftover", "tier2_reason"),
        ({**ROW, "analysis": "Here’s the analysis: " + "x" * 529}, "prompt_leftover", "analysis"),
        ({**ROW, "analysis": '<row id="3">' + "x" * 538}, "prompt_leftover", "analysis"),
        (with_entity(background="Lorem ipsum dolor."), "prompt_leftover", "entities[0].background"),
    ],
)
def test_each_rule_puts_its_row_into_quarantine_and_says_where(row: Mapping[str, Any], rule: str, where: str) -> None:
    selection = judged(row)
    assert not selection.kept
    drop = selection.dropped["a"]
    assert drop.reason == rule
    assert where in drop.detail


def test_every_rule_has_a_row_that_breaks_it() -> None:
    marks = test_each_rule_puts_its_row_into_quarantine_and_says_where.pytestmark
    assert {case[1] for case in marks[0].args[1]} == set(RULES)


def test_a_link_that_was_answered_with_an_error_is_no_link() -> None:
    failed = [{**SCRAPED[0], "http_status": 404}, SCRAPED[1]]
    assert judged(ROW, scraped=failed).dropped["a"].reason == "link_not_fetched"


def test_typography_does_not_break_a_quote() -> None:
    assert judged(with_entity(quote=QUOTE.replace("“", '"').replace("”", '"'))).kept


def test_a_quote_from_another_state_of_the_page_was_verified_when_it_was_read() -> None:
    assert judged(with_entity(page_sha256="ef" * 32, quote="Corvane Systems is a firm in Rotterdam.")).kept


def test_a_text_by_a_sources_own_selectors_does_not_decide_what_stands_on_its_page() -> None:
    selected = [{**article, "extracted_by": "selectors"} for article in SCRAPED]
    row = with_entity(quote="Corvane Systems is a firm in Rotterdam.")
    assert judged(row, scraped=selected).kept
    assert not judged(row).kept


def test_the_article_itself_may_be_the_page_where_it_is_graded_so() -> None:
    quote = "Corvane Systems is a maker."
    assert judged(with_entity(grade="own_article", url=ROW["url"], page_sha256="cd" * 32, quote=quote)).kept


def test_the_bounds_of_the_analysis_are_those_that_it_was_written_to() -> None:
    bounds = {"settings": {"paraphrased": {"shortest": 100, "longest": 200}}}
    selection = validated([ROW], Settings(), initialized=bounds, scraped=SCRAPED)
    assert selection.dropped["a"].detail == "analysis: 550 characters, more than 200"


def result_of(rows: list[dict[str, Any]], *, dropped: int = 0) -> PhaseResult:
    columns = {
        name: Column(type(value) if name != "entities" else list[Entity], name)
        for name, value in ROW.items()
        if name != "row_id"
    }
    empty = table_of([], {})
    count = len(rows) + dropped
    reasons = {"prompt_leftover": dropped} if dropped else {}
    return PhaseResult(
        graph="intelligence",
        run_id="r",
        phase="validated",
        number=9,
        started_at=datetime(2026, 11, 2, tzinfo=UTC),
        duration_seconds=0.0,
        counts=Counts(rows_in=count, kept=len(rows), dropped=dropped, rows_out=len(rows), dropped_by_reason=reasons),
        usage=Usage(),
        settings_fingerprint="",
        code_fingerprint="",
        dropped=empty,
        failed=empty,
        table=table_of(rows, columns),
    )


def test_the_checks_are_blocking_and_see_a_broken_row_that_slipped_through() -> None:
    checks = validated.phase.checks  # type: ignore[attr-defined]
    assert {check.name: check.blocking for check in checks} == {
        "no_broken_rows_published": True,
        "few_rows_quarantined": True,
    }
    assert no_broken_rows_published(result_of([dict(ROW)]), Settings()) is None
    broken = no_broken_rows_published(result_of([dict(ROW), {**ROW, "row_id": "b", "impact": 11.0}]), Settings())
    assert broken is not None
    assert "1 of 2" in broken and "schema_bounds" in broken and "b" in broken


def test_too_large_a_quarantine_is_said_and_none_is_not() -> None:
    assert few_rows_quarantined(result_of([]), Settings()) is None
    assert few_rows_quarantined(result_of([dict(ROW)], dropped=1), Settings()) is None
    message = few_rows_quarantined(result_of([dict(ROW)], dropped=2), Settings())
    assert message is not None
    assert "2 of 3" in message and "prompt_leftover 2" in message
    assert few_rows_quarantined(result_of([dict(ROW)], dropped=2), Settings(max_quarantined=0.7)) is None
