from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from enrich_assets.core.envelope import Counts, Envelope, Usage
from enrich_assets.engine.graph import RunInfo
from enrich_assets.graphs.intelligence.report import Settings, report
from enrich_assets.graphs.intelligence.report_content import ReportContent

AS_OF = datetime(2026, 11, 2, 9, tzinfo=UTC)


def envelope(phase: str, number: int, **values: Any) -> Envelope:
    plain = {"settings_fingerprint": "s", "code_fingerprint": "c", "data_sha256": "d", "content_sha256": "e"}
    given = {"duration_seconds": 0.5, "columns": {"title": "string"}, **plain, **values}
    return Envelope(
        package_version="0.1.0", graph="intelligence", run_id="20261102_090000", phase=phase, number=number,
        artifact_id=phase, started_at=AS_OF, **given,
    )  # fmt: skip


def article(rank: int, **values: Any) -> dict[str, Any]:
    return {
        "row_id": f"row{rank}", "rank": rank, "title": f"Title {rank}", "url": f"https://a.example/{rank}",
        "canonical_url": f"https://a.example/{rank}", "content_hash": f"hash{rank}", "sketch": [rank, 7],
        "source_id": "a", "source_name": "A", "published_at": AS_OF, "language": "en", "category": "chips",
        "categories": ["chips"], "analysis": "Analysis.", "relevance": 8.0, "impact": 7.0, "novelty": 6.0,
        "credibility": 5.0, "actionability": 4.0, "tier3_score": 6.5, "final_score": 6.4, "rationale": "Because.",
        "rank_reason": "Best.", "follow_up": False, "entities": [], **values,
    }  # fmt: skip


HISTORY = {
    "initialized": envelope("initialized", 1, columns={}),
    "scraped": envelope("scraped", 2, counts=Counts(rows_in=2, kept=1, failed=1, created=9, rows_out=9)),
    "tier1": envelope(
        "tier1", 3,
        counts=Counts(
            rows_in=9, kept=4, dropped=5, rows_out=4, dropped_by_reason={"too_old": 1, "already_reported": 4}
        ),
    ),
    "tier3": envelope(
        "tier3", 4, counts=Counts(rows_in=4, kept=2, dropped=2, rows_out=2, dropped_by_reason={"a/b~c": 2}),
        usage=Usage(model_calls=4, tokens_in=900, tokens_out=80, cost=0.25, models=("openai/x",)),
        columns={"title": "string", "relevance": "double"},
    ),
    "validated": envelope("validated", 5, counts=Counts(rows_in=2, kept=2, rows_out=2)),
}  # fmt: skip
SOURCES = [
    {"source_id": "a", "name": "A", "url": "https://a.example", "kind": "feed", "status": "scraped", "error": "",
     "entries": 9, "articles": 9, "bytes": 100, "seconds": 0.1},
    {"source_id": "b", "name": "B", "url": "https://b.example", "kind": "feed", "status": "failed",
     "error": "http 503", "entries": 0, "articles": 0, "bytes": 0, "seconds": 0.1},
]  # fmt: skip
CATEGORY = {"id": "chips", "name": "Chips", "description": "Chips.", "keywords": ["chip"]}


def make(rows: list[dict[str, Any]], history: Mapping[str, Envelope] = HISTORY, **initialized: Any) -> dict[str, Any]:
    settings = Settings.model_validate({"company": {"name": "Meridian Tools"}, "categories": [CATEGORY]})
    run = RunInfo(graph="intelligence", run_id="20261102_090000", title="Week 44", as_of=AS_OF, fresh_from=AS_OF)
    document = {"settings": {"model": "extractive"}, "preset": "demo", "earlier": [], "notes": [], **initialized}
    return report(rows, settings, run, history, document, SOURCES)


