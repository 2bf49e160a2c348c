"""Feeds, sites and tables become ranked, enriched, cited reports, as a Dagster asset graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from enrich_assets.reading import Run, open_run, open_runs

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "open_run", "open_runs"]


def __getattr__(name: str) -> Any:
    # When it is asked for: the command line must not pay for pyarrow to say its help.
    if name in ("Run", "open_run", "open_runs"):
        from enrich_assets import reading

        return getattr(reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
