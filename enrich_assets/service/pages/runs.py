"""The first page: all runs, newest first, to be narrowed by state or text."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from enrich_assets.graphs.finding import runs_unlisted
from enrich_assets.service.listing import STATES, UNLISTED, runs_listed
from enrich_assets.service.pager import pager_of
from enrich_assets.service.viewer import viewer_of

router = APIRouter()
RUNS_A_PAGE = 50


@router.get("/")
def first() -> RedirectResponse:
    """Leads to the list of runs."""
    return RedirectResponse("/runs")


@router.get("/runs")
def runs(
    request: Request,
    state: Annotated[str, Query(max_length=40)] = "",
    text: Annotated[str, Query(max_length=200)] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    """A page of the runs."""
    viewer = viewer_of(request)
    found, total = runs_listed(viewer, state=state, text=text.strip(), page=page, size=RUNS_A_PAGE)
    pager = pager_of(request, page, RUNS_A_PAGE, total)
    return viewer.page(
        "runs.html.j2",
        runs=found,
        total=total,
        pager=pager,
        state=state,
        text=text,
        states=(*STATES, UNLISTED),
        unlisted=runs_unlisted(viewer.store, viewer.ledger),
    )
