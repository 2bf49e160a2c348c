"""The pipeline summary: what each phase took in and gave out, its issues, time and cost, with links to its files."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath

from pydantic import Field

from enrich_assets.core.envelope import Envelope, Frozen
from enrich_assets.core.units import total_cost
from enrich_assets.graphs.intelligence.report_content import Origin, counted_at
from enrich_assets.reports.kinds import Rendering, ReportType
from enrich_assets.reports.material import Material
from enrich_assets.reports.origins import cost_field
from enrich_assets.reports.templating import environment
from enrich_assets.reports.text import clean

FIGURES_LIMIT = 480_000
"""Bytes of SVG that stand in the page itself; further figures are linked."""
_USAGE = ("model_calls", "page_requests", "search_requests", "answers_reused", "retries", "tokens_in", "tokens_out")


class Problem(Frozen):
    """A check of a phase that did not pass."""

    check: str
    message: str
    blocking: bool


class PhaseLine(Frozen):
    """One phase. Counts are rows; cost in USD, None where a price is unknown; `issues` are `problems` and `failed`."""

    phase: str
    number: int
    makes: str
    """`table` or `document`."""
    rows_in: int
    kept: int
    dropped: int
    failed: int
    created: int
    rows_out: int
    waiting: int
    """Failed rows that resume asks again."""
    problems: list[Problem] = Field(default_factory=list)
    failed_by_kind: dict[str, int] = Field(default_factory=dict)
    seconds: float
    cost: float | None
    model_calls: int
    page_requests: int
    search_requests: int
    answers_reused: int
    retries: int
    tokens_in: int
    tokens_out: int
    artifact: str
    """Name of its artifact below the run's folder."""
    files: list[str] = Field(default_factory=list)
    """Its side files, below the run's folder."""


class Totals(Frozen):
    """Sums over the phases. `cost` is None as soon as one is unknown; `known_cost` is what is known of it."""

    rows_in: int = 0
    rows_out: int = 0
    dropped: int = 0
    failed: int = 0
    seconds: float = 0.0
    cost: float | None = 0.0
    known_cost: float = 0.0
    model_calls: int = 0
    page_requests: int = 0
    search_requests: int = 0
    answers_reused: int = 0


class SummaryContent(Frozen):
    """The summary of a run, phase by phase; the phase that makes the reports is left out."""

    run_id: str
    graph: str
    title: str
    preset: str = ""
    started_at: datetime | None = None
    is_complete: bool
    """Whether every phase before the report published and no blocking check failed."""
    missing_phases: list[str] = Field(default_factory=list)
    records: int = 0
    """Rows of the phase that made the records."""
    records_from: str = ""
    reported: int = 0
    """Rows of the last phase."""
    reported_from: str = ""
    totals: Totals = Totals()
    phases: list[PhaseLine] = Field(default_factory=list)
    provenance: dict[str, Origin] = Field(default_factory=dict)


def content(material: Material) -> SummaryContent:
    """The summary's content, from the envelopes alone."""
    lines = [_line(material, name, envelope) for name, envelope in material.envelopes.items()]
    missing = [p.name for p in material.run.graph.before(material.run.graph.last) if p.name not in material.envelopes]
    maker = next((line for line in lines if line.created), next((line for line in lines if line.rows_out), None))
    last = lines[-1] if lines else None
    blocked = any(envelope.status == "blocked" for envelope in material.envelopes.values())
    costs = [line.cost for line in lines]
    known = sum(cost for cost in costs if cost is not None)
    summed = {name: sum(getattr(line, name) for line in lines) for name in Totals.model_fields if "cost" not in name}
    made = SummaryContent(
        run_id=material.run.run_id,
        graph=material.run.graph.name,
        title=material.title,
        preset=str(material.registration.get("preset") or ""),
        started_at=min((envelope.started_at for envelope in material.envelopes.values()), default=None),
        is_complete=not missing and not blocked,
        missing_phases=missing,
        records=0 if maker is None else maker.rows_out,
        records_from="" if maker is None else maker.phase,
        reported=0 if last is None else last.rows_out,
        reported_from="" if last is None else last.phase,
        totals=Totals(**summed, cost=total_cost(costs), known_cost=known),
        phases=lines,
    )
    return made.model_copy(update={"provenance": dict(_provenance(made, material))})


def files(summary: SummaryContent, rendering: Rendering) -> dict[str, bytes]:
    """`pipeline_summary.html`, below 1 MB."""
    shown, linked, room = [], [], FIGURES_LIMIT
    for figure in rendering.material.figures:
        if len(figure.svg) <= room:
            room -= len(figure.svg)
            data = base64.b64encode(figure.svg).decode("ascii")
            shown.append((figure, f"data:image/svg+xml;base64,{data}"))
        else:
            linked.append(figure.name)
    page = (
        environment()
        .get_template("summary.html.j2")
        .render(
            summary=summary,
            artifacts=rendering.artifacts,
            figures=shown,
            linked_figures=linked,
            most_rows=max((max(line.rows_in, line.rows_out) for line in summary.phases), default=0),
            file_title=lambda name: PurePosixPath(name).name,
        )
    )
    return {"pipeline_summary.html": page.encode("utf-8")}


def _line(material: Material, name: str, envelope: Envelope) -> PhaseLine:
    makes = material.run.graph.phase(name).makes
    usage = {field: getattr(envelope.asked, field) for field in _USAGE}
    problems = [
        Problem(check=check.name, message=clean(check.message), blocking=check.blocking)
        for check in envelope.checks
        if not check.passed
    ]
    return PhaseLine(
        phase=name,
        number=envelope.number,
        makes=makes,
        **{name: getattr(envelope.counts, field) for name, field in counted_at(envelope.counts).items()},
        waiting=envelope.counts.waiting,
        problems=problems,
        failed_by_kind=clean(envelope.counts.failed_by_kind),
        seconds=envelope.duration_seconds,
        cost=envelope.usage.paid,
        **usage,
        artifact=f"{name}.{'parquet' if makes == 'table' else 'json'}",
        files=sorted(envelope.files),
    )


def _provenance(summary: SummaryContent, material: Material) -> Iterator[tuple[str, Origin]]:
    if summary.records_from:
        yield "/records", Origin(artifact=summary.records_from, field="envelope.counts.rows_out")
    if summary.reported_from:
        yield "/reported", Origin(artifact=summary.reported_from, field="envelope.counts.rows_out")
    for name in Totals.model_fields:
        if name != "known_cost":
            yield f"/totals/{name}", Origin(artifact="summary", field=f"sum of /phases/*/{name}")
    yield "/totals/known_cost", Origin(artifact="summary", field="sum of the known /phases/*/cost")
    for index, line in enumerate(summary.phases):
        counted = counted_at(material.envelopes[line.phase].counts) | {"waiting": "waiting"}
        fields = {name: f"envelope.counts.{field}" for name, field in counted.items()}
        fields |= {name: f"envelope.asked.{name}" for name in _USAGE}
        fields |= {"seconds": "envelope.duration_seconds", "cost": cost_field(material.envelopes[line.phase].usage)}
        for name, field in fields.items():
            yield f"/phases/{index}/{name}", Origin(artifact=line.phase, field=field)


REPORT = ReportType(
    name="summary",
    title="what each phase did, took and cost: pipeline_summary.html",
    content=content,
    files=files,
)
