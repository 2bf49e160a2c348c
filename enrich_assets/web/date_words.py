"""The words of dates: names of months and days in the languages of dateparser, names of time zones.

Belongs here: what a single word means. How a date is put together belongs to `web.moments`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import import_module

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
          "december")  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ENGLISH = {name[:3]: number for number, name in enumerate(MONTHS, 1)}
_ENGLISH |= {name: number for number, name in enumerate(MONTHS, 1)} | {"sept": 9}
_ENGLISH_DAYS = frozenset([*_DAYS, *(day[:3] for day in _DAYS), "tues", "thur", "thurs"])
_CONNECTING = """
    the of at on um uhr der den dem vom am de del di da do la le el las los à a às alle ore en op om kl klo klokken d
    ngày tháng năm г года год в у о р року ч час o dia ob dne v ve dnia r godz ikinci saat"""
CONNECTORS = frozenset(_CONNECTING.split())
"""Words that stand between the parts of a date and say nothing of it."""

# Offsets in minutes. Names that several zones share mean the one that most feeds mean: IST is India, CST and BST are
# Chicago and London.
_ZONES = {
    "utc": 0, "ut": 0, "gmt": 0, "z": 0, "wet": 0, "west": 60, "bst": 60, "cet": 60, "cest": 120, "met": 60,
    "mest": 120, "mez": 60, "mesz": 120, "eet": 120, "eest": 180, "msk": 180, "trt": 180, "sast": 120, "cat": 120,
    "wat": 60, "eat": 180, "gst": 240, "pkt": 300, "ist": 330, "npt": 345, "ict": 420, "wib": 420, "wita": 480,
    "hkt": 480, "sgt": 480, "awst": 480, "pht": 480, "wit": 540, "jst": 540, "kst": 540, "acst": 570, "aest": 600,
    "acdt": 630, "aedt": 660, "nzst": 720, "nzdt": 780, "nst": -210, "ndt": -150, "brt": -180, "art": -180,
    "clt": -240, "ast": -240, "adt": -180, "est": -300, "edt": -240, "et": -300, "cst": -360, "cdt": -300, "ct": -360,
    "mst": -420, "mdt": -360, "mt": -420, "pst": -480, "pdt": -420, "pt": -480, "akst": -540, "akdt": -480,
    "hst": -600,
}  # fmt: skip


def zone_minutes(name: str) -> int | None:
    """Minutes that a zone of this name is ahead of UTC, or None for a name that is no zone's.

    A single letter other than Z counts as UTC, as RFC 5322 (4.3) asks for.
    """
    folded = name.casefold()
    return 0 if len(folded) == 1 and folded.isascii() and folded != "t" else _ZONES.get(folded)


def month_of(word: str, language: str = "") -> int | None:
    """The number of the month that a word names, or None.

    English comes first, then `language`, then the languages in dateparser's order (by how widely they are used):
    `listopad` is November in Czech and October in Croatian.
    """
    folded = word.casefold()
    if folded in _ENGLISH:
        return _ENGLISH[folded]
    named = _names()[0].get(_plain(folded)) if len(folded) > 1 else None
    return None if named is None else named.get(language) or next(iter(named.values()))


def is_day_of_week(word: str) -> bool:
    """Whether a word names a day of the week in any of the languages."""
    folded = word.casefold()
    return folded in _ENGLISH_DAYS or _plain(folded) in _names()[1]


def _plain(word: str) -> str:
    """A word without accents and with one spelling of what looks the same."""
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


@cache
def _names() -> tuple[Mapping[str, Mapping[str, int]], frozenset[str]]:
    """Months: word → language → number; and the days of the week. Read once (70 ms), at the first foreign word."""
    from dateparser.data.languages_info import language_order

    months: dict[str, dict[str, int]] = {}
    days: set[str] = set()
    for language in language_order:
        known = import_module(f"dateparser.data.date_translation_data.{language}").info
        for number, name in enumerate(MONTHS, 1):
            for word in known.get(name, ()):
                plain = _plain(word.casefold().rstrip("."))
                if len(plain) > 1 and not any(c.isdigit() for c in plain):
                    months.setdefault(plain, {}).setdefault(language, number)
        days.update(_plain(word.casefold().rstrip(".")) for name in _DAYS for word in known.get(name, ()))
    return months, frozenset(days)
