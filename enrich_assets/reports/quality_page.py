"""The pages of the data quality: an index that stays below 1 MB, and pages of rows below 5 MB where it has no room.

Everything can be read without a script; one short script, allowed by its hash alone, searches and filters the rows of
a page. https://www.w3.org/TR/CSP3/#framework-directive-source-list
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from enrich_assets.reports.templating import TEMPLATES, environment

if TYPE_CHECKING:
    from enrich_assets.reports.kinds import Rendering
    from enrich_assets.reports.quality import LeftOut, QualityContent

INDEX = "data_quality.html"
INDEX_ROWS = 400
"""Left-out rows that the index shows; more of them stand on pages of their own."""
PAGE_ROWS = 1_000
_ROWS_BYTES = 450_000
_PAGE_BYTES = 4_000_000


def pages(quality: QualityContent, rendering: Rendering) -> dict[str, bytes]:
    """`data_quality.html`, and `data_quality_rows_1.html` and on where there are more rows than the index takes."""
    script = (TEMPLATES / "rows.js").read_text(encoding="utf-8")
    shared = {
        "quality": quality,
        "artifacts": rendering.artifacts,
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"),
        "index": INDEX,
    }
    first = next(_cut(quality.rows, INDEX_ROWS, _ROWS_BYTES), [])
    parts = [] if len(first) == len(quality.rows) else list(_cut(quality.rows, PAGE_ROWS, _PAGE_BYTES))
    names = [f"data_quality_rows_{number}.html" for number in range(1, len(parts) + 1)]
    found = {INDEX: _render("quality.html.j2", shared, rows=first, page_names=names, page_number=0)}
    for number, (name, rows) in enumerate(zip(names, parts, strict=True), 1):
        found[name] = _render("quality_rows.html.j2", shared, rows=rows, page_names=names, page_number=number)
    return found


def _render(template: str, shared: dict[str, Any], *, rows: Sequence[LeftOut], **values: Any) -> bytes:
    choices = {
        "phases": list(dict.fromkeys(row.phase for row in rows)),
        "reasons": sorted({row.reason for row in rows}),
    }
    page = environment().get_template(template).render(**shared, rows=rows, choices=choices, **values)
    return page.encode("utf-8")


def _cut(rows: Sequence[LeftOut], most: int, most_bytes: int) -> Iterator[list[LeftOut]]:
    """The rows in parts of at most `most`, each within about `most_bytes` of HTML."""
    part: list[LeftOut] = []
    size = 0
    for row in rows:
        # Escaping makes at most six bytes of a byte ("&quot;", "&#39;"); an address stands in the link and as text.
        texts = sum(len(text.encode("utf-8")) for text in (row.title, row.url, row.url, row.value, row.detail))
        weight = 400 + (6 * texts if any(mark in row.title + row.detail for mark in "<>&\"'") else texts)
        if part and (len(part) == most or size + weight > most_bytes):
            yield part
            part, size = [], 0
        part.append(row)
        size += weight
    if part:
        yield part
