"""Two runs beside each other: what they were given, what became of their articles, and why.

What is said of them and how it looks belongs to `reports.compare`; here it gets the viewer's frame.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from enrich_assets.reports.compare.comparison import compare
from enrich_assets.reports.compare.page import HEADINGS, MOST_SHOWN
from enrich_assets.service.guard import POLICY
from enrich_assets.service.viewer import viewer_of

router = APIRouter()
_RUNS_OFFERED = 200
_Name = Annotated[str, Query(max_length=120)]
# The page brings its styles with it.
_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


@router.get("/compare")
def compare_page(request: Request, old: _Name = "", new: _Name = "") -> HTMLResponse:
    """The comparison of two runs; without them, a form that asks for them."""
    viewer = viewer_of(request)
    if not old or not new:
        offered = viewer.ledger.runs(limit=_RUNS_OFFERED)
        newest = [run["run_id"] for run in offered]
        # Nobody compares a run with itself: the newest two are what most people want, the older one first.
        new = new or next((run_id for run_id in newest if run_id != old), "")
        old = old or next((run_id for run_id in newest if run_id != new), "")
        return viewer.page("compared.html.j2", offered=offered, old=old, new=new)
    before, after = viewer.run(old), viewer.run(new)
    key = (before.run_id, after.run_id, *(e.envelope_sha256 for run in (before, after) for _, e in run.envelopes()))
    found = viewer.comparisons.get(key, lambda: compare(before, after))
    answer = viewer.page("compare.html.j2", found=found, headings=HEADINGS, most=MOST_SHOWN)
    answer.headers["content-security-policy"] = _POLICY
    return answer
