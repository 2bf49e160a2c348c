"""Materializations lead to the viewer where it is said to run."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.core.result import PhaseResult
from enrich_assets.defs.metadata import VIEWER_URL, materialization_metadata

_EMPTY = pa.table({"row_id": pa.array([], pa.string())})
RESULT = PhaseResult(
    graph="intelligence",
    run_id="20260101_060000",
    phase="report",
    number=10,
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    duration_seconds=1.0,
    counts=Counts(),
    usage=Usage(),
    settings_fingerprint="",
    code_fingerprint="",
    dropped=_EMPTY,
    failed=_EMPTY,
    document={},
    reports={"report.html": b""},
)


def shown() -> dict[str, object]:
    return materialization_metadata(RESULT, path="/data/report.json", folder="/data")


def test_a_phase_and_its_reports_are_links_where_the_viewer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VIEWER_URL, "http://127.0.0.1:3100/")
    links = {name: getattr(shown()[name], "url", None) for name in ("viewer", "report/report.html")}
    assert links["viewer"] == "http://127.0.0.1:3100/runs/20260101_060000/phases/report"
    assert links["report/report.html"] == "http://127.0.0.1:3100/runs/20260101_060000/reports/report.html"


@pytest.mark.parametrize("named", ["", "  ", "javascript:alert(1)"])
def test_without_a_viewer_the_paths_stay(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv(VIEWER_URL, named)
    assert "viewer" not in shown()
    assert getattr(shown()["report/report.html"], "path", None) == "/data/reports/report.html"
