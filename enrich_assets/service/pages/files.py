"""A run's files by address: reports, figures and artifacts, each with a policy that lets nothing in it act.

A report may carry a script of its own; it runs in a sandbox with an origin of its own, so that it sees no other page,
and nothing in it reaches a network.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from upath import UPath

from enrich_assets.core.errors import ArtifactDamaged, ArtifactMissing
from enrich_assets.core.files import names_in, read_bytes
from enrich_assets.graphs.catalog import GRAPHS
from enrich_assets.reading import Run
from enrich_assets.service.viewer import envelopes_of, viewer_of
from enrich_assets.store.layout import ARTIFACT_SUFFIXES, valid_file_name
from enrich_assets.store.manifest import kind_of
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


@router.get("/runs/{run_id}/figures")
def figures(request: Request, run_id: str) -> HTMLResponse:
    """All figures of a run, by phase."""
    viewer = viewer_of(request)
    run = viewer.run(run_id)
    return viewer.page("figures.html.j2", run=run, figures=figures_in(listed_files(run)))


@router.get("/runs/{run_id}/{name:path}")
def file(request: Request, run_id: str, name: str) -> Response:
    """A file of a run under its name in the run's folder, so that what reports link to leads here too.

    Only what a phase published is given, and only as long as it is whole.
    """
    run = viewer_of(request).run(run_id)
    phase = name.rsplit(".", 1)[0]
    if f".{name.rsplit('.', 1)[-1]}" in ARTIFACT_SUFFIXES and phase in run.graph.names:
        _, present = read_present(run.store.run_folder(run.graph.name, run.run_id), phase)
        return _download(present.data, f"{run.run_id}_{phase}{present.suffix}")
    return _shown_as(run.file(name), name.rsplit("/", 1)[-1], is_report=name.startswith("reports/"))


@router.get("/reports/{run_id}/{name}")
def made_report(request: Request, run_id: str, name: str) -> Response:
    """A report that `enrich report` made of the run; no hash of it is known."""
    run = viewer_of(request).run(run_id)
    return _shown_as(read_bytes(_made_folder(run) / valid_file_name(name)), name, is_report=True)


@router.get("/{graph}/{run_id}/{name:path}")
def as_in_the_storage(graph: str, run_id: str, name: str) -> RedirectResponse:
    """Leads on from the place of a file in the storage, where reports that `enrich report` made link to."""
    if graph not in GRAPHS:
        raise HTTPException(404)
    return RedirectResponse(f"/runs/{quote(run_id)}/{quote(name)}")


def made_reports(run: Run) -> list[str]:
    """Names of the reports that `enrich report` made of a run."""
    return [name for name in names_in(_made_folder(run)) if name.rsplit(".", 1)[-1] in _SHOWN and name[0] != "."]


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
    kind = kind_of(name)
    return {"phase": phase, "number": 0, "name": name, "kind": kind, "bytes": None, "rows": None, "description": ""}


def _made_folder(run: Run) -> UPath:
    return run.store.root / "reports" / run.run_id


def _shown_as(data: bytes, name: str, *, is_report: bool) -> Response:
    """The answer that shows a file, or downloads it where browsers do not show its kind."""
    shown = _SHOWN.get(name.rsplit(".", 1)[-1])
    if shown is None:
        return _download(data, name)
    kind, policy = shown
    if policy == _REPORT and not is_report:
        # A page that is no report was not made by the project: it is shown as the text that it is.
        kind, policy = "text/plain; charset=utf-8", _NOTHING
    return Response(data, media_type=kind, headers={"content-security-policy": policy})


def _download(data: bytes, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "content-security-policy": _NOTHING}
    return Response(data, media_type="application/octet-stream", headers=headers)
