"""A table of a run, page by page: filtered, sorted, with the columns that one wants to see."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from enrich_assets.service import tables
from enrich_assets.service.pager import address, pager_of
from enrich_assets.service.viewer import side_tables, viewer_of

router = APIRouter()
_Text = Annotated[str, Query(max_length=300)]


@router.get("/runs/{run_id}/phases/{phase}/table")
@router.get("/runs/{run_id}/phases/{phase}/side/{side}")
def table_page(
    request: Request,
    run_id: str,
    phase: str,
    side: str = "",
    text: _Text = "",
    column: _Text = "",
    operator: Annotated[str, Query(max_length=10)] = "has",
    value: _Text = "",
    sort: _Text = "",
    order: Annotated[str, Query(pattern="^(up|down)$")] = "up",
    columns: Annotated[list[str] | None, Query(max_length=2000)] = None,
    page: Annotated[int, Query(ge=1, le=100_000_000)] = 1,
) -> HTMLResponse:
    """A page of the rows that a phase published, or of a side table such as its dropped rows."""
    viewer = viewer_of(request)
    run = viewer.run(run_id)
    key, table = viewer.table(run, phase, side)
    # A column without a value asks for nothing yet.
    asks = bool(column) and (bool(value) or operator in ("empty", "filled"))
    query = tables.Query(text.strip(), column if asks else "", operator, value.strip(), sort, order == "down")
    rows = viewer.chosen(key, table, query)
    shown = tables.shown_columns(table, columns or [])
    reason = next((name for name in ("drop_reason", "failure_kind") if name in table.column_names), "")
    return viewer.page(
        "table.html.j2",
        run=run,
        phase=phase,
        side=side,
        sides=side_tables(run.envelope(phase)),
        has_table=bool(run.envelope(phase).columns),
        rows=tables.page_of(table, rows, shown, page),
        columns=shown,
        numbers={name for name in shown if tables.is_number(table, name)},
        all_columns=table.column_names,
        total=table.num_rows,
        pager=pager_of(request, page, tables.ROWS_A_PAGE, len(rows)),
        asked={"text": text, "column": column, "operator": operator, "value": value, "sort": sort, "order": order},
        operators=tables.OPERATORS,
        reasons=tables.values_of(table, reason) if reason else [],
        reason=reason,
        links=lambda name: address(
            request, sort=name, order="down" if (sort, order) == (name, "up") else "up", page=None
        ),
        narrowed=lambda name, to: address(request, column=name, operator="is", value=to, page=None),
        all_rows=request.url.path,
    )
