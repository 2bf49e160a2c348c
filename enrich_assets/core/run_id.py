"""Run IDs: their form and their check. Claiming one belongs to the ledger."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from enrich_assets.core.errors import RunIdError

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")  # what begins with '-' is an option for a command


def run_id_at(moment: datetime, *, taken: int = 0) -> str:
    """The run ID of a moment, `YYYYMMDD_HHMMSS` in UTC; `taken` earlier claims make it `…-2`, `…-3`."""
    base = moment.astimezone(UTC).strftime("%Y%m%d_%H%M%S")
    return base if taken == 0 else f"{base}-{taken + 1}"


def valid_run_id(value: str) -> str:
    """`value` itself if it can be a run ID; raises RunIdError otherwise. Call it before it becomes a path."""
    if not isinstance(value, str) or not _RUN_ID.fullmatch(value):
        shown = ascii(value if len(str(value)) <= 60 else f"{str(value)[:57]}...")
        raise RunIdError(
            f"{shown} is not a run ID.",
            fix="A run ID has 1 to 100 letters, digits, '_' or '-', and does not begin with '-', like 20260131_093000.",
        )
    return value
