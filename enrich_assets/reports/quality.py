"""The data quality of a run: which share passed, what was left out and why, what is missing, down to the rows.

Its pages are `quality_page.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from enrich_assets.core.envelope import Envelope, Frozen
from enrich_assets.core.errors import ArtifactMissing
from enrich_assets.core.units import total_cost
from enrich_assets.graphs.intelligence.report_content import Origin
from enrich_assets.reports.kinds import ReportType
from enrich_assets.reports.material import Material
from enrich_assets.reports.origins import cost_field, token
from enrich_assets.reports.quality_page import pages
from enrich_assets.reports.text import clean, one_line
from enrich_assets.stats.figures.values import missing_in

ROWS_LIMIT = 20_000
"""Left-out rows of a run that the pages show; the others stand in the artifacts."""
ROWS_LIMIT_PHASE = 5_000
"""Of one phase and outcome, so that a large phase does not hide a small one."""
COLUMNS_LIMIT = 60
"""Columns with missing values that are shown of a phase, the emptiest first."""
REASONS_LIMIT = 30
"""Reasons that are shown of a phase, the most frequent first."""
TEXT_LIMIT = 300
"""Characters of a title, value or detail that are shown."""

_COUNTED = {
    "judged": "rows_judged",
    "rows_out": "rows_out",
    "passed": "rows_out",
    "dropped": "rows_dropped",
    "failed": "rows_failed",
}


class Missing(Frozen):
    """A column with cells that are null, not a number or an empty text."""

    column: str
    missing: int


class PhaseQuality(Frozen):
    """One phase. Counts are rows; `score` is the share of its rows that passed every rule, None where there were none.

    `cost` in USD, None where a price is unknown.
    """

    phase: str
    number: int
    judged: int
    """Rows that have an outcome: for a phase that makes rows of others, those that it tried to make too."""
    rows_out: int
    passed: int
    dropped: int
    failed: int
    score: float | None
    checks: int
    """Checks on its artifact."""
    checks_failed: int
    seconds: float
    cost: float | None
    dropped_by_reason: dict[str, int] = Field(default_factory=dict)
    failed_by_kind: dict[str, int] = Field(default_factory=dict)
    reasons_beyond: int = 0
    """Further reasons that are not shown."""
    columns: int = 0
    """Columns of its artifact."""
    missing: list[Missing] = Field(default_factory=list)
    columns_beyond: int = 0
    """Further columns with missing values that are not shown."""
    missing_unread: str = ""
    """Why missing values were not counted, where they were not."""


class LeftOut(Frozen):
    """A row that was dropped, or failed."""

    phase: str
    outcome: str
    """`dropped` or `failed`."""
    reason: str
    row_id: str = ""
    title: str = ""
    url: str = ""
    value: str = ""
    detail: str = ""


class QualityContent(Frozen):
    """The data quality of a run; the phase that makes the reports is left out."""

    run_id: str
    graph: str
    title: str
    rows_judged: int = 0
    """Sum of the rows that the phases judged."""
    passed: int = 0
    dropped: int = 0
    failed: int = 0
    checks: int = 0
    checks_failed: int = 0
    seconds: float = 0.0
    cost: float | None = 0.0
    known_cost: float = 0.0
    score: float | None = None
    """Share of the rows judged that passed every rule."""
    phases: list[PhaseQuality] = Field(default_factory=list)
    rows: list[LeftOut] = Field(default_factory=list)
    """The left-out rows that are shown, in the order of phases."""
    cut: list[str] = Field(default_factory=list)
    """Names of the artifacts of which not every row is shown."""
    provenance: dict[str, Origin] = Field(default_factory=dict)


def content(material: Material) -> QualityContent:
    """The content, from envelopes, tables and side tables."""
    phases = [_phase(material, name, envelope) for name, envelope in material.envelopes.items()]
    rows: list[LeftOut] = []
    cut: list[str] = []
    for name in material.envelopes:
        for outcome in ("dropped", "failed"):
            shown, total = _left_out(material, name, outcome, min(ROWS_LIMIT_PHASE, ROWS_LIMIT - len(rows)))
            rows += shown
            if len(shown) < total:
                cut.append(f"etl/{name}/{outcome}.parquet")
    summed = {
        name: sum(getattr(phase, name) for phase in phases)
        for name in ("passed", "dropped", "failed", "checks", "checks_failed", "seconds")
    }
    costs = [phase.cost for phase in phases]
    known = sum(cost for cost in costs if cost is not None)
    judged = sum(phase.judged for phase in phases)
    made = QualityContent(
        run_id=material.run.run_id,
        graph=material.run.graph.name,
        title=material.title,
        rows_judged=judged,
        **summed,
        cost=total_cost(costs),
        known_cost=known,
        score=summed["passed"] / judged if judged else None,
        phases=phases,
        rows=rows,
        cut=cut,
    )
    return made.model_copy(update={"provenance": dict(_provenance(made, material))})


def _phase(material: Material, name: str, envelope: Envelope) -> PhaseQuality:
    counts = envelope.counts
    found, columns, unread = _missing(material, name)
    dropped, failed = _largest(counts.dropped_by_reason), _largest(counts.failed_by_kind)
    beyond = len(counts.dropped_by_reason) + len(counts.failed_by_kind) - len(dropped) - len(failed)
    return PhaseQuality(
        phase=name,
        number=envelope.number,
        **{name: getattr(counts, field) for name, field in _COUNTED.items()},
        score=counts.quality_score,
        checks=len(envelope.checks),
        checks_failed=sum(not check.passed for check in envelope.checks),
        seconds=envelope.duration_seconds,
        cost=envelope.usage.paid,
        dropped_by_reason=dropped,
        failed_by_kind=failed,
        reasons_beyond=beyond,
        columns=columns,
        missing=found[:COLUMNS_LIMIT],
        columns_beyond=max(0, len(found) - COLUMNS_LIMIT),
        missing_unread=unread,
    )


def _largest(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:REASONS_LIMIT])


def _missing(material: Material, phase: str) -> tuple[list[Missing], int, str]:
    """Columns with missing values, the emptiest first; the number of columns; why they could not be read, or ''."""
    if material.run.graph.phase(phase).makes != "table":
        return [], 0, ""
    try:
        counted = _profiled(material, phase)
    except ArtifactMissing as error:
        return [], 0, error.what
    found = [Missing(column=name, missing=count) for name, count in counted.items() if count]
    return sorted(found, key=lambda column: (-column.missing, column.column)), len(counted), ""


def _profiled(material: Material, phase: str) -> dict[str, int]:
    """Missing values by column: out of the profile that the phase published, else counted in its table."""
    profile = f"eda/{phase}/profile.parquet"
    if profile in material.envelopes[phase].files:
        rows = material.profile(phase).select(["column", "missing"]).to_pylist()
        return {row["column"]: row["missing"] for row in rows}
    table = material.run.arrow(phase)
    return {name: missing_in(table.column(name)) for name in table.column_names}


def _left_out(material: Material, phase: str, outcome: str, room: int) -> tuple[list[LeftOut], int]:
    try:
        table = material.side(phase, outcome)
    except ArtifactMissing:
        return [], 0
    reason, value, detail = (
        ("drop_reason", "drop_value", "drop_detail")
        if outcome == "dropped"
        else ("failure_kind", "attempts", "failure_message")
    )
    names = {"reason": reason, "value": value, "detail": detail, "row_id": "row_id", "title": "title", "url": "url"}
    rows = [
        LeftOut(phase=phase, outcome=outcome, **{field: _short(row.get(name)) for field, name in names.items()})
        for row in table.slice(0, room).to_pylist()
    ]
    return rows, table.num_rows


def _short(value: Any) -> str:
    told = "" if value is None else one_line(clean(f"{value:.4g}" if isinstance(value, float) else str(value)))
    return told if len(told) <= TEXT_LIMIT else f"{told[: TEXT_LIMIT - 1]}…"


def _provenance(quality: QualityContent, material: Material) -> Iterator[tuple[str, Origin]]:
    for name in ("passed", "dropped", "failed", "checks", "checks_failed", "seconds", "cost"):
        yield f"/{name}", Origin(artifact="quality", field=f"sum of /phases/*/{name}")
    yield "/rows_judged", Origin(artifact="quality", field="sum of /phases/*/judged")
    yield "/known_cost", Origin(artifact="quality", field="sum of the known /phases/*/cost")
    if quality.score is not None:
        yield "/score", Origin(artifact="quality", field="ratio of /passed to /rows_judged")
    for index, phase in enumerate(quality.phases):
        fields = {name: f"envelope.counts.{field}" for name, field in _COUNTED.items()}
        fields |= {"score": "envelope.counts.quality_score", "seconds": "envelope.duration_seconds"}
        fields["cost"] = cost_field(material.envelopes[phase.phase].usage)
        for name, field in fields.items():
            yield f"/phases/{index}/{name}", Origin(artifact=phase.phase, field=field)
        yield f"/phases/{index}/checks", Origin(artifact=phase.phase, field="checks")
        yield f"/phases/{index}/checks_failed", Origin(artifact=phase.phase, field="checks that failed")
        for field in ("dropped_by_reason", "failed_by_kind"):
            for key in getattr(phase, field):
                origin = Origin(artifact=phase.phase, field=f"envelope.counts.{field}[{key}]")
                yield f"/phases/{index}/{field}/{token(key)}", origin
        for place, column in enumerate(phase.missing):
            origin = Origin(artifact=phase.phase, field=f"missing {column.column}")
            yield f"/phases/{index}/missing/{place}/missing", origin


REPORT = ReportType(
    name="quality",
    title="what passed, what was left out, what is missing, row by row: data_quality.html",
    content=content,
    files=pages,
)
