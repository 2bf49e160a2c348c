"""The report as one self-contained HTML page: no script, no request, readable on a phone, in the dark and on paper.

Looks and structure stand in `templates/`; here is only what they are given.
"""

from __future__ import annotations

from enrich_assets.graphs.intelligence.report_content import DIMENSIONS, ReportContent
from enrich_assets.reports import phrases
from enrich_assets.reports.templating import environment


def page(report: ReportContent) -> str:
    """The page. Every text is escaped by the template engine; links lead to http and https alone."""
    template = environment().get_template("report.html.j2")
    return template.render(
        report=report,
        dimensions=DIMENSIONS,
        phrases=phrases,
        described=phrases.first_described(report),
        most_rows=max((max(step.rows_in, step.rows_out) for step in report.funnel), default=0),
    )
