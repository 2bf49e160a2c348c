"""What a materialization shows in the UI: numbers under few stable keys, the first rows, small figures, paths.

Numbers under stable keys become plots over time. Markdown and SVG under 1,000 characters show in place.
https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import dagster as dg
import pyarrow as pa

from enrich_assets.core.envelope import in_all_launches
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.columns import ROW_ID, Column
from enrich_assets.stats.describing import ETL_NOTE

VIEWER_URL = "ENRICH_VIEWER_URL"
"""Where people reach `enrich serve`, for links."""
_IN_PLACE = 1000
_LARGEST_PICTURE = 30_000
"""Bytes of the one picture that opens in a dialog."""
_PREVIEW_ROWS = 5
_PREVIEW_CELL = 60
_PREVIEW_NUMBERS = ("rank", "final_score", "tier3_score", "tier2_score", "tier1_score")
_PREVIEW_THEN = ("title", "name", "category", "source_name", "published_at")
_PREVIEW_COLUMNS = 3
"""More columns are cut off at the edge of the asset's page."""


def column_schema(columns: Mapping[str, Column]) -> dg.TableSchema:
    """The declared columns as the UI shows them before the first run."""
    named = {"row_id": ROW_ID, **columns}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name=name, type=str(column.arrow), description=column.description)
            for name, column in named.items()
        ]
    )


def materialization_metadata(result: PhaseResult, *, path: str, folder: str) -> dict[str, Any]:
    """The metadata of one publication at `path`, whose other files stand below `folder`."""
    counts, usage = result.counts, in_all_launches(result.usage, result.notes)
    # In the order in which the UI shows them: first what is to be seen, then what is to be looked up.
    shown: dict[str, Any] = {}
    if result.table is not None:
        shown["dagster/row_count"] = counts.rows_out
        shown["first_rows"] = dg.MetadataValue.md(preview(result.table))
    for name, svg in result.sparks.items():
        figure = _in_place(name, svg)
        if svg and len(figure) < _IN_PLACE:
            shown[f"figure/{name}"] = dg.MetadataValue.md(figure)
    for name, picture in result.figures.items():
        # One, because Dagster stores it four times; the others are files.
        if name.endswith(".png") and len(picture) <= _LARGEST_PICTURE:
            data = base64.b64encode(picture).decode("ascii")
            shown["picture"] = dg.MetadataValue.md(f"![{name}](data:image/png;base64,{data})")
            break
    shown |= {
        "rows_in": counts.rows_in,
        "kept": counts.kept,
        "dropped": counts.rows_dropped,
        "failed": counts.rows_failed,
    }
    if counts.quality_score is not None:
        shown["quality_score"] = round(counts.quality_score, 4)
    shown |= {f"dropped/{reason}": number for reason, number in counts.dropped_by_reason.items()}
    shown |= {f"failed/{kind}": number for kind, number in counts.failed_by_kind.items()}
    # A price that is unknown is shown as unknown, never as nothing.
    shown["cost_usd"] = "unknown" if usage.paid is None else round(usage.paid, 6)
    if usage.unsettled:
        # Requests whose outcome nobody knows; the cost counts them at their upper bound.
        shown["unsettled"] = usage.unsettled
    shown |= {
        "duration_seconds": round(result.duration_seconds, 3),
        "model_calls": usage.model_calls,
        "page_requests": usage.page_requests,
        "search_requests": usage.search_requests,
        "answers_reused": usage.answers_reused,
        "tokens": usage.tokens_in + usage.tokens_out,
        "retries": usage.retries,
        **_of_etl(result.notes.get(ETL_NOTE, {})),
        "path": dg.MetadataValue.path(path),
        "etl": dg.MetadataValue.path(f"{folder}/etl/{result.phase}"),
        "eda": dg.MetadataValue.path(f"{folder}/eda/{result.phase}"),
    }
    shown |= {f"report/{name}": dg.MetadataValue.path(f"{folder}/reports/{name}") for name in result.reports}
    return shown | _viewer_links(result)


def _viewer_links(result: PhaseResult) -> dict[str, Any]:
    """Addresses in the viewer, where it is said to run: of the phase's page and of each report."""
    base = os.environ.get(VIEWER_URL, "").strip().rstrip("/")
    if not base.startswith(("http://", "https://")):
        return {}
    run = f"{base}/runs/{result.run_id}"
    reports = {f"report/{name}": dg.MetadataValue.url(f"{run}/reports/{name}") for name in result.reports}
    return {"viewer": dg.MetadataValue.url(f"{run}/phases/{result.phase}"), **reports}


def _of_etl(note: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: note[name] for name in ("outliers", "validation_errors", "duplicates", "missing") if name in note}
    if note.get("peak_memory_bytes"):
        shown["peak_memory_mb"] = round(note["peak_memory_bytes"] / 1e6, 1)
    return shown


_SAFE = "='/:;,.-+*!@$&?~_"
"""Left as they are in a picture's address; a space or a bracket would end it, and the picture be shown as text."""


def _in_place(name: str, svg: str) -> str:
    # The picture's own title is read by nobody in a page, so it stands below.
    title = re.search(r"<title>(.*?)</title>", svg)
    caption = f"\n\n{title.group(1)}" if title else ""
    return f"![{name}](data:image/svg+xml,{quote(svg, safe=_SAFE)}){caption}"


def preview(table: pa.Table) -> str:
    """The first rows as a Markdown table of short cells."""
    if not table.num_rows:
        return "no rows"
    # A long title takes what is left of the place, so the number by which rows are judged comes before it.
    judged = [name for name in _PREVIEW_NUMBERS if name in table.column_names][:1]
    wanted = [name for name in (*judged, *_PREVIEW_THEN) if name in table.column_names]
    names = (wanted or table.column_names)[:_PREVIEW_COLUMNS]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in table.slice(0, _PREVIEW_ROWS).select(names).to_pylist():
        lines.append("| " + " | ".join(_cell(row[name]) for name in names) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        text = f"{value:.2f}"
    else:
        text = f"{value:%Y-%m-%d}" if hasattr(value, "strftime") else str(value)
    text = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
    return text if len(text) <= _PREVIEW_CELL else text[: _PREVIEW_CELL - 1] + "…"