def at(document: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


def memory(run_id: str, number: int) -> dict[str, Any]:
    """What a registration keeps of an article that an earlier run reported."""
    url = f"https://a.example/{number}"
    return {"run_id": run_id, "title": f"T{number}", "canonical_url": url, "content_hash": f"h{number}", "sketch": [1]}


def test_articles_stand_in_rank_order_with_what_a_later_run_needs_to_recognise_them() -> None:
    content = make([article(2), article(1)])
    assert [entry["rank"] for entry in content["articles"]] == [1, 2]
    first = content["articles"][0]
    assert (first["canonical_url"], first["content_hash"], first["sketch"]) == ("https://a.example/1", "hash1", [1, 7])
    assert first["category_name"] == "Chips"
    assert first["scores"] == {
        "relevance": 8.0, "impact": 7.0, "novelty": 6.0, "credibility": 5.0, "actionability": 4.0,
        "total": 6.5, "final": 6.4,
    }  # fmt: skip


def test_the_document_is_plain_json_and_reads_back_as_the_same_content() -> None:
    content = make([article(1)])
    assert ReportContent.model_validate(json.loads(json.dumps(content))).model_dump(mode="json") == content


def test_equal_input_gives_an_equal_document() -> None:
    assert make([article(1), article(2)]) == make([article(2), article(1)])


def test_every_number_of_funnel_scores_and_costs_has_its_origin() -> None:
    content = make([article(1)])
    numbers = [
        f"/{part}/{index}/{field}"
        for part, fields in (
            ("funnel", ("rows_in", "kept", "dropped", "failed", "created", "rows_out")),
            ("usage/phases", ("model_calls", "tokens_in", "tokens_out", "cost", "seconds")),
        )
        for index in range(len(HISTORY))
        for field in fields
    ]
    numbers += [f"/articles/0/scores/{name}" for name in content["articles"][0]["scores"]]
    assert set(numbers) <= set(content["provenance"])


def test_every_origin_leads_to_the_very_number() -> None:
    content = make([article(1)])
    for pointer, origin in content["provenance"].items():
        shown = at(content, pointer)
        field = origin["field"]
        if field.startswith("envelope."):
            value: Any = HISTORY[origin["artifact"]]
            path, _, key = field.removeprefix("envelope.").partition("[")
            for name in path.split("."):
                value = getattr(value, name)
            assert shown == (value[key.rstrip("]")] if key else value), pointer
        elif not origin["row_id"]:
            assert field.startswith(("rows", "distinct ", "sum of ")), pointer
        elif origin["artifact"] == "scraped/sources":
            assert shown == next(row for row in SOURCES if row["source_id"] == origin["row_id"]).get(field), pointer
        elif origin["artifact"] != "report":
            assert shown == article(1)[field], pointer


def test_a_score_names_the_first_phase_that_has_the_column() -> None:
    origins = make([article(1)])["provenance"]
    assert origins["/articles/0/scores/relevance"] == {"artifact": "tier3", "field": "relevance", "row_id": "row1"}


def test_an_added_phase_appears_in_the_funnel_and_the_costs_by_itself() -> None:
    extra = envelope("deduced", 5, counts=Counts(rows_in=2, kept=1, dropped=1, rows_out=1, dropped_by_reason={"x": 1}))
    history = {**HISTORY, "deduced": extra}
    content = make([article(1)], history)
    assert content["funnel"][-1]["phase"] == "deduced"
    assert content["funnel"][-1]["dropped_by_reason"] == {"x": 1}
    assert content["usage"]["phases"][-1]["phase"] == "deduced"


def test_the_cost_is_that_of_all_attempts_and_names_where_it_stands() -> None:
    paid = envelope("enriched", 6, usage=Usage(model_calls=3, cost=0.1, spent=0.4, unsettled=2, models=("m",)))
    content = make([article(1)], {**HISTORY, "enriched": paid})
    index = len(content["usage"]["phases"]) - 1
    assert content["usage"]["phases"][index]["cost"] == 0.4
    assert content["provenance"][f"/usage/phases/{index}/cost"]["field"] == "envelope.usage.spent"
    totals = content["usage"]["totals"]
    assert totals["cost"] == pytest.approx(0.4 + 0.25)  # an envelope of before has its own cost alone
    assert totals["unsettled"] == 2


def test_an_unknown_cost_stays_unknown_in_the_total() -> None:
    unknown = envelope("enriched", 6, usage=Usage(model_calls=3, cost=None, models=("local/y",)))
    totals = make([article(1)], {**HISTORY, "enriched": unknown})["usage"]["totals"]
    assert totals["cost"] is None
    assert totals["known_cost"] == pytest.approx(0.25)
    assert totals["unknown_cost_phases"] == ["enriched"]
    assert totals["model_calls"] == 7


def test_the_embedded_model_is_named_with_its_phases() -> None:
    embedded = envelope("tier2", 3, usage=Usage(models=("extractive",)))
    content = make([article(1)], {**HISTORY, "tier2": embedded})
    assert content["embedded_model"] == {"used": True, "phases": ["tier2"]}
    assert content["models"] == {"tier3": ["openai/x"], "tier2": ["extractive"]}
    assert make([article(1)])["embedded_model"]["used"] is False


def test_a_phase_whose_answers_were_all_reused_still_names_its_model() -> None:
    history = {**HISTORY, "tier2": envelope("tier2", 3, usage=Usage(answers_reused=4))}
    settings = {"model": "extractive", "tier2": {"model": "openai/z"}, "validated": {"rules": []}}
    assert make([article(1)], history, settings=settings)["models"]["tier2"] == ["openai/z"]


def test_an_empty_report_names_the_phase_that_let_nothing_through() -> None:
    closed = Counts(
        rows_in=9, dropped=8, failed=1, dropped_by_reason={"too_old": 6, "no_keyword": 2}, failed_by_kind={"timeout": 1}
    )
    history = {**HISTORY, "tier1": envelope("tier1", 3, counts=closed), "tier3": envelope("tier3", 4)}
    content = make([], history)
    assert content["articles"] == []
    assert content["empty"] == {
        "phase": "tier1",
        "sentence": "The phase tier1 let nothing through: "
        "of 9 rows, 8 dropped (too old 6, no keyword 2) and 1 failed (timeout 1).",
    }
    assert content["summary"]["articles_read"] == 9
    assert make([article(1)])["empty"] is None


def test_news_counts_follow_ups_and_what_an_earlier_report_had() -> None:
    content = make(
        [article(1), article(2, follow_up=True)], earlier=[memory("20261026_090000", 1), memory("20261026_090000", 2)]
    )
    assert content["news"] == {
        "compared_with": ["20261026_090000"], "new": 1, "follow_ups": ["row2"], "already_reported": 4,
    }  # fmt: skip


def test_sources_that_are_down_are_counted_and_keep_their_error() -> None:
    content = make([article(1)])
    assert content["summary"]["sources_down"] == 1
    assert [(s["source_id"], s["status"], s["error"], s["reported"]) for s in content["sources"]] == [
        ("a", "scraped", "", 1),
        ("b", "failed", "http 503", 0),
    ]


def test_distinct_entities_are_counted_once_with_their_grade() -> None:
    known = {"name": "Corvane", "kind": "company", "background": "B.", "grade": "supported", "quote": "B."}
    unknown = {"name": "Vantry", "kind": "company", "grade": "unsupported", "domains": 0}
    summary = make([article(1, entities=[known, unknown]), article(2, entities=[known])])["summary"]
    assert (summary["entities"], summary["entities_supported"]) == (2, 1)


def test_it_is_declared_as_a_document_of_all_that_it_reads() -> None:
    phase = report.phase  # type: ignore[attr-defined]
    assert (phase.makes, phase.also) == ("document", ("initialized", "scraped/sources"))
    assert phase.parameters()[0] == "validated"
