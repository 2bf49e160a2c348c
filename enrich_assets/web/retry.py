"""What a server wishes about the next request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


LONGEST = 86_400.0
"""Seconds of a wish that are believed: nobody waits for a day, and a wish without end is a mistake."""


def retry_after(headers: Mapping[str, Any], now: datetime) -> float | None:
    """Seconds that response headers ask to wait, at most a day; None where they ask for nothing that can be read.

    `retry-after-ms` where model endpoints send it, else `retry-after` as a number or an HTTP date (RFC 9110, 10.2.3).
    """
    lowered = {str(name).lower(): str(value).strip() for name, value in headers.items()}
    milliseconds, value = lowered.get("retry-after-ms", ""), lowered.get("retry-after", "")
    if _SECONDS.fullmatch(milliseconds):
        return min(LONGEST, float(milliseconds) / 1000)
    if _SECONDS.fullmatch(value):
        return min(LONGEST, float(value))
    try:
        moment = parsedate_to_datetime(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(LONGEST, max(0.0, (moment - now).total_seconds()))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
