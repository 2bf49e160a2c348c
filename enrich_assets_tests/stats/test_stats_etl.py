"""ETL numbers: what was dropped, failed, repeated, missing, far off, broken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.core.result import PhaseResult
from enrich_assets.core.settings import Settings
from enrich_assets.engine.columns import Column, table_of
from enrich_assets.engine.outcomes import DROPPED_COLUMNS, FAILED_COLUMNS
from enrich_assets.engine.phase import Phase
from enrich_assets.stats.etl import processing, repeated_rows
from enrich_assets.stats.memory import peak_memory_bytes
from enrich_assets.stats.outliers import outliers


def phase(*, quarantines: bool = False) -> Phase:
    adds = {"score": Column(float, "points"), "seconds": Column(float, "seconds", volatile=True)}
    return Phase("p", "table", lambda rows: rows, Settings, adds, quarantines=quarantines)


def result(table: pa.Table | None, **given: Any) -> PhaseResult:
    named = {"row_id": "d", "title": "", "url": ""}
    dropped = [{**named, "drop_reason": "near_duplicate", "drop_value": "", "drop_detail": "as another"}]
    failed = [{**named, "row_id": "f", "failure_kind": "malformed", "failure_message": "score: missing"}]
    failed.append({**named, "row_id": "t", "failure_kind": "timeout", "failure_message": "too late"})
    values: dict[str, Any] = {
        "dropped": table_of(dropped, DROPPED_COLUMNS),
        "failed": table_of(failed, FAILED_COLUMNS),
        "counts": Counts(
            rows_in=15,
            kept=12,
            dropped=1,
            failed=2,
            rows_out=12,
            dropped_by_reason={"near_duplicate": 1},
            failed_by_kind={"malformed": 2},
        ),
        "table": table,
        "volatile": ("seconds",),
    }
    return PhaseResult(
        graph="g", run_id="r", phase="p", number=1, started_at=datetime.now(UTC), duration_seconds=1.0, usage=Usage(),
        settings_fingerprint="", code_fingerprint="", **{**values, **given},
    )  # fmt: skip


def scored(*scores: float | None) -> pa.Table:
    ids = [str(n) for n in range(len(scores))]
    seconds = [float(n**4) for n in range(len(scores))]
    return pa.table({"row_id": ids, "score": pa.array(scores, pa.float64()), "seconds": seconds})


def test_an_outlier_is_named_with_its_score_and_stays_in_the_table() -> None:
    table = scored(5, 5.1, 4.9, 5.2, 4.8, 5, 5.1, None, 4.9, 5.3, 9.0)
    found = outliers(table, ["score", "seconds", "row_id", "absent"])
    row = found.filter(pa.compute.equal(found.column("column"), "score")).to_pylist()
    assert [(r["row_id"], r["value"]) for r in row] == [("10", 9.0)]
    # median 5.05, MAD 0.15: 0.6745 × 3.95 / 0.15
    assert row[0]["score"] == pytest.approx(17.762, abs=0.001)


@pytest.mark.parametrize("scores", [(1.0,) * 30 + (99.0,), (1.0, 2.0, 99.0), ()])
def test_a_column_is_not_judged_where_most_numbers_are_equal_or_few(scores: tuple[float, ...]) -> None:
    assert outliers(scored(*scores), ["score"]).num_rows == 0


def test_volatile_columns_have_no_outliers_so_that_equal_tables_have_equal_files() -> None:
    done = processing(phase(), result(scored(*(float(n) for n in range(20)))), None, peak_before=1, peak_after=3)
    assert done.tables["outliers"].num_rows == 0
    assert done.numbers["memory"] == {"peak_bytes": 3, "grew_bytes": 2}


def test_missing_values_are_counted_before_and_after() -> None:
    given = pa.table({"row_id": ["a", "b"], "title": ["", None], "old": [1, None]})
    done = processing(phase(), result(scored(1, None)), given, peak_before=None, peak_after=None)
    found = done.numbers["missing"]
    assert (found["rows_before"], found["rows_after"]) == (2, 2)
    assert found["columns"]["score"] == {"before": None, "after": 1}
    assert found["columns"]["title"] == {"before": 2, "after": None}
    assert found["columns"]["old"] == {"before": 1, "after": None}


def test_rows_that_say_the_same_are_counted_once() -> None:
    table = pa.table(
        {
            "row_id": list("abcdef"),
            "title": ["x", "x", "x", None, None, "y"],
            "score": [1.0, 1.0, 2.0, 3.0, 3.0, 1.0],
            "tags": pa.array([["t"], [], None, [], [], []]),
            "at": [1, 2, 3, 4, 5, 6],
        }
    )
    assert repeated_rows(table, volatile=["at"]) == 2
    assert repeated_rows(table) == 0
    assert repeated_rows(table.slice(0, 0)) == 0


def test_each_row_that_broke_a_rule_is_listed_with_the_rule_and_what_became_of_it() -> None:
    refused = ({"row_id": "k", "problem": "too long", "attempt": 1},)
    for quarantines, errors in ((False, 2), (True, 3)):
        made = result(scored(1.0), refused=refused)
        done = processing(phase(quarantines=quarantines), made, None, peak_before=None, peak_after=None)
        rows = {
            r["row_id"]: (r["rule"], r["detail"], r["outcome"]) for r in done.tables["validation_errors"].to_pylist()
        }
        assert rows["f"] == ("malformed", "score: missing", "failed")
        assert rows["k"] == ("malformed", "too long", "asked again")
        assert rows.get("d") == (("near_duplicate", "as another", "quarantined") if quarantines else None)
        assert done.numbers["validation_errors"]["errors"] == errors == len(rows)
        assert done.numbers["duplicates"]["dropped"] == {"near_duplicate": 1}
        assert done.numbers["quality_score"] == 0.8


def test_a_document_has_numbers_too() -> None:
    done = processing(phase(), result(None, document={"a": 1}), None, peak_before=None, peak_after=None)
    assert {name: table.num_rows for name, table in done.tables.items()} == {"outliers": 0, "validation_errors": 1}


def test_the_peak_of_the_process_is_told_in_bytes_and_never_falls() -> None:
    before = peak_memory_bytes()
    held = bytearray(64_000_000)
    after = peak_memory_bytes()
    assert before is not None and after is not None and 10_000_000 < before <= after and len(held)
