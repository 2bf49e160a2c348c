"""What a finding is, what it is computed from, and what a kind of finding has to give.

The kinds themselves stand beside this file; which there are is listed in `kinds.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa

from enrich_assets.core.envelope import Counts, Envelope, Frozen, Usage
from enrich_assets.engine.phase import Phase

ROWS_SHOWN = 20
"""Rows that a finding names; it counts all of them."""

Table = Callable[[str], pa.Table | None]
"""Gives a table of a phase by name: '' the published one, `dropped`, `failed`, or a side table; None where there is
none."""


class FindingRow(Frozen):
    """One row behind a finding."""

    row_id: str
    title: str = ""
    value: str = ""
    """What makes it part of the finding: a score, a cost, a kind of failure."""


class Finding(Frozen):
    """One thing that stands out in a phase of a run."""

    kind: str
    """Short stable name."""
    phase: str
    severity: Literal["warning", "notice"] = "warning"
    """`warning`: something is probably wrong. `notice`: worth a look."""
    sentence: str
    """One sentence with the numbers."""
    advice: str
    """What to do about it."""
    rows: tuple[FindingRow, ...] = ()
    """The first rows behind it, at most 20."""
    rows_total: int = 0
    """All rows behind it."""


@dataclass(frozen=True)
class Earlier:
    """The same phase of an earlier run."""

    run_id: str
    envelope: Envelope
    table: Table


@dataclass(frozen=True)
class Facts:
    """What is known of one phase of one run: what a kind of finding may look at."""

    phase: Phase
    counts: Counts
    usage: Usage
    as_of: datetime
    table: Table
    notes: Mapping[str, Any] = field(default_factory=dict)
    find_earlier: Callable[[], Sequence[Earlier]] = tuple

    @cached_property
    def earlier(self) -> Sequence[Earlier]:
        """The phase in the newest complete earlier runs of the same preset, newest first."""
        return self.find_earlier()

    def titles(self) -> dict[str, str]:
        """Title of every row that the phase kept, dropped or failed, by row_id."""
        found: dict[str, str] = {}
        for name in ("", "dropped", "failed"):
            table = self.table(name)
            if table is not None and {"row_id", "title"} <= set(table.column_names):
                titles = table.column("title").to_pylist()
                found |= {str(row): str(title or "") for row, title in zip(row_ids(table), titles, strict=True)}
        return found


@dataclass(frozen=True)
class Found:
    """What a kind found; its name and phase are added by whoever asked it. `rows` may be more than are shown."""

    sentence: str
    advice: str
    rows: Sequence[FindingRow] = ()
    severity: Literal["warning", "notice"] = "warning"


@dataclass(frozen=True)
class Kind:
    """One kind of finding: which phases it can concern, and the function that looks for it."""

    name: str
    concerns: Callable[[Phase], bool]
    find: Callable[[Facts], Iterable[Found]]

    @property
    def description(self) -> str:
        """First line of the function's docstring."""
        return (inspect.getdoc(self.find) or self.name).splitlines()[0]

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """What it finds in a phase."""
        for found in self.find(facts):
            yield Finding(
                kind=self.name,
                phase=facts.phase.name,
                severity=found.severity,
                sentence=found.sentence,
                advice=found.advice,
                rows=tuple(found.rows[:ROWS_SHOWN]),
                rows_total=len(found.rows),
            )


def row_ids(table: pa.Table) -> list[str]:
    """The row_ids of a table."""
    return [str(row_id) for row_id in table.column("row_id").to_pylist()]


def rows_where(table: pa.Table, column: str, wanted: Any, *, value: str = "") -> list[FindingRow]:
    """The rows whose column has a value; `value` is what is said of each."""
    import pyarrow.compute as pc

    chosen = table.filter(pc.equal(table.column(column), wanted))
    titles = chosen.column("title").to_pylist() if "title" in chosen.column_names else [""] * chosen.num_rows
    return [
        FindingRow(row_id=row_id, title=str(title or ""), value=value)
        for row_id, title in zip(row_ids(chosen), titles, strict=True)
    ]


def percent(share: float) -> str:
    """A share of 0–1 as whole percent."""
    return f"{100 * share:.0f} %"


def median(values: Sequence[float]) -> float:
    """The middle of some values, of two in the middle their mean; raises ValueError for none."""
    from statistics import median as middle

    return float(middle(values))
