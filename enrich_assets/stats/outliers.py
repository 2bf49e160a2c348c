"""Outliers: numbers far from the others of their column. They stay in the table; a file names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from enrich_assets.stats.figures.values import column_of

BEYOND = 3.5
"""Modified z-score above which a number is an outlier (Iglewicz and Hoaglin 1993, "How to Detect and Handle
Outliers")."""
LEAST_NUMBERS = 10
"""A column with fewer numbers is not judged."""
_CONSISTENT = 0.6745
"""Median absolute deviation of a normal distribution, in standard deviations."""
SCHEMA = pa.schema([("row_id", pa.string()), ("column", pa.string()), ("value", pa.float64()), ("score", pa.float64())])


def outliers(table: pa.Table, columns: Iterable[str]) -> pa.Table:
    """The outliers of these columns: row_id, column, value, score (the modified z-score, signed), in table order.

    The score is 0.6745 (x − median) / MAD, MAD being the median absolute deviation from the median. A column where
    more than half of the numbers are equal has none (MAD is 0) and is not judged; nor is one that holds no numbers.
    """
    found = [_of_column(table, name) for name in columns if _holds_numbers(table, name)]
    return pa.concat_tables([SCHEMA.empty_table(), *found])


def outlier_numbers(found: pa.Table) -> Mapping[str, Any]:
    """`rows` that have at least one, `values`, and values `by_column`."""
    columns = found.column("column").value_counts().to_pylist()
    return {
        "rows": len(found.column("row_id").unique()),
        "values": found.num_rows,
        "by_column": {item["values"]: item["counts"] for item in columns},
    }


def _holds_numbers(table: pa.Table, name: str) -> bool:
    kind = column_of(table, name).type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _of_column(table: pa.Table, name: str) -> pa.Table:
    # Nulls become not-a-number, so that a position stays that of the row.
    numbers = table.column(name).cast(pa.float64()).to_numpy()
    finite = numbers[np.isfinite(numbers)]
    if len(finite) < LEAST_NUMBERS:
        return SCHEMA.empty_table()
    middle = np.median(finite)
    spread = np.median(np.abs(finite - middle))
    if spread == 0 or not np.isfinite(spread):
        return SCHEMA.empty_table()
    scores = _CONSISTENT * (numbers - middle) / spread
    places = np.flatnonzero(np.isfinite(numbers) & (np.abs(scores) > BEYOND))
    return pa.table(
        {
            "row_id": table.column("row_id").take(pa.array(places)).cast(pa.string()),
            "column": pa.array([name] * len(places), pa.string()),
            "value": numbers[places],
            "score": np.round(scores[places], 3),
        },
        schema=SCHEMA,
    )
