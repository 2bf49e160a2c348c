"""One row through all phases: what each added or why it went, its scores, its evidence in stored pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from enrich_assets.core.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, UserError
from enrich_assets.graphs.intelligence.report_content import DIMENSIONS
from enrich_assets.reading import Run
from enrich_assets.service.cells import whole
from enrich_assets.service.passages import Known, evidence_in
from enrich_assets.service.tables import row_with
from enrich_assets.service.viewer import Viewer, envelopes_of, viewer_of

router = APIRouter()
_SUPPRESSED = ("text", "sketch", "entities", "analysis")
"""Columns that have a place of their own on the page, or say nothing to people."""
_SCORES = ("final_score", "tier3_score", "tier2_score", "tier1_score")


@dataclass(frozen=True)
class Step:
    """What became of the row in one phase."""

    phase: str
    outcome: str
    """kept, dropped, failed, damaged, or '' where the phase says nothing of the row."""
    added: dict[str, Any] = field(default_factory=dict)
    """Columns that the phase added, by name."""
    why: str = ""


@router.get("/runs/{run_id}/row")
def row_page(request: Request, run_id: str, id: Annotated[str, Query(max_length=300)] = "") -> HTMLResponse:
    """The page of a row."""
    viewer = viewer_of(request)
    run = viewer.run(run_id)
    steps, row = _path(viewer, run, id)
    if not any(step.outcome in ("kept", "dropped", "failed") for step in steps):
        if steps:
            where = f"{run.run_id}/{steps[0].phase}"
            raise ArtifactDamaged("where this row would stand is damaged.", where=where, fix=steps[0].why)
        raise ArtifactMissing(
            f"no phase of the run {run.run_id} has a row {id!r:.80}.", fix="The tables of its phases list the rows."
        )
    scores = {name: row[name] for name in (*_SCORES, *DIMENSIONS) if isinstance(row.get(name), (int, float))}
    return viewer.page(
        "row.html.j2",
        run=run,
        row_id=id,
        row=Known(row),
        steps=steps,
        scores=scores,
        evidence=list(evidence_in(row, viewer.store)),
        columns={name: whole(value) for name, value in row.items()},
    )


def _path(viewer: Viewer, run: Run, row_id: str) -> tuple[list[Step], dict[str, Any]]:
    """What became of the row, phase by phase, and all that is known of it."""
    steps, known = [], dict[str, Any]()
    for phase, envelope, wrong in envelopes_of(run):
        if wrong:
            steps.append(Step(phase, "damaged", why=wrong))
        if envelope is None:
            continue
        try:
            step, row = _step(viewer, run, phase, row_id, known, has_table=bool(envelope.columns))
        except ArtifactError as error:
            steps.append(Step(phase, "damaged", why=str(error)))
            continue
        known |= row
        if step.outcome:
            steps.append(step)
    return steps, known


def _step(
    viewer: Viewer, run: Run, phase: str, row_id: str, known: dict[str, Any], *, has_table: bool
) -> tuple[Step, dict[str, Any]]:
    if has_table:
        row = _row(viewer.table(run, phase)[1], row_id)
        if row is not None:
            added = {n: v for n, v in row.items() if n not in known and n not in _SUPPRESSED and n != "row_id"}
            return Step(phase, "kept", added if known else {}), row
    for side, columns in (("dropped", ("reason", "value", "detail")), ("failed", ("kind", "message"))):
        try:
            row = _row(viewer.table(run, phase, side)[1], row_id)
        except UserError:
            row = None
        if row is not None:
            start = "drop" if side == "dropped" else "failure"
            said = [str(row[f"{start}_{name}"]) for name in columns if row.get(f"{start}_{name}")]
            own = {name: row[name] for name in ("row_id", "title", "url") if row.get(name)}
            return Step(phase, side, why=" · ".join(said).replace("_", " ", 1)), own
    return Step(phase, ""), {}


def _row(table: pa.Table, row_id: str) -> dict[str, Any] | None:
    place = row_with(table, row_id)
    return None if place is None else dict(table.slice(place, 1).to_pylist()[0])
