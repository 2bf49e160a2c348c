"""The report as one self-contained HTML page: no script, no request, readable on a phone, in the dark and on paper.

Looks and structure stand in `templates/`; here is only what they are given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from enrich_assets.graphs.intelligence.report_content import DIMENSIONS, ReportContent
from enrich_assets.reports import phrases, text

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def page(report: ReportContent) -> str:
    """The page. Every text is escaped by the template engine; links lead to http and https alone."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        dimensions=DIMENSIONS,
        phrases=phrases,
        described=phrases.first_described(report),
        most_rows=max((max(step.rows_in, step.rows_out) for step in report.funnel), default=0),
    )


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(text, name)
        for name in ("counted", "day", "host_of", "number", "points", "safe_url", "seconds", "usd", "words")
    }
    return environment
