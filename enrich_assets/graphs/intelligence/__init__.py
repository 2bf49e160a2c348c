"""From feeds to a ranked, enriched, cited report."""
