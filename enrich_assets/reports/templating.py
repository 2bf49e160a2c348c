"""The template engine of every page: autoescape on, the filters of `text`, the shared frame `base.html.j2`.

What a page shows belongs to its own module and template.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from enrich_assets.reports import text
from enrich_assets.reports.origins import origin_text, token

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"
FILTERS = (
    "counted", "day", "host_of", "listed", "moment", "number", "percent", "points", "safe_url", "seconds", "short",
    "size", "usd", "words",
)  # fmt: skip


@cache
def environment(*folders: Path) -> jinja2.Environment:
    """The engine over the shared templates and further `folders`, which are looked into first."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES], encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {name: getattr(text, name) for name in FILTERS}
    made.filters |= {"origin_text": origin_text, "token": token}
    return made
