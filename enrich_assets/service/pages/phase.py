"""One phase of a run: what went in and came out, why rows went, its checks, figures, files, earlier versions."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from enrich_assets.core.errors import ArtifactError
from enrich_assets.reading import Run
from enrich_assets.service.pages.files import figures_in, listed_files
from enrich_assets.service.viewer import side_tables, viewer_of

router = APIRouter()
_LONGEST_DOCUMENT = 200_000


@router.get("/runs/{run_id}/phases/{phase}")
def phase_page(request: Request, run_id: str, phase: str) -> HTMLResponse:
    """The page of a phase."""
    viewer = viewer_of(request)
    run = viewer.run(run_id)
    envelope = run.envelope(phase)
    counts = envelope.counts
    files = [entry for entry in listed_files(run) if entry["phase"] == phase]
    losses = [("drop_reason", "dropped", reason, n) for reason, n in counts.dropped_by_reason.items()]
    losses += [("failure_kind", "failed", kind, n) for kind, n in counts.failed_by_kind.items()]
    place = run.graph.names.index(phase)
    return viewer.page(
        "phase.html.j2",
        run=run,
        phase=phase,
        envelope=envelope,
        losses=sorted(losses, key=lambda loss: -loss[3]),
        most=max([loss[3] for loss in losses], default=0),
        sides=side_tables(envelope),
        figures=figures_in(files),
        files=files,
        versions=_versions(run, phase),
        document="" if envelope.columns else _document(run, phase),
        description=run.graph.phases[place].description.replace("`", ""),
        before=run.graph.names[place - 1] if place else "",
        after=run.graph.names[place + 1] if place + 1 < len(run.graph.names) else "",
    )


def _document(run: Run, phase: str) -> str:
    text = json.dumps(run.document(phase), ensure_ascii=False, indent=1)
    return (
        text if len(text) <= _LONGEST_DOCUMENT else text[:_LONGEST_DOCUMENT] + "\n… download the artifact for the rest"
    )


def _versions(run: Run, phase: str) -> list[Any]:
    try:
        return [version.envelope for version in run.versions(phase)]
    except ArtifactError:
        return []
