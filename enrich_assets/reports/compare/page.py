"""A comparison as one self-contained page: no script, no request, readable on a phone, in the dark and on paper."""

from __future__ import annotations

from enrich_assets.reports.compare.content import Comparison
from enrich_assets.reports.templating import environment
from enrich_assets.reports.text import clean

HEADINGS = {
    "came": "Came",
    "went": "Went",
    "moved": "Moved",
    "changed": "Stayed in place, and changed",
}
MOST_SHOWN = 500
"""Articles of one kind of change that the page shows; the JSON has all of them."""


def comparison_page(comparison: Comparison) -> str:
    """The page. Every text is escaped by the template engine; links lead to http and https alone."""
    found = Comparison.model_validate(clean(comparison.model_dump(mode="json")))
    template = environment().get_template("compare.html.j2")
    return template.render(found=found, headings=HEADINGS, most=MOST_SHOWN)
