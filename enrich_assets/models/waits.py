"""How long an endpoint asks to wait: in headers, in the body's details, in the words of its message.

What all HTTP servers may say (`Retry-After`) is read by `web.retry`; here is what model endpoints say beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from enrich_assets.web.retry import LONGEST, retry_after

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(
    r"(?<!\d)(\d++(?:\.\d++)?+)\s*+(ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?|hrs?|d|days?)(?![a-z])",
    re.I,
)
_DURATION = rf"(?:{_PART.pattern}[\s,]*(?:and\s+)?){{1,4}}"
# "Please try again in 8.6s", "Please retry after 26 seconds", "Please retry in 34.07s", "wait 1m30s before".
_IN_WORDS = re.compile(
    r"(?:try again|retry|retrying|wait|available again|resets?)\s*+(?:again\s++)?+(?:in|after|for|at least)?+"
    r"\s*+:?+\s*+"
    rf"(?P<wait>{_DURATION})",
    re.I,
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_RESET = re.compile(r"(?:^|-)reset(?:-|$)")
# A number this large is a moment, not a wait: seconds, milliseconds or microseconds since 1970.
_EPOCH_SECONDS, _EPOCH_MILLISECONDS = 1e9, 1e11


def stated_wait(headers: Mapping[str, Any], body: Any, text: str, now: datetime) -> float | None:
    """Seconds that an endpoint asks to wait, at most a day; None where it says nothing about it that can be read.

    In this order: `retry-after-ms` and `Retry-After`; google.rpc.RetryInfo; the words of the message ("try again in
    8.6s"); the headers `x-ratelimit-reset*`, of which the limit that is used up counts. Headers that a gateway quotes
    in the body (`error.metadata.headers`) count like its own.
    """
    quoted = {name: value for part in _mappings(body) for name, value in _headers_in(part)}
    for found in (headers, quoted):
        wait = retry_after(found, now)
        if wait is not None:
            return wait
    for wait in (_retry_info(body), _in_words(text), _reset(headers, now), _reset(quoted, now)):
        if wait is not None:
            return min(LONGEST, max(0.0, wait))
    return None


def _retry_info(body: Any) -> float | None:
    """`retryDelay` of google.rpc.RetryInfo, a protobuf duration in JSON. https://cloud.google.com/apis/design/errors"""
    for part in _mappings(body):
        delay = part.get("retryDelay", part.get("retry_delay"))
        if isinstance(delay, Mapping):
            seconds = delay.get("seconds", 0)
            return float(str(seconds)) if _NUMBER.fullmatch(str(seconds)) else None
        if isinstance(delay, str) and (wait := _duration(delay)) is not None:
            return wait
        for name in ("retry_after", "retry_after_seconds", "retryAfter"):
            value = part.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return float(max(0, min(value, LONGEST)))  # an integer of JSON may be too large for a float
    return None


def _in_words(text: str) -> float | None:
    found = _IN_WORDS.search(text)
    return _duration(found["wait"]) if found else None


def _reset(headers: Mapping[str, Any], now: datetime) -> float | None:
    lowered = {str(name).lower(): str(value).strip() for name, value in headers.items()}
    resets: dict[str, float] = {}
    for name, value in lowered.items():
        is_reset = "ratelimit" in name.replace("-", "") and _RESET.search(name)
        if is_reset and (wait := _until(value, now)) is not None:
            resets[name] = wait
    if not resets:
        return None
    # An endpoint states the reset of each limit; only the one that is used up has to be waited for.
    left = {name: lowered.get(name.replace("reset", "remaining")) for name in resets}
    used_up = [resets[name] for name, number in left.items() if number is not None and _is_zero(number)]
    return max(used_up) if used_up else min(resets.values())


def _until(value: str, now: datetime) -> float | None:
    """`6m0s`, seconds, or a moment: seconds or milliseconds since 1970, or a date of RFC 3339."""
    if _NUMBER.fullmatch(value):
        number = float(value)
        if number >= _EPOCH_SECONDS:
            return number / (1000.0 if number >= _EPOCH_MILLISECONDS else 1.0) - now.timestamp()
        return number
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return _duration(value)
    return (moment - now).total_seconds() if moment.tzinfo else None


def _duration(text: str) -> float | None:
    """`6m0s`, `2m59.56s`, `450ms`, `1h2m`, `8.6 seconds`."""
    parts = _PART.findall(text)
    if not parts or re.sub(r"[\s,]|and", "", _PART.sub("", text)):
        return None
    return sum(
        float(number) * _UNITS["ms" if unit.lower().startswith(("ms", "mil")) else unit[0].lower()]
        for number, unit in parts
    )


def _is_zero(number: str) -> bool:
    return bool(_NUMBER.fullmatch(number)) and float(number) <= 0


def _headers_in(part: Mapping[str, Any]) -> list[tuple[str, Any]]:
    headers = part.get("headers")
    return [(str(name), value) for name, value in headers.items()] if isinstance(headers, Mapping) else []


def _mappings(body: Any, depth: int = 6) -> Iterator[Mapping[str, Any]]:
    """Every object in a body, outermost first; no deeper than errors are nested."""
    if isinstance(body, Mapping):
        yield body
    if depth and isinstance(body, (Mapping, list)):
        for child in list(body.values() if isinstance(body, Mapping) else body)[:50]:
            yield from _mappings(child, depth - 1)
