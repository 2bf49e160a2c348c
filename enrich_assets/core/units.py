"""Amounts as people read them: USD, seconds, numbers of things."""

from __future__ import annotations


def money(cost: float | None) -> str:
    """USD; a price that is unknown is said to be unknown."""
    if cost is None:
        return "unknown"
    if cost == 0:
        return "$0"
    return f"${cost:.2f}" if cost >= 1 else f"${cost:.4f}"


def duration(seconds: float) -> str:
    """Seconds as 0.8 s, 74 s, 12 min or 3.2 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def total_cost(costs: list[float | None]) -> float | None:
    """The sum; None when a part is unknown."""
    return None if any(cost is None for cost in costs) else sum(cost for cost in costs if cost is not None)
