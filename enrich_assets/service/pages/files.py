"""A run's files by address: reports, figures and artifacts, each with a policy that lets nothing in it act.

A report may carry a script of its own; it runs in a sandbox with an origin of its own, so that it sees no other page,
and nothing in it reaches a network.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing, UnknownPhase
from enrich_assets.reading import Run
from enrich_assets.service.viewer import envelopes_of, viewer_of
from enrich_assets.store.publication import read_present

router = APIRouter()
_NOTHING = "default-src 'none'; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox "
    "allow-downloads"
)
_PICTURE = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
_PDF = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
# What a browser shows by itself; everything else is downloaded.
_SHOWN = {
    "html": ("text/html; charset=utf-8", _REPORT),
    "svg": ("image/svg+xml", _PICTURE),
    "png": ("image/png", _PICTURE),
    "pdf": ("application/pdf", _PDF),
    "md": ("text/plain; charset=utf-8", _NOTHING),
    "txt": ("text/plain; charset=utf-8", _NOTHING),
    "json": ("text/plain; charset=utf-8", _NOTHING),
    "jsonl": ("text/plain; charset=utf-8", _NOTHING),
}
_KINDS = ("report", "data", "table", "plot", "etl", "eda", "log")


@router.get("/runs/{run_id}/reports/{name}")
def report(request: Request, run_id: str, name: str) -> Response:
    """A report of a run."""
    return _answer(viewer_of(request).run(run_id), f"reports/{name}")


@router.get("/runs/{run_id}/files/{name:path}")
def file(request: Request, run_id: str, name: str) -> Response:
    """Any file that a phase of the run published beside its artifact."""
    return _answer(viewer_of(request).run(run_id), name)


@router.get("/runs/{run_id}/artifacts/{phase}")
def artifact(request: Request, run_id: str, phase: str) -> Response:
    """The artifact of a phase, as it was published and is whole."""
    run = viewer_of(request).run(run_id)
    if phase not in run.graph.names:
        raise UnknownPhase(
            f"{phase!r:.80} is no phase of {run.graph.name}.", fix=f"Phases: {', '.join(run.graph.names)}."
        )
    _, present = read_present(run.store.run_folder(run.graph.name, run.run_id), phase)
    return _download(present.data, f"{run.run_id}_{phase}{present.suffix}")


@router.get("/runs/{run_id}/figures")
def figures(request: Request, run_id: str) -> HTMLResponse:
    """All figures of a run, by phase."""
    viewer = viewer_of(request)
    run = viewer.run(run_id)
    return viewer.page("figures.html.j2", run=run, figures=figures_in(listed_files(run)))


def listed_files(run: Run) -> list[dict[str, Any]]:
    """The manifest's entries of a run; where it is missing or damaged, what the artifacts say of themselves."""
    try:
        listed: list[dict[str, Any]] = run.store.manifest(run.graph.name, run.run_id)["files"]
    except (ArtifactMissing, ArtifactDamaged):
        listed = [_entry(name, file) for name, e, _ in envelopes_of(run) if e for file in e.files]
    order = {kind: place for place, kind in enumerate(_KINDS)}
    known = [entry for entry in listed if entry["phase"] in run.graph.names]
    return sorted(known, key=lambda e: (order.get(e["kind"], len(order)), e["number"], e["name"]))


def figures_in(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a figure, in the order of the phases: the drawing where there is one, else the picture."""
    plots = {entry["name"].rsplit(".", 1)[0]: entry for entry in files if entry["name"].endswith(".png")}
    plots |= {entry["name"].rsplit(".", 1)[0]: entry for entry in files if entry["name"].endswith(".svg")}
    return sorted(plots.values(), key=lambda e: (e["number"], e["name"]))


def _entry(phase: str, name: str) -> dict[str, Any]:
    area, extension = name.split("/", 1)[0], name.rsplit(".", 1)[-1]
    kinds = {"reports": "report"} | ({"eda": "plot"} if extension in ("svg", "png") else {})
    kind = kinds.get(area, "table" if extension == "parquet" else area)
    return {"phase": phase, "number": 0, "name": name, "kind": kind, "bytes": None, "rows": None, "description": ""}


def _answer(run: Run, name: str) -> Response:
    data = run.file(name)
    last = name.rsplit("/", 1)[-1]
    shown = _SHOWN.get(last.rsplit(".", 1)[-1])
    if shown is None:
        return _download(data, last)
    kind, policy = shown
    # A page that is no report was not made by the project: it is shown as the text that it is.
    if kind.startswith("text/html") and not name.startswith("reports/"):
        kind, policy = "text/plain; charset=utf-8", _NOTHING
    return Response(data, media_type=kind, headers={"content-security-policy": policy})


def _download(data: bytes, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "content-security-policy": _NOTHING}
    return Response(data, media_type="application/octet-stream", headers=headers)
