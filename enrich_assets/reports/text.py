"""Text from the web made fit to be shown: what may stand in a page, what may be a link, how numbers are written.

Escaping for one format (HTML, Markdown, a spreadsheet cell) belongs to that format's module.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from enrich_assets.core.units import counted as counted

# Controls but tab, newline and carriage return (C0, DEL, C1), and the characters that embed, override or isolate a
# text direction (Unicode Bidirectional Algorithm, UAX #9): the latter make a text read as something else than it is.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
# White space, controls, invisible characters, and the backslash that browsers read as a slash: none of them has a
# place in an honest URL. What is merely unencoded is encoded (RFC 3986, section 2.1).
_REFUSED_IN_URL = re.compile("[\\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\\\\]")
_ENCODED_IN_URL = {ord(character): f"%{ord(character):02X}" for character in '"<>^`{|}'}
LONGEST_TITLE = 300
"""Characters of a title, name or address that a page shows; hardly any real one has more."""
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def clean(value: Any) -> Any:
    """`value` with every string in it freed of control characters, direction overrides and lone surrogates."""
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode("utf-8")
        return _DIRECTIONS.sub("", _CONTROLS.sub("", text))
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return value


def one_line(text: str) -> str:
    """`text` with every run of white space as one space."""
    return " ".join(text.split())


def short(text: str, longest: int = LONGEST_TITLE) -> str:
    """`text` with at most `longest` characters, an ellipsis last where some were cut, if possible between words.

    For what is shown as a heading or a name: a feed's title may have any length, and the artifact has all of it.
    """
    if len(text) <= longest:
        return text
    kept = text[: longest - 1]
    at_word = kept.rsplit(None, 1)[0] if " " in kept[longest // 2 :] else kept
    return f"{at_word.rstrip()}…"


def safe_url(url: str) -> str:
    """`url` if it may be a link (http or https, a host, no credentials, nothing that hides in it), else ''."""
    if not url or _REFUSED_IN_URL.search(url):
        return ""
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username
    except ValueError:
        return ""
    is_link = parts.scheme.lower() in ("http", "https") and host and user is None
    return url.translate(_ENCODED_IN_URL) if is_link else ""


def host_of(url: str) -> str:
    """The host that a safe URL leads to, without `www.`."""
    return (urlsplit(url).hostname or "").removeprefix("www.") if safe_url(url) else ""


def day(moment: datetime | None) -> str:
    """A date as `2 November 2026`; '' for none."""
    return "" if moment is None else f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def moment(value: datetime | None) -> str:
    """A moment as `2026-11-02 09:00 UTC`; '' for none."""
    if value is None:
        return ""
    return f"{value if value.tzinfo is None else value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def percent(share: float | None) -> str:
    """A share between 0 and 1 in percent; a dash for None. 100 and 0 stand for exactly that."""
    if share is None:
        return "–"
    told = f"{100 * share:.0f}"
    if (told == "100" and share < 1) or (told == "0" and share > 0):
        told = f"{100 * share:.2f}"
    return "> 99.99 %" if told == "100.00" else "< 0.01 %" if told == "0.00" else f"{told} %"


def words(name: str) -> str:
    """A constant such as `too_old` as words."""
    return name.replace("_", " ")


def number(value: float | None) -> str:
    """A count with thousands separated; `unknown` for None."""
    return "unknown" if value is None else f"{value:,.0f}"


def points(value: float | None) -> str:
    """A score with one decimal; a dash for None."""
    return "–" if value is None else f"{value:.1f}"


def usd(value: float | None) -> str:
    """A cost in USD; `unknown` for None, never 0. Four decimals below 0.10 USD."""
    if value is None:
        return "unknown"
    return f"{value:,.2f} USD" if value == 0 or value >= 0.1 else f"{value:.4f} USD"


def seconds(value: float) -> str:
    """A duration: `0.4 s`, `12 s`, `3 min 20 s`."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < 120 else f"{whole // 60:,} min {whole % 60} s"


COUNTED_IN_PAGES = (("row", "rows"), ("copy", "copies"), ("problem", "problems"))
"""Nouns that pages put behind a number whose origin they tell."""


def size(value: float) -> str:
    """A number of bytes: `812 bytes`, `14 KB`, `2.3 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}" if value < 10 * factor else f"{value / factor:,.0f} {unit}"
    return f"{value:.0f} bytes"


def listed(items: list[str]) -> str:
    """Names in a sentence: `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
