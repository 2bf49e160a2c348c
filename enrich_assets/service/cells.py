"""Values of any table as short texts, for cells and lists. What is escaped is the template's business."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from typing import Any

from enrich_assets.reports.text import one_line

_SHOWN = 240
_ITEMS = 6


def cell(value: Any, longest: int = _SHOWN) -> str:
    """A value as one line of at most `longest` characters; a dash where there is none."""
    text = one_line(_text(value))
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def whole(value: Any) -> str:
    """A value in full, nested ones as indented JSON."""
    if isinstance(value, (list, dict)) and not _is_plain(value):
        return json.dumps(value, ensure_ascii=False, indent=1, default=_text)
    return _text(value)


def _text(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".") if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        items = [_name(item) for item in value[:_ITEMS]]
        more = [f"and {len(value) - _ITEMS:,} more"] if len(value) > _ITEMS else []
        return ", ".join(items + more)
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else str(value)


def _name(item: Any) -> str:
    if isinstance(item, dict):
        named = next((item[key] for key in ("name", "title", "url") if item.get(key)), None)
        return str(named) if named is not None else json.dumps(item, ensure_ascii=False, default=str)
    return _text(item)


def _is_plain(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
