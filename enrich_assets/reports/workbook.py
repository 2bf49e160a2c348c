"""The workbook `articles.xlsx`: every article of the run as rows, kept, dropped or failed.

Cells hold text, numbers and dates; nothing in them is evaluated, fetched or linked.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from enrich_assets.reports.text import clean

# Office Open XML's limits (Excel specifications and limits, Microsoft): UTF-16 units in a cell, rows in a sheet.
CELL_LIMIT = 32_767
_ROW_LIMIT = 1_048_576
_FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r")

_KEPT = {
    "place": 6, "rank": 6, "title": 60, "source_name": 22, "published_at": 18, "category": 14, "final_score": 11,
    "tier3_score": 11, "relevance": 10, "impact": 10, "novelty": 10, "credibility": 10, "actionability": 12,
    "analysis": 80, "rationale": 50, "rank_reason": 40, "entities": 60, "follow_up": 10, "tier1_score": 11,
    "tier2_score": 11, "tier2_reason": 40, "categories": 24, "author": 20, "language": 10, "word_count": 11,
    "url": 60, "canonical_url": 60, "source_id": 18, "row_id": 18,
}  # fmt: skip
_DROPPED = {
    "phase": 14, "drop_reason": 20, "drop_value": 18, "title": 60, "drop_detail": 50, "url": 60, "row_id": 18,
}  # fmt: skip
_FAILED = {
    "phase": 14, "failure_kind": 20, "failure_message": 60, "title": 50, "attempts": 10, "url": 60, "row_id": 18,
}  # fmt: skip
_HEADS = {
    "drop_reason": "reason", "drop_value": "value", "drop_detail": "detail",
    "failure_kind": "kind", "failure_message": "message", "source_name": "source",
}  # fmt: skip
# The full text and the columns that serve machines stay in the artifacts.
_LEFT_OUT = frozenset({"text", "sketch", "content_hash", "page_sha256"})
_WRAPPED = frozenset({"analysis", "rationale", "entities", "title", "rank_reason", "failure_message", "drop_detail"})


def workbook(
    *,
    kept: Sequence[Mapping[str, Any]],
    dropped: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, Any]],
) -> bytes:
    """The sheets kept, dropped and failed. Equal rows give equal bytes."""
    import xlsxwriter

    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(buffer, options)
    # Without it the creation time would stand in the file.
    book.set_properties({"title": "Articles", "created": datetime(2000, 1, 1, tzinfo=UTC)})
    formats = {
        "head": book.add_format({"bold": True, "bg_color": "#E8ECF1", "bottom": 1, "valign": "top"}),
        "text": book.add_format({"valign": "top"}),
        "wrapped": book.add_format({"valign": "top", "text_wrap": True}),
        "date": book.add_format({"valign": "top", "num_format": "yyyy-mm-dd hh:mm"}),
    }
    for name, rows, widths in (("kept", kept, _KEPT), ("dropped", dropped, _DROPPED), ("failed", failed, _FAILED)):
        _fill(book.add_worksheet(name), rows, _columns(rows, widths), formats)
    book.close()
    return buffer.getvalue()


def _columns(rows: Sequence[Mapping[str, Any]], widths: Mapping[str, int]) -> dict[str, int]:
    """The known columns in their order, then whatever else the rows carry (a phase that somebody added)."""
    others = sorted({str(name) for row in rows for name in row} - set(widths) - _LEFT_OUT)
    return {**widths, **dict.fromkeys(others, 18)}


def _fill(
    sheet: Any, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, int], formats: Mapping[str, Any]
) -> None:
    for index, (name, width) in enumerate(columns.items()):
        sheet.set_column(index, index, width)
        sheet.write_string(0, index, _text(_HEADS.get(name, name)), formats["head"])
    room = _ROW_LIMIT - 2
    for line, row in enumerate(rows[:room], 1):
        for index, name in enumerate(columns):
            _write(sheet, line, index, row.get(name), formats, wrapped=name in _WRAPPED)
    if len(rows) > room:
        sheet.write_string(room + 1, 0, f"{len(rows) - room} further rows do not fit into a sheet.")
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(1, min(len(rows), room)), len(columns) - 1)


def _write(sheet: Any, line: int, index: int, value: Any, formats: Mapping[str, Any], *, wrapped: bool) -> None:
    if value is None or value == "":
        return
    if isinstance(value, bool):
        sheet.write_boolean(line, index, value, formats["text"])
    elif isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < 2**53:
        sheet.write_number(line, index, value, formats["text"])
    elif isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        if moment.year >= 1900:
            sheet.write_datetime(line, index, moment, formats["date"])
        else:
            sheet.write_string(line, index, moment.isoformat(), formats["text"])
    else:
        sheet.write_string(line, index, _text(_flat(value)), formats["wrapped" if wrapped else "text"])


def _flat(value: Any) -> str:
    """A list as lines, an entity as one line, anything else as JSON or text."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        if "name" not in value or "grade" not in value:
            return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
        told = f": {value['background']}" if value.get("background") else ""
        link = f" <{value['url']}>" if value.get("url") else ""
        return f"{value['name']} ({value.get('kind', '')}, {value['grade']}){told}{link}"
    if isinstance(value, (list, tuple)):
        return "\n".join(_flat(item) for item in value)
    return str(value)


def _text(value: str) -> str:
    """Text that no spreadsheet evaluates, also after a way through CSV (OWASP, CSV injection), within the limit."""
    text: str = clean(value)
    if value.lstrip(" ").startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS):
        text = f"'{text}"
    units = text.encode("utf-16-le")
    if len(units) // 2 <= CELL_LIMIT:
        return text
    return units[: 2 * (CELL_LIMIT - 1)].decode("utf-16-le", "ignore") + "…"
