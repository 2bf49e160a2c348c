"""What the rows of a phase took, summed up for the envelope: which were dear, and which had to be asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

ROW_EFFORTS = "row_efforts"
"""Key of an envelope's notes."""
_NAMED = 20
"""Rows that are named of each sort."""


@dataclass(frozen=True)
class RowEffort:
    """The paid requests of one row: how many, how many of them ended in an error, what they cost in USD."""

    row_id: str
    requests: int
    errors: int
    usd: float


def summed_up(efforts: Sequence[RowEffort]) -> dict[str, Any]:
    """`rows` that cost something, `median_usd` of these, the `dearest` and those with `most_errors`, at most 20 each.

    Of a prompt that several rows share, requests and cost count for its first row.
    """
    priced = [effort for effort in efforts if effort.usd > 0]
    dearest = sorted(priced, key=lambda effort: (-effort.usd, effort.row_id))
    failing = sorted((e for e in efforts if e.errors), key=lambda effort: (-effort.errors, effort.row_id))
    return {
        "rows": len(priced),
        "median_usd": median(effort.usd for effort in priced) if priced else 0.0,
        "dearest": [asdict(effort) for effort in dearest[:_NAMED]],
        "most_errors": [asdict(effort) for effort in failing[:_NAMED]],
    }
