"""Two runs beside each other: what they were given, what became of their articles, and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from enrich_assets.reports.compare.comparison import compare
from enrich_assets.service.viewer import viewer_of

router = APIRouter()
_RUNS_OFFERED = 100
_Name = Annotated[str, Query(max_length=120)]


@router.get("/compare")
def compare_page(request: Request, old: _Name = "", new: _Name = "") -> HTMLResponse:
    """The comparison of two runs; without them, a form that asks for them."""
    viewer = viewer_of(request)
    offered = viewer.ledger.runs(limit=_RUNS_OFFERED)
    if not old or not new:
        return viewer.page("compared.html.j2", offered=offered, old=old, new=new, found=None)
    before, after = viewer.run(old), viewer.run(new)
    key = (before.run_id, after.run_id, *(e.envelope_sha256 for run in (before, after) for _, e in run.envelopes()))
    found = viewer.comparisons.get(key, lambda: compare(before, after))
    return viewer.page("compared.html.j2", offered=offered, old=before.run_id, new=after.run_id, found=found)
