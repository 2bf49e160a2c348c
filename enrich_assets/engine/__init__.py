"""Runs phases row by row: declarations, ledger, retries, costs. It knows no phase and no Dagster."""
