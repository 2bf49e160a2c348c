"""Validation errors by row: which row broke which rule, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from enrich_assets.core.result import PhaseResult

QUARANTINED, FAILED, ASKED_AGAIN = "quarantined", "failed", "asked again"
MALFORMED = "malformed"
"""Failure kind and rule of an answer that breaks its schema, or a rule of the phase."""
SCHEMA = pa.schema([("row_id", pa.string()), ("rule", pa.string()), ("detail", pa.string()), ("outcome", pa.string())])


def validation_errors(result: PhaseResult, *, quarantines: bool) -> pa.Table:
    """row_id, rule, detail, outcome of each error.

    `quarantined`: dropped rows of a phase that drops what breaks a rule. `failed`: rows whose answers broke one every
    time. `asked again`: an answer broke one and the next was asked for; such a row may have several.
    """
    found = [SCHEMA.empty_table()]
    if quarantines:
        found.append(_table(result.dropped, "drop_reason", "drop_detail", QUARANTINED))
    malformed = result.failed.filter(pc.equal(result.failed.column("failure_kind"), MALFORMED))
    found.append(_table(malformed, "failure_kind", "failure_message", FAILED))
    refused = sorted(result.refused, key=lambda one: (str(one["row_id"]), int(one["attempt"])))
    rows = [
        {"row_id": one["row_id"], "rule": MALFORMED, "detail": one["problem"], "outcome": ASKED_AGAIN}
        for one in refused
    ]
    return pa.concat_tables([*found, pa.Table.from_pylist(rows, schema=SCHEMA)])


def validation_numbers(found: pa.Table) -> Mapping[str, Any]:
    """`rows` that broke a rule, `errors`, and errors `by_rule` and `by_outcome`."""
    return {
        "rows": len(found.column("row_id").unique()),
        "errors": found.num_rows,
        **{f"by_{name}": _counts(found.column(name)) for name in ("rule", "outcome")},
    }


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in column.value_counts().to_pylist()}


def _table(rows: pa.Table, rule: str, detail: str, outcome: str) -> pa.Table:
    outcomes = pa.array([outcome] * rows.num_rows, pa.string())
    return pa.table([rows.column("row_id"), rows.column(rule), rows.column(detail), outcomes], schema=SCHEMA)
