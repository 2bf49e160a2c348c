"""Runs that nobody executed: tables published as phases publish them, and the ledger's view of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from enrich_assets.core.envelope import Counts, Usage
from enrich_assets.core.fingerprint import canonical_json
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine import tables
from enrich_assets.engine.ledger import Ledger, phase_view
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.store.store import Store

GRAPH = GRAPHS["intelligence"]
_FIRST = datetime(2026, 1, 1, 6, tzinfo=UTC)
_DROPPED = pa.schema([(n, pa.string()) for n in ("row_id", "title", "url", "drop_reason", "drop_value", "drop_detail")])
_FAILED = pa.schema(
    [
        *((n, pa.string()) for n in ("row_id", "title", "url", "failure_kind", "failure_message")),
        ("attempts", pa.int64()),
    ]
)


def publish(
    store: Store,
    ledger: Ledger,
    run_id: str,
    phase: str,
    table: pa.Table | None = None,
    *,
    document: Mapping[str, Any] | None = None,
    dropped: Sequence[Mapping[str, Any]] = (),
    failed: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> None:
    """Publishes a phase of a run with its dropped and failed rows, and notes it in the ledger."""
    number = GRAPH.names.index(phase) + 1
    rows = 0 if table is None else table.num_rows
    counts = Counts(
        rows_in=rows + len(dropped) + len(failed),
        kept=rows,
        rows_out=rows,
        dropped=len(dropped),
        failed=len(failed),
        dropped_by_reason=_counted(row["drop_reason"] for row in dropped),
        failed_by_kind=_counted(row["failure_kind"] for row in failed),
    )
    result = PhaseResult(
        graph=GRAPH.name,
        run_id=run_id,
        phase=phase,
        number=number,
        started_at=_FIRST,
        duration_seconds=1.5,
        counts=counts,
        usage=Usage(),
        settings_fingerprint="0" * 64,
        code_fingerprint="1" * 64,
        dropped=pa.Table.from_pylist([dict(row) for row in dropped], schema=_DROPPED),
        failed=pa.Table.from_pylist([dict(row) for row in failed], schema=_FAILED),
        table=table,
        document=document,
        **more,
    )
    envelope = store.publish(result)
    moment = _FIRST.isoformat()
    ledger.replace_phase(
        run_id, phase, number=number, status="complete", started_at=moment, ended_at=moment, **phase_view(envelope)
    )


def many_runs(ledger: Ledger, count: int) -> list[str]:
    """Records `count` runs of ten phases in one go; every tenth failed at tier2, every twenty-fifth only began."""
    run_ids, runs, phases = [], [], []
    for number in range(count):
        moment = _FIRST + timedelta(hours=number)
        run_id = f"{moment:%Y%m%d_%H%M%S}"
        run_ids.append(run_id)
        runs.append(
            {
                "run_id": run_id,
                "graph": GRAPH.name,
                "title": f"Morning news {number}",
                "preset": ("ai_news", "demo")[number % 2],
                "created_at": moment.isoformat(),
                "registration": _compressed({"title": f"Morning news {number}"}),
            }
        )
        last = 2 if number % 25 == 0 else 4 if number % 10 == 0 else 10
        for place, phase in enumerate(GRAPH.names[:last], 1):
            status = "failed" if last == 4 and place == 4 else "complete"
            began, ended = moment + timedelta(seconds=10 * place), moment + timedelta(seconds=10 * place + 9)
            numbers = {"rows_in": 900, "rows_done": 900, "rows_out": 900 - 80 * place, "dropped": 80, "failed": 0}
            times = {name: at.isoformat() for name, at in (("started_at", began), ("ended_at", ended))}
            row = {
                "run_id": run_id,
                "phase": phase,
                "number": place,
                "status": status,
                "cost": 0.25,
                **numbers,
                **times,
            }
            phases.append({**row, "heartbeat_at": ended.isoformat(), "calls": 90, "reused": 4, "message": None})
    with ledger._writing() as connection:
        connection.execute(sa.insert(tables.runs), runs)
        connection.execute(sa.insert(tables.phases), phases)
    return run_ids


def _compressed(registration: Mapping[str, Any]) -> bytes:
    import zlib

    return zlib.compress(canonical_json(registration), 6)


def _counted(names: Any) -> dict[str, int]:
    counted: dict[str, int] = {}
    for name in names:
        counted[name] = counted.get(name, 0) + 1
    return counted
