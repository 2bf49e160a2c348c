"""ETL metadata: how a phase processed its rows, as numbers and tables. What the rows look like is in `profile`.

Belongs here: what follows from the input, the result and the declaration. Rules of their own stand beside (`outliers`,
`validation_errors`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.phase import Phase
from enrich_assets.stats.figures.values import missing_in
from enrich_assets.stats.outliers import BEYOND, outlier_numbers, outliers
from enrich_assets.stats.validation_errors import validation_errors, validation_numbers

DUPLICATE_WORDS = ("duplicate", "twice")
"""A drop reason that has one of these says that the row stands elsewhere too."""


@dataclass(frozen=True)
class Processing:
    """`numbers` for `stats.json`, and `tables` for files of their own: outliers and validation_errors."""

    numbers: Mapping[str, Any]
    tables: Mapping[str, pa.Table]


def processing(
    phase: Phase, result: PhaseResult, given: pa.Table | None, *, peak_before: int | None, peak_after: int | None
) -> Processing:
    """How `result` was made of the table `given` (None where the phase's main input is a document, or there is none).

    `peak_before` and `peak_after` are the process's peak memory before and after, bytes. The numbers:

    - quality_score: share of the rows that came in that pass every rule, 0–1; None where none came in;
    - memory: `peak_bytes` of the process until the phase ended, `grew_bytes` by which the phase raised it;
    - outliers: `rule`, `rows`, `values`, `by_column`, of the columns that the phase adds;
    - duplicates: `dropped` rows by reason, `left`: rows equal to an earlier one in every plain column but row_id;
    - missing: column → `before` and `after` (null, not a number, empty text), of `rows_before` and `rows_after`;
    - validation_errors: `rows`, `errors`, `by_rule`, `by_outcome`.
    """
    table = result.table
    added = [name for name in phase.adds if name not in result.volatile]
    strays = outliers(table, added) if table is not None else outliers(_NOTHING, ())
    errors = validation_errors(result, quarantines=phase.quarantines)
    score = result.counts.quality_score
    numbers = {
        "quality_score": None if score is None else round(score, 6),
        "memory": {
            "peak_bytes": peak_after,
            "grew_bytes": None if peak_before is None or peak_after is None else peak_after - peak_before,
        },
        "outliers": {"rule": f"|modified z-score| > {BEYOND}", **outlier_numbers(strays)},
        "duplicates": {
            "dropped": duplicates_dropped(result.counts.dropped_by_reason),
            "left": 0 if table is None else repeated_rows(table, result.volatile),
        },
        "missing": missing(given, table),
        "validation_errors": validation_numbers(errors),
    }
    return Processing(numbers, {"outliers": strays, "validation_errors": errors})


def missing(before: pa.Table | None, after: pa.Table | None) -> dict[str, Any]:
    """`rows_before`, `rows_after`, and by column how many values are missing `before` and `after`: None where a table
    does not have the column."""
    given, made = _missing_by_column(before), _missing_by_column(after)
    names = dict.fromkeys((*made, *given))
    return {
        "rows_before": None if before is None else before.num_rows,
        "rows_after": None if after is None else after.num_rows,
        "columns": {name: {"before": given.get(name), "after": made.get(name)} for name in names},
    }


def duplicates_dropped(reasons: Mapping[str, int]) -> dict[str, int]:
    """The drop reasons that say that a row stands elsewhere too."""
    return {name: count for name, count in reasons.items() if any(word in name for word in DUPLICATE_WORDS)}


def repeated_rows(table: pa.Table, volatile: Collection[str] = ()) -> int:
    """Rows that equal an earlier one in every column but row_id; lists, structs and volatile columns do not count."""
    names = [
        field.name
        for field in table.schema
        if field.name != "row_id" and field.name not in volatile and not pa.types.is_nested(field.type)
    ]
    if not names or table.num_rows < 2:
        return 0
    # Rows that are still alone drop out, column by column: most tables are done after one or two of them.
    groups = np.zeros(table.num_rows, np.int64)
    rows = np.arange(table.num_rows)
    for name in names:
        picked = table.column(name) if len(rows) == table.num_rows else table.column(name).take(pa.array(rows))
        encoded = picked.combine_chunks().dictionary_encode(null_encoding="encode")
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        _, groups, counts = np.unique(
            groups * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True, return_counts=True
        )
        together = counts[groups] > 1
        rows, groups = rows[together], groups[together]
        if not len(rows):
            return 0
    return len(rows) - len(np.unique(groups))


_NOTHING = pa.table({"row_id": pa.array([], pa.string())})


def _missing_by_column(table: pa.Table | None) -> dict[str, int]:
    if table is None:
        return {}
    return {name: missing_in(table.column(name)) for name in table.column_names if name != "row_id"}
