"""Each kind of finding has a run in which it must fire and one, just on the other side, in which it must not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.columns import table_of
from enrich_assets.engine.efforts import ROW_EFFORTS, RowEffort, summed_up
from enrich_assets.engine.outcomes import DROPPED_COLUMNS, FAILED_COLUMNS
from enrich_assets.engine.phase import Phase
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.reading import Run
from enrich_assets.reports.findings.finding import Finding
from enrich_assets.reports.findings.kinds import KINDS
from enrich_assets.reports.findings.looking import earlier_runs, findings_of, findings_of_result
from enrich_assets.store.store import Store

INTELLIGENCE = GRAPHS["intelligence"]
AS_OF = datetime(2026, 11, 2, 9, tzinfo=UTC)
_EXAMPLES: Mapping[Any, Any] = {
    pa.string(): "text", pa.float64(): 5.0, pa.int64(): 7, pa.bool_(): False, pa.timestamp("us", tz="UTC"): AS_OF,
}  # fmt: skip


@dataclass(frozen=True)
class Newsroom:
    """A storage in which runs are published, phase by phase, without being run."""

    store: Store

    def begin(self, run_id: str, preset: str = "weekly", **settings: Any) -> Run:
        """A run with its snapshot."""
        document = {"preset": preset, "title": "", "as_of": AS_OF.isoformat(), "settings": settings, "rows": []}
        self._publish(result("initialized", run_id, document=document))
        return Run(self.store, INTELLIGENCE, run_id)

    def complete(self, run_id: str, **by_phase: PhaseResult) -> Run:
        """A run with every phase; those that are not given are empty."""
        run = self.begin(run_id)
        for phase in INTELLIGENCE.phases[1:]:
            given = by_phase.get(phase.name)
            empty = result(phase.name, run_id, **({"document": {}} if phase.makes == "document" else {"rows": []}))
            self._publish(empty if given is None else replace(given, run_id=run_id))
        return run

    def found(self, phase: str, run_id: str = "20261102_090000", **given: Any) -> list[Finding]:
        """What stands out when a run has published this phase, which is also what stood out before it did."""
        run = self.begin(run_id)
        made = result(phase, run_id, **given)
        before = findings_of_result(INTELLIGENCE, INTELLIGENCE.phase(phase), made, AS_OF, self.store)
        self._publish(made)
        assert findings_of(run) == before
        return before

    def _publish(self, made: PhaseResult) -> None:
        self.store.publish(made)


@pytest.fixture
def newsroom(tmp_path: Path) -> Newsroom:
    return Newsroom(Store(tmp_path / "data"))


def result(
    phase: str,
    run_id: str,
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    document: Mapping[str, Any] | None = None,
    dropped: Mapping[str, int] | None = None,
    failed: Mapping[str, int] | None = None,
    sources: Sequence[Mapping[str, Any]] = (),
    notes: Mapping[str, Any] | None = None,
    **usage: Any,
) -> PhaseResult:
    """A phase as it would have ended with these rows; columns that are not given hold any value."""
    declared = INTELLIGENCE.phase(phase)
    out = [_whole(declared, number, row) for number, row in enumerate(rows or ())]
    gone = [_row(number, drop_reason=r) for r, n in (dropped or {}).items() for number in range(n)]
    lost = [_row(number, failure_kind=k, failure_message=k) for k, n in (failed or {}).items() for number in range(n)]
    counts = Counts(
        rows_in=len(out) + len(gone) + len(lost), kept=len(out), dropped=len(gone), failed=len(lost),
        rows_out=len(out), dropped_by_reason=dict(dropped or {}), failed_by_kind=dict(failed or {}),
    )  # fmt: skip
    sides = {name: table_of([_source(s) for s in sources], columns) for name, columns in declared.sides.items()}
    return PhaseResult(
        graph="intelligence", run_id=run_id, phase=phase, number=INTELLIGENCE.number(declared), started_at=AS_OF,
        duration_seconds=1.0, counts=counts, usage=Usage(**usage), settings_fingerprint="s", code_fingerprint="c",
        dropped=table_of(gone, DROPPED_COLUMNS), failed=table_of(lost, FAILED_COLUMNS),
        table=None if rows is None else table_of(out, INTELLIGENCE.columns(declared)),
        document=document, sides=sides, notes=dict(notes or {}),
    )  # fmt: skip


def _whole(phase: Phase, number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    whole = {name: _EXAMPLES.get(column.arrow, []) for name, column in INTELLIGENCE.columns(phase).items()}
    varied = {name: round(number * 0.31 % 10, 2) for name, value in whole.items() if isinstance(value, float)}
    return {**whole, **varied, "row_id": f"row{number}", "title": f"Article {number}", **row}


def _row(number: int, **values: str) -> dict[str, Any]:
    named = {"row_id": f"gone{number}", "title": f"Left out {number}", "url": "", "drop_value": "", "drop_detail": ""}
    return {**named, **values}


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    usual = {
        "row_id": source["source_id"], "name": source["source_id"].title(), "url": "", "kind": "rss",
        "status": "scraped", "error": "", "entries": 5, "articles": 5, "new_items": 2, "errors": [], "warnings": [],
        "failed_in_row": 0, "last_new_at": AS_OF, "bytes": 0, "bytes_fetched": 0, "not_modified_share": None,
        "seconds": 1.0, "listed": [],
    }  # fmt: skip
    return {**usual, **source}


def names(found: Sequence[Finding]) -> list[str]:
    return [finding.kind for finding in found]


def from_sources(first: int, second: int) -> list[dict[str, Any]]:
    return [{"source_id": "post", "source_name": "Post"}] * first + [
        {"source_id": "star", "source_name": "Star"}
    ] * second


BOTH = ({"source_id": "post"}, {"source_id": "star"})


def test_one_source_that_gives_four_fifths_is_named_with_its_articles(newsroom: Newsroom) -> None:
    (finding,) = newsroom.found("scraped", rows=from_sources(16, 4), sources=BOTH)
    assert (finding.kind, finding.phase, finding.rows_total) == ("one_source_dominates", "scraped", 16)
    assert finding.sentence == "Post gives 16 of 20 articles, 80 %; 2 sources were read."
    assert finding.rows[0].title == "Article 0" and finding.advice


def test_a_source_below_four_fifths_or_one_that_is_alone_is_none(newsroom: Newsroom) -> None:
    assert not newsroom.found("scraped", rows=from_sources(15, 5), sources=BOTH)
    assert not newsroom.found("scraped", "20261102_090001", rows=from_sources(20, 0), sources=BOTH[:1])
    assert not newsroom.found("scraped", "20261102_090002", rows=from_sources(9, 0), sources=BOTH)


@pytest.mark.parametrize("days, fires", [(31, True), (29, False)])
def test_a_source_without_history_is_silent_after_a_month(newsroom: Newsroom, days: int, fires: bool) -> None:
    quiet = {"source_id": "star", "new_items": 0, "last_new_at": AS_OF - timedelta(days=days)}
    found = newsroom.found("scraped", rows=from_sources(5, 0), sources=(BOTH[0], quiet))
    assert names(found) == ["source_gone_silent"] * fires
    if fires:
        assert found[0].sentence == "Star has gone silent: nothing new for 31 days."
        assert [row.row_id for row in found[0].rows] == ["star"]


@pytest.mark.parametrize("days, fires", [(10, True), (5, False)])
def test_a_source_that_was_daily_is_silent_sooner(newsroom: Newsroom, days: int, fires: bool) -> None:
    last = AS_OF - timedelta(days=days)
    for number in range(3):
        moment = last - timedelta(days=2 * number)
        news = [{"source_id": "star", "last_new_at": moment}]
        newsroom.complete(f"2026103{number}_090000", scraped=result("scraped", "r", rows=[], sources=news))
    quiet = {"source_id": "star", "new_items": 0, "last_new_at": last}
    found = newsroom.found("scraped", rows=from_sources(5, 0), sources=(BOTH[0], quiet))
    assert names(found) == ["source_gone_silent"] * fires
    assert not fires or found[0].sentence.endswith("nothing new for 10 days, and earlier every 2.0 days.")


def test_scores_that_pile_up_are_told_and_scores_that_spread_are_not(newsroom: Newsroom) -> None:
    alike = [{"tier2_score": 7.0}] * 5 + [{"tier2_score": float(n)} for n in range(5)]
    (finding,) = newsroom.found("tier2", rows=alike)
    assert (finding.kind, finding.rows_total) == ("scores_pile_up", 5)
    assert finding.sentence == "5 of 10 rows, 50 %, have the tier2_score 7."
    assert not newsroom.found("tier2", "20261102_090001", rows=[*alike, {"tier2_score": 8.0}])
    assert not newsroom.found("tier2", "20261102_090002", rows=[{"tier2_score": 7.0}] * 7)


def test_a_dimension_that_never_varies_is_told_and_one_that_does_is_not(newsroom: Newsroom) -> None:
    (finding,) = newsroom.found("tier3", rows=[{"impact": 6.0}] * 9)
    assert (finding.kind, finding.sentence) == ("dimension_never_varies", "impact is 6 for all 9 rows.")
    assert finding.severity == "notice" and finding.rows_total == 9
    assert not newsroom.found("tier3", "20261102_090001", rows=[{"impact": 6.0}] * 8 + [{"impact": 6.5}])


def test_a_retry_storm_is_told_with_the_rows_that_were_asked_again(newsroom: Newsroom) -> None:
    efforts = summed_up([RowEffort("row1", 9, 8, 0.0), RowEffort("row2", 3, 2, 0.0), RowEffort("row3", 1, 0, 0.0)])
    storm = {"rows": [{}] * 5, "model_calls": 40, "notes": {ROW_EFFORTS: efforts}}
    (finding,) = newsroom.found("tier2", retries=10, **storm)
    assert (finding.kind, finding.sentence) == ("retry_storm", "10 of 40 requests, 25 %, were repetitions.")
    assert [(row.row_id, row.title, row.value) for row in finding.rows] == [
        ("row1", "Article 1", "9 requests, 8 in vain"), ("row2", "Article 2", "3 requests, 2 in vain"),
    ]  # fmt: skip
    assert not newsroom.found("tier2", "20261102_090001", retries=9, **storm)
    assert not newsroom.found("tier2", "20261102_090002", retries=10, **{**storm, "model_calls": 41})


def test_refusals_are_told_and_single_ones_or_other_failures_are_not(newsroom: Newsroom) -> None:
    (finding,) = newsroom.found("tier3", rows=[{}] * 38, failed={"refusal": 1, "content filter": 1})
    assert (finding.kind, finding.rows_total) == ("refusals", 2)
    assert finding.sentence == "2 of 40 rows, 5 %, were refused (content filter 1, refusal 1)."
    assert {row.value for row in finding.rows} == {"refusal", "content filter"}
    assert not newsroom.found("tier3", "20261102_090001", rows=[{}] * 39, failed={"refusal": 1})
    assert not newsroom.found("tier3", "20261102_090002", rows=[{}] * 39, failed={"refusal": 2})
    assert not newsroom.found("tier3", "20261102_090003", rows=[{}] * 20, failed={"timeout": 9})


@pytest.mark.parametrize("usd, fires", [(0.2, True), (0.19, False)])
def test_a_row_that_costs_ten_times_the_usual_is_told(newsroom: Newsroom, usd: float, fires: bool) -> None:
    efforts = summed_up([RowEffort(f"row{n}", 1, 0, 0.02) for n in range(1, 9)] + [RowEffort("row0", 6, 5, usd)])
    found = newsroom.found("tier3", rows=[{}] * 9, spent=0.36, notes={ROW_EFFORTS: efforts})
    assert names(found) == ["cost_outlier"] * fires
    assert not fires or [(row.row_id, row.value) for row in found[0].rows] == [("row0", "$0.2000 in 6 requests")]


@pytest.mark.parametrize("spent, fires", [(0.2, True), (0.19, False)])
def test_a_phase_that_costs_twice_as_much_a_row_as_before_is_told(
    newsroom: Newsroom, spent: float, fires: bool
) -> None:
    for day in (28, 29, 30):
        usual = result("tier3", "r", rows=[{}] * 20, spent=0.2, model_calls=20)
        newsroom.complete(f"202610{day}_090000", tier3=usual)
    found = newsroom.found("tier3", rows=[{}] * 10, spent=spent, model_calls=10)
    assert names(found) == ["cost_outlier"] * fires
    assert not fires or found[0].sentence.startswith("A row cost $0.0200, 2.0 times the $0.0100 of 3 earlier runs")


def test_a_run_that_replayed_answers_does_not_say_what_is_usual(newsroom: Newsroom) -> None:
    replayed = result("tier3", "r", rows=[{}] * 20, spent=0.001, model_calls=1, answers_reused=19)
    newsroom.complete("20261030_090000", tier3=replayed)
    assert not newsroom.found("tier3", rows=[{}] * 10, spent=0.2, model_calls=10)


@pytest.mark.parametrize("count, fires", [(20, True), (18, False)])
def test_a_drop_reason_that_doubled_is_told_with_its_rows(newsroom: Newsroom, count: int, fires: bool) -> None:
    for day in (28, 29, 30):
        usual = result("tier1", "r", rows=[{}] * 90, dropped={"too_old": 10})
        newsroom.complete(f"202610{day}_090000", tier1=usual)
    found = newsroom.found("tier1", rows=[{}] * (100 - count), dropped={"too_old": count})
    assert names(found) == ["drop_reason_doubled"] * fires
    if fires:
        assert found[0].sentence == ("20 of 100 rows, 20 %, were dropped as too_old, against 10 % in 3 earlier runs.")
        assert found[0].rows_total == 20 and found[0].rows[0].title == "Left out 0"


def test_only_complete_runs_of_the_same_preset_that_began_before_are_compared_with(newsroom: Newsroom) -> None:
    for day in range(10, 18):
        newsroom.complete(f"202610{day}_090000")
    newsroom.complete("20261105_090000")
    newsroom.begin("20261020_090000")
    newsroom.store.publish(result("initialized", "20261017_090000", document={"preset": "other", "settings": {}}))
    run = newsroom.begin("20261102_090000")
    assert [other.run_id for other in earlier_runs(run)] == [f"202610{day}_090000" for day in (16, 15, 14, 13, 12)]


def test_a_what_if_says_nothing_of_what_is_usual(newsroom: Newsroom) -> None:
    for day in (28, 29, 30):
        newsroom.complete(
            f"202610{day}_090000", tier3=result("tier3", "r", rows=[{}] * 80, dropped={"beyond_limit": 20})
        )
    for hour in (10, 11, 12, 13):
        run_id = f"20261030_{hour}0000"
        newsroom.complete(run_id, tier3=result("tier3", "r", rows=[{}] * 100))
        like = {"preset": "weekly", "settings": {}, "like": "20261030_090000"}
        newsroom.store.publish(result("initialized", run_id, document=like))
    assert not newsroom.found("tier3", rows=[{}] * 80, dropped={"beyond_limit": 20})


def test_every_kind_has_a_description_and_concerns_a_phase() -> None:
    for kind in KINDS:
        assert kind.description.endswith(".") and len(kind.description) > 30
        assert any(kind.concerns(phase) for phase in INTELLIGENCE.phases), kind.name


def test_a_kind_that_fails_does_not_cost_the_others(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(facts: Any) -> Any:
        raise ZeroDivisionError("of no value")

    kinds = (replace(KINDS[0], find=broken), *KINDS[1:])
    monkeypatch.setattr("enrich_assets.reports.findings.looking.kinds_of", lambda phase: kinds)
    rows = [{"tier2_score": 7.0}] * 9
    run = newsroom.begin("20261102_090000")
    newsroom.store.publish(result("tier2", run.run_id, rows=rows))
    assert "scores_pile_up" in names(findings_of(run))
