"""A whole published run of the sample: artifacts, side tables and reports in a store, made within a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import CheckOutcome, Counts, Usage
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.graph import RunInfo
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.graphs.intelligence.report import Settings, report
from enrich_assets.reading import Run
from enrich_assets.reports.published import reports_of
from enrich_assets.store.store import Store
from enrich_assets_tests.reports.conftest import AS_OF, CATEGORIES, article_row, source_rows

GRAPH = GRAPHS["intelligence"]
RUN_ID = "20261102_090000"
PICTURE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20" width="40" height="20">'
    b'<rect width="30" height="12" fill="#0a5a66"/></svg>'
)
_TEXT = pa.string()
DROPPED = pa.schema(dict.fromkeys(("row_id", "title", "url", "drop_reason", "drop_value", "drop_detail"), _TEXT))
FAILED = pa.schema(
    dict.fromkeys(("row_id", "title", "url", "failure_kind", "failure_message"), _TEXT) | {"attempts": pa.int64()}
)
_COUNTS = {
    "scraped": (9, 8, 0, 1, 4), "tier1": (4, 3, 1, 0, 0), "tier2": (3, 3, 0, 0, 0), "tier3": (3, 3, 0, 0, 0),
    "ranked": (3, 3, 0, 0, 0), "paraphrased": (3, 3, 0, 0, 0), "enriched": (3, 3, 0, 0, 0),
    "validated": (3, 3, 0, 0, 0),
}  # fmt: skip


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rows as the engine's tables have them: items of a list are called `element`, as Parquet calls them."""
    inferred = pa.Table.from_pylist(list(rows))
    return inferred.cast(pa.schema([(field.name, _as_stored(field.type)) for field in inferred.schema]))


def _as_stored(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(pa.field("element", _as_stored(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_stored(field.type)) for field in kind])
    return _TEXT if pa.types.is_null(kind) else kind


def sample_rows() -> list[dict[str, Any]]:
    """Three validated articles; the first stands at another place too."""
    rows = [{**article_row(rank), "also_at": []} for rank in (1, 2, 3)]
    rows[0]["also_at"] = [
        {"url": "https://b.example/x", "source_name": "Echo", "title": "The same", "similarity": 0.9},
    ]
    return rows


def sample_sources() -> list[dict[str, Any]]:
    """Nine sources, with what is known of how they fare."""
    fares = {"new_items": 2, "failed_in_row": 0, "last_new_at": AS_OF, "not_modified_share": 0.5}
    rows = []
    for row in source_rows():
        down = row["status"] == "failed"
        met = [] if down else [{"kind": "http_404", "count": 2}]
        rows.append({"row_id": row["source_id"], **row, **fares, "failed_in_row": int(down), "errors": met})
    return rows


def dropped_row(number: int, **values: Any) -> dict[str, Any]:
    """A row that tier1 dropped."""
    plain = {"title": f"Left out {number}", "url": f"https://c.example/{number}", "drop_reason": "too_old"}
    return {"row_id": f"d{number}", **plain, "drop_value": "2026-01-01", "drop_detail": "", **values}


def published(
    root: Path,
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    sources: Sequence[Mapping[str, Any]] | None = None,
    dropped: pa.Table | None = None,
    title: str = "AI for machine tools, week 44",
    tier1: pa.Table | None = None,
    with_report: bool = True,
) -> Run:
    """Publishes the run below `root`. What is given stands in place of the sample; `tier1` is its whole table."""
    store = Store(root)
    run = Run(store, GRAPH, RUN_ID)
    known = table_of(sample_rows() if rows is None else rows)
    given = pa.Table.from_pylist([dropped_row(1)], schema=DROPPED) if dropped is None else dropped
    sides = {"sources": table_of(sample_sources() if sources is None else sources)}
    first = {"settings": {"model": "extractive"}, "preset": "demo", "title": title, "earlier": [], "notes": []}
    store.publish(phase_result("initialized", document=first))
    for name in _COUNTS:
        store.publish(
            phase_result(
                name,
                table=tier1 if name == "tier1" and tier1 is not None else known,
                dropped=given if name == "tier1" else None,
                sides=sides if name == "scraped" else {},
                figures={"drop_reasons.svg": PICTURE} if name == "tier1" else {},
            )
        )
    if with_report:
        publish_report(run, title=title)
    return run


def publish_report(run: Run, *, title: str = "AI for machine tools, week 44", **changed: Any) -> None:
    """Publishes the report of what stands there; `changed` replaces parts of its document."""
    settings = Settings.model_validate(
        {
            "company": {"name": "Meridian Tools"},
            "categories": [{"id": k, "name": v, "description": v, "keywords": [k]} for k, v in CATEGORIES.items()],
        }
    )
    history = {name: run.envelope(name) for name in run.graph.names[:-1]}
    document = report(
        run.arrow("validated").to_pylist(),
        settings,
        RunInfo(graph=GRAPH.name, run_id=RUN_ID, title=title, as_of=AS_OF, fresh_from=AS_OF),
        history,
        run.document("initialized"),
        run.store.side(GRAPH.name, RUN_ID, "scraped", "sources").to_pylist(),
    )
    result = phase_result("report", document={**document, **changed})
    run.store.publish(result, reports=reports_of(run.store, GRAPH, result))


def phase_result(
    phase: str,
    *,
    table: pa.Table | None = None,
    document: Mapping[str, Any] | None = None,
    dropped: pa.Table | None = None,
    sides: Mapping[str, pa.Table] | None = None,
    figures: Mapping[str, bytes] | None = None,
) -> PhaseResult:
    """What a phase of the sample hands over."""
    rows_in, kept, out_count, failed, created = _COUNTS.get(phase, (0, 0, 0, 0, 0))
    reasons = {"too_old": out_count} if out_count else {}
    checks = (CheckOutcome(name="something_left", passed=phase != "tier2", message="nearly nothing is left"),)
    return PhaseResult(
        graph=GRAPH.name,
        run_id=RUN_ID,
        phase=phase,
        number=GRAPH.number(GRAPH.phase(phase)),
        started_at=AS_OF,
        duration_seconds=0.25,
        counts=Counts(
            rows_in=rows_in, kept=kept, dropped=out_count, failed=failed, created=created, rows_out=created or kept,
            dropped_by_reason=reasons, failed_by_kind={"http_503": failed} if failed else {},
        ),
        usage=Usage(model_calls=3, tokens_in=1200, tokens_out=90, cost=0.012, spent=0.012, models=("openai/x",)),
        settings_fingerprint="s",
        code_fingerprint="c",
        dropped=DROPPED.empty_table() if dropped is None else dropped,
        failed=FAILED.empty_table(),
        table=table,
        document=document,
        sides=sides or {},
        checks=checks if table is not None else (),
        figures=figures or {},
    )  # fmt: skip
