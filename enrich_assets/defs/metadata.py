"""What a materialization shows in the UI: numbers under few stable keys, the first rows, one small figure, paths.

Numbers under stable keys become plots over time. Markdown and SVG under 1,000 characters show in place.
https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import dagster as dg
import pyarrow as pa

from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.columns import ROW_ID, Column

_IN_PLACE = 1000
_PREVIEW_ROWS = 5
_PREVIEW_CELL = 80
_PREVIEW_FIRST = (
    "rank",
    "title",
    "name",
    "source_name",
    "category",
    "tier1_score",
    "tier2_score",
    "tier3_score",
    "final_score",
    "analysis_characters",
    "published_at",
)


def column_schema(columns: Mapping[str, Column]) -> dg.TableSchema:
    """The declared columns as the UI shows them before the first run."""
    named = {"row_id": ROW_ID, **columns}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name=name, type=str(column.arrow), description=column.description)
            for name, column in named.items()
        ]
    )


def materialization_metadata(result: PhaseResult, *, path: str, reports: str) -> dict[str, Any]:
    """The metadata of one publication."""
    counts, usage = result.counts, result.usage
    shown: dict[str, Any] = {
        "dagster/row_count": counts.rows_out,
        "rows_in": counts.rows_in,
        "kept": counts.kept,
        # Rows of the tables of dropped and failed rows, of which a fan-out phase has more than it had inputs.
        "dropped": sum(counts.dropped_by_reason.values()),
        "failed": sum(counts.failed_by_kind.values()),
        "duration_seconds": round(result.duration_seconds, 3),
        "model_calls": usage.model_calls,
        "page_requests": usage.page_requests,
        "search_requests": usage.search_requests,
        "answers_reused": usage.answers_reused,
        "tokens": usage.tokens_in + usage.tokens_out,
        "path": dg.MetadataValue.path(path),
    }
    # A price that is unknown is shown as unknown, never as nothing.
    shown["cost_usd"] = "unknown" if usage.paid is None else round(usage.paid, 6)
    if usage.unsettled:
        # Requests whose outcome nobody knows; the cost counts them at their upper bound.
        shown["unsettled"] = usage.unsettled
    if result.table is not None:
        shown["first_rows"] = dg.MetadataValue.md(preview(result.table))
    else:
        shown.pop("dagster/row_count")
    shown |= {f"dropped/{reason}": number for reason, number in counts.dropped_by_reason.items()}
    shown |= {f"failed/{kind}": number for kind, number in counts.failed_by_kind.items()}
    for name, svg in result.sparks.items():
        image = f"![{name}](data:image/svg+xml,{quote(svg, safe=_SAFE)})"
        if svg and len(image) < _IN_PLACE:
            shown[f"figure/{name}"] = dg.MetadataValue.md(image)
            break
    for name in result.reports:
        shown[f"report/{name}"] = dg.MetadataValue.path(f"{reports}/{name}")
    return shown


_SAFE = " ='/:;,.-+*!@$&?~_"


def preview(table: pa.Table) -> str:
    """The first rows as a Markdown table of short cells."""
    if not table.num_rows:
        return "no rows"
    names = [name for name in _PREVIEW_FIRST if name in table.column_names][:5] or table.column_names[:5]
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
