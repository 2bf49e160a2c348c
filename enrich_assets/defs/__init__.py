"""The Dagster room: it turns declarations into assets, checks and jobs. No phase is known here by name."""
