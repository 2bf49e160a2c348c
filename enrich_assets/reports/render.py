"""The files of the news: content and tables in, Markdown, page and workbook out. How each looks stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from enrich_assets.graphs.intelligence.report_content import ReportContent
from enrich_assets.reports.markdown import markdown
from enrich_assets.reports.page import page
from enrich_assets.reports.text import clean
from enrich_assets.reports.workbook import workbook


@dataclass(frozen=True)
class ReportTables:
    """Rows for the workbook.

    `kept` in rank order; `dropped` and `failed` carry `phase` besides the columns of PhaseResult's tables
    (drop_reason, drop_value, drop_detail; failure_kind, failure_message, attempts).
    """

    kept: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)


def render_reports(content: ReportContent | Mapping[str, Any], *, tables: ReportTables) -> dict[str, bytes]:
    """`report.md`, `report.html` and `articles.xlsx` of a report's content; equal input gives equal bytes.

    Raises pydantic's ValidationError when `content` is no report document.
    """
    plain = content.model_dump(mode="json") if isinstance(content, ReportContent) else dict(content)
    report = ReportContent.model_validate(clean(plain))
    return {
        "report.md": markdown(report).encode("utf-8"),
        "report.html": page(report).encode("utf-8"),
        "articles.xlsx": workbook(kept=tables.kept, dropped=tables.dropped, failed=tables.failed),
    }
