"""Feeds, sites and tables become ranked, enriched, cited reports, as a Dagster asset graph."""

__version__ = "0.1.0"
