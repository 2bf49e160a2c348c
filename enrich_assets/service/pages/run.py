"""One run: how far it is, what it read and left, what stands out, and the way to everything that it published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from enrich_assets.core.envelope import Envelope
from enrich_assets.core.errors import EnrichError, UnknownRun
from enrich_assets.engine.progress import Pace, RowsSoFar, how_it_goes, unknown_outcomes
from enrich_assets.engine.run_progress import BETWEEN, PAUSE_SECONDS, SILENT_SECONDS, RunProgress, read_progress
from enrich_assets.engine.series import LATEST, series_of
from enrich_assets.reading import Run
from enrich_assets.reports.findings.looking import findings_of
from enrich_assets.service.pages.files import figures_in, listed_files, made_reports
from enrich_assets.service.viewer import Viewer, envelopes_of, viewer_of

router = APIRouter()
LIVE = ("running", "prepared", BETWEEN)
_FIRST_FIGURES = 6
_TO_COMPARE = 30


@router.get(f"/runs/{LATEST}:{{rest:path}}")
def latest_of_series(request: Request, rest: str) -> RedirectResponse:
    """Leads to the newest run of a series, or to a page below it. The name of a series may have a slash."""
    viewer = viewer_of(request)
    name, below = rest, ""
    while "/" in name:
        try:
            viewer.run(f"{LATEST}:{name}")
            break
        except UnknownRun:
            name, _, last = name.rpartition("/")
            below = f"/{last}{below}"
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/runs/{viewer.run(f'{LATEST}:{name}').run_id}{quote(below)}{query}")


@router.get("/runs/{run_id}")
def run_page(request: Request, run_id: str) -> HTMLResponse:
    """The page of a run."""
    viewer = viewer_of(request)
    run = viewer.run(run_id)
    envelopes = list(envelopes_of(run))
    files = listed_files(run)
    figures = figures_in(files)
    registered = viewer.ledger.registration(run.run_id) or {}
    others = [r for r in viewer.ledger.runs(run.graph.name, limit=_TO_COMPARE + 1) if r["run_id"] != run.run_id]
    return viewer.page(
        "run.html.j2",
        run=run,
        title=str(registered.get("title") or ""),
        preset=str(registered.get("preset") or ""),
        series=series_of(registered),
        checks=[(name, check) for name, e, _ in envelopes if e for check in e.checks if not check.passed],
        damaged=[(name, wrong) for name, _, wrong in envelopes if wrong],
        reports=[file for file in files if file["kind"] == "report"],
        made=_told(lambda: made_reports(run)) or [],
        figures=figures[:_FIRST_FIGURES],
        figures_total=len(figures),
        files=files,
        others=others[:_TO_COMPARE],
        failures=viewer.ledger.failures(run.run_id),
        settings=_told(lambda: run.settings),
        **_progress_values(viewer, run, envelopes),
    )


@router.get("/runs/{run_id}/progress")
def progress_part(request: Request, run_id: str) -> HTMLResponse:
    """The part of the run's page that changes while it works; the header `x-live` says whether it still does."""
    viewer = viewer_of(request)
    run = viewer.run(run_id)
    values = _progress_values(viewer, run, list(envelopes_of(run)))
    answer = viewer.page("_progress.html.j2", run=run, **values)
    answer.headers["x-live"] = "yes" if values["is_live"] else "no"
    return answer


@router.get("/runs/{run_id}/findings")
def findings_part(request: Request, run_id: str) -> HTMLResponse:
    """What stands out in a run: a part of its page that is asked for later, because it reads every table."""
    viewer = viewer_of(request)
    run = viewer.run(run_id)
    hashes = [envelope.envelope_sha256 for _, envelope in run.envelopes()]
    key = (run.run_id, *hashes, len(run.store.runs(run.graph.name)))
    return viewer.page("_findings.html.j2", run=run, findings=viewer.findings.get(key, lambda: findings_of(run)))


def _progress_values(viewer: Viewer, run: Run, envelopes: Sequence[tuple[str, Envelope | None, str]]) -> dict[str, Any]:
    """How the run goes: `progress`, its `working` line, `notes`, whether it `is_live`; which phases have `published`,
    and which of them `tables`."""
    progress = read_progress(viewer.ledger, run.run_id, run.graph.names, pause_seconds=PAUSE_SECONDS)
    pace = viewer.paces.get(run.run_id, Pace)
    return {
        "progress": progress,
        "working": _working(progress, pace),
        "notes": _notes(progress),
        "is_live": progress.state in LIVE,
        "published": {name for name, envelope, _ in envelopes if envelope},
        "tables": {name for name, envelope, _ in envelopes if envelope and envelope.columns},
    }


def _working(progress: RunProgress, pace: Pace) -> str:
    phase = progress.working
    if phase is None or not phase.rows_in or phase.seconds is None:
        return ""
    rows = RowsSoFar(phase.rows_in, phase.rows_done or 0, phase.dropped or 0, phase.failed or 0)
    pace.note(phase.seconds, rows.done)
    told = how_it_goes(rows, pace, cost=phase.cost, unsettled=phase.unsettled, reused=phase.reused or 0)
    return f"{phase.name}: {told}"


def _notes(progress: RunProgress) -> list[str]:
    notes = [f"{phase.name}: {phase.message}" for phase in progress.phases if phase.message and phase.mark == "✗"]
    notes += [
        f"{phase.name} gave no sign of life for {phase.silent_seconds:,.0f} s. If nobody works on it, "
        f"`enrich resume {progress.run_id}` goes on."
        for phase in progress.phases
        if phase.status == "running" and phase.silent_seconds > SILENT_SECONDS
    ]
    if progress.state == "paused":
        notes.append(f"It was paused; `enrich resume {progress.run_id}` goes on.")
    told = unknown_outcomes(progress.unsettled)
    return notes + ([f"In the cost, {told}."] if told else [])


def _told(read: Callable[[], Any]) -> Any:
    """What could be read of a run, or nothing where that part of it is missing or damaged: the page shows the rest."""
    try:
        return read()
    except EnrichError:
        return None
