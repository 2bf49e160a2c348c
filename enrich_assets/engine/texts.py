"""Text and moments as the ledger's databases store them."""

from __future__ import annotations

from datetime import UTC, datetime


def storable(text: str) -> str:
    """Text that every database stores: without lone surrogates (no UTF-8) and NUL (which Postgres refuses)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def utc_text(moment: datetime) -> str:
    """A moment as the ledger writes it: ISO 8601 in UTC with microseconds, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
