"""Dates as feeds and pages write them, as moments in UTC: one parser for all of them.

Belongs here: the strict forms of a date. What single words mean belongs to `web.date_words`, which date of a page
counts to `web.dates`. A date is read only if all of the text is one: nothing is guessed out of other words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from enrich_assets.web.date_words import CONNECTORS, is_day_of_week, month_of, zone_minutes

LONGEST = 100
"""Characters of a text that may be a date."""
FAR_AHEAD = timedelta(days=366)
"""A date of publication so long after it was read is none."""
AHEAD = timedelta(days=2)
"""A date of publication so long after it was read is doubtful."""
_LATEST_YEAR = 2200
_BUDDHIST = 543
"""Years that the calendar of Thailand is ahead."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_GO_CLOCK = re.compile(r"\s+m=[+-][\d.]+$")
_COMMENT = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]$")
_TIME = re.compile(
    r"(?P<before>(?i:am|pm|上午|下午|午前|午後|오전|오후)\s*)?(?<![\d:.+-])(?:(?<=\dT)|(?<!\w))"
    r"(?P<hour>\d{1,2})\s*(?:"
    r"(?:[:時时点點시]|(?<=\d)[hH]|(?<=\d)u)\s*(?P<minute>\d{1,2})\s*[分분]?"
    r"(?:\s*[:.]?\s*(?P<second>(?<=[:.])\d{2}|(?<=[:.]\s)\d{2}|(?<=[分분])\d{1,2}|(?<=[分분]\s)\d{1,2})[秒초]?"
    r"(?:[.,:](?P<fraction>\d{1,9}))?)?"
    r"|\.(?P<dotted>\d{2})(?:\.(?P<dotted_second>\d{2}))?(?![\d.])"
    r"|(?=\s*(?i:[ap]\.?m\b)))"
    r"(?:\s*(?P<half>(?i:[ap])\.?\s?(?i:m))\b\.?)?"
    r"(?:\s*(?i:uhr|h|hrs)\b\.?)?"
)
_OFFSET = re.compile(
    r"\s*(?:(?:GMT|UTC|UT|Z)\s?)?(?P<sign>[+\-−])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?(?::\d\d)?(?!\d)"
)
_ZONE = re.compile(r"\s*(?P<name>[A-Za-z]{1,5})(?![^\W\d_])")
_REGION = re.compile(r"\s*(?P<name>[A-Z][A-Za-z_]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?)\b")
_YEAR_FIRST = re.compile(r"(\d{4})\s?[-/.年년]\s?(\d{1,2})\s?[-/.月월]\s?(\d{1,2})\s?[日일.]?\.?")
_YEAR_LAST = re.compile(r"(\d{1,2})(?:\.\s|\s?[-/.]\s?)(\d{1,2})(?:\.\s|\s?[-/.]\s?)(\d{4}|['’]?\d{2})\.?")
_ASIAN_DAY = re.compile(
    r"\s?\([月火水木金土日一二三四五六월화수목금토일]\)|\s?[月火水木金土日]曜日?|\s?\(?(?:星期|週|周)[一二三四五六日天]\)?"
    r"|\s?\(?[월화수목금토일]요일\)?"
)
_PART = re.compile(
    r"(?P<number>['’]?\d+)(?:st|nd|rd|th|er|[.ºª°])?(?![^\W\d_])|"
    r"(?P<word>[^\W\d_][^\s\d!-&(-@\[-`{-~，、’]*(?:['’][^\W\d_]+)?)"
)
_AFTERNOON = ("pm", "下午", "午後", "오후")


def as_moment(text: str, *, day_first: bool | None = None, language: str = "") -> datetime | None:
    """A written date as UTC (UTC where it names no zone), or None for what is none, also for a placeholder.

    Reads ISO 8601, RFC 822 and 5322, Unix time in seconds to microseconds, the forms of Go, asctime and Unix `date`,
    numbers with the year first or last, and names of months in the languages of dateparser; times of 12 and 24 hours,
    24:00, and zones as offsets or names. `day_first` decides 03/04/2026 (None: the month is first with AM and PM or
    in American English, else the day).
    """
    return _as_moment(text.strip(), day_first, language) if len(text) <= LONGEST else None


def day_first_of(texts: Iterable[str], *, before: datetime | None = None, language: str = "") -> bool | None:
    """Whether the day is first in dates such as 03/04/2026, by the other dates of a feed; None if nothing says so.

    A date that has only one reading decides (31/12/2026). Else dates after `before`, when the feed was read, speak
    against the order that makes them, and then the order is taken that lies closer to the feed's other dates.
    """
    votes = 0
    unclear: list[tuple[datetime, datetime]] = []
    clear: list[datetime] = []
    for text in texts:
        by_day = as_moment(text, day_first=True, language=language)
        by_month = as_moment(text, day_first=False, language=language)
        if by_day is None or by_month is None:
            continue
        numeric = _YEAR_LAST.search(text)
        if by_day != by_month:
            unclear.append((by_day, by_month))
            continue
        clear.append(by_day)
        if numeric and "." not in numeric.group() and numeric.group(1).lstrip("0") != numeric.group(2).lstrip("0"):
            votes += 1 if int(numeric.group(1)) > 12 else -1
    if votes or not unclear:
        return votes > 0 if votes else None
    if before is not None:
        late = before + AHEAD
        ahead = [sum(pair[order] > late for pair in unclear) for order in (0, 1)]
        if ahead[0] != ahead[1]:
            return ahead[0] < ahead[1]
    if clear:
        middle = sorted(clear)[len(clear) // 2]
        far = [sum(abs((pair[order] - middle).total_seconds()) for pair in unclear) for order in (0, 1)]
        return far[0] < far[1] if far[0] != far[1] else None
    return None


def believable(moment: datetime) -> datetime | None:
    """The moment, or None for what programs write when they know no date.

    Those are year 1, the epochs of 1900, 1904 and 1970, and ends of time such as 9999.
    """
    return moment if 1904 < moment.year <= _LATEST_YEAR and moment != _EPOCH else None


@lru_cache(maxsize=4096)
def _as_moment(text: str, day_first: bool | None, language: str) -> datetime | None:
    try:
        moment = _unix_or_digits(text) if _NUMBER.fullmatch(text) else _iso(text) or _written(text, day_first, language)
        if moment is None:
            return None
        return believable(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (OverflowError, ValueError):
        return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _unix_or_digits(text: str) -> datetime | None:
    """Unix time by its number of digits, or the digits of a date."""
    whole = text.partition(".")[0]
    if whole.startswith("-"):
        return None
    if len(whole) in (8, 12, 14) and whole[:2] in ("19", "20") and "." not in text:
        return datetime.fromisoformat(f"{whole[:8]}T{whole[8:] or '00'}")
    scale = {9: 0, 10: 0, 13: 3, 16: 6}.get(len(whole))
    return None if scale is None else _EPOCH + timedelta(seconds=float(text) / 10**scale)


def _written(text: str, day_first: bool | None, language: str) -> datetime | None:
    text = _GO_CLOCK.sub("", " ".join(unicodedata.normalize("NFKC", text).split()))
    text = _without_comment(text)
    at = list(_TIME.finditer(text))
    if len(at) > 1:
        at = [match for match in at if match.group("minute")] or at
    if len(at) > 1:
        return None
    clock, is_half_day = (0, 0, 0, 0), False
    zone: tzinfo = UTC
    if at:
        match = at[0]
        read = _clock(match)
        if read is None:
            return None
        clock, is_half_day = read
        zone, end = _zone(text, match.end())
        text = f"{text[: match.start()].removesuffix('T').rstrip(' ,;-–—|:')} {text[end:].strip(' ,')}".strip(" ,")
    american = language.casefold() in ("en-us", "en_us")
    month_first = (is_half_day or american) if day_first is None else not day_first
    date = _date(text, month_first, language.partition("-")[0].partition("_")[0].lower())
    if date is None:
        return None
    hour, minute, second, fraction = clock
    # A leap second counts as the one before it.
    return datetime(*date, tzinfo=zone) + timedelta(
        hours=hour, minutes=minute, seconds=min(second, 59), microseconds=fraction
    )


def _without_comment(text: str) -> str:
    """The text without `(CET)` at its end behind an offset; a zone that stands only there is kept."""
    found = _COMMENT.search(text)
    if found is None:
        return text
    rest = text[: found.start()]
    return rest if re.search(r"[+-]\d{1,2}:?\d{2}$", rest) else f"{rest} {found.group(1)}"


def _clock(match: re.Match[str]) -> tuple[tuple[int, int, int, int], bool] | None:
    """Hour, minute, second and microsecond, and whether it is a time of 12 hours; None for a time that is none."""
    hour, minute = int(match["hour"]), int(match["minute"] or match["dotted"] or 0)
    second = int(match["second"] or match["dotted_second"] or 0)
    half = (match["before"] or match["half"] or "").strip().lower().replace(".", "").replace(" ", "")
    if half:
        if hour > 12 and half.isascii():
            half = ""  # "15:07 PM" says 15:07 twice
        elif hour <= 12:
            hour = hour % 12 + (12 if half in _AFTERNOON else 0)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        return None
    return (hour, minute, second, int(f"{match['fraction'] or '0':0<6}"[:6])), bool(half)


def _zone(text: str, at: int) -> tuple[tzinfo, int]:
    """The zone behind a time, UTC without one, and where it ends. A name behind an offset repeats it."""
    offset = _OFFSET.match(text, at)
    # The year in "10:00:00 -2026" is no offset of 20 hours.
    if offset is not None and int(offset["hours"]) <= 14 and int(offset["minutes"] or 0) < 60:
        minutes = 60 * int(offset["hours"]) + int(offset["minutes"] or 0)
        name = _ZONE.match(text, offset.end())
        end = name.end() if name and zone_minutes(name["name"]) is not None else offset.end()
        return timezone(timedelta(minutes=minutes if offset["sign"] == "+" else -minutes)), end
    region = _REGION.match(text, at)
    if region is not None:
        try:
            return ZoneInfo(region["name"]), region.end()
        except (ZoneInfoNotFoundError, OSError, ValueError):
            return UTC, at
    name = _ZONE.match(text, at)
    known = zone_minutes(name["name"]) if name else None
    return (timezone(timedelta(minutes=known)), name.end()) if name and known is not None else (UTC, at)


def _date(text: str, month_first: bool, language: str) -> tuple[int, int, int] | None:
    """Year, month and day of a text that is a date and nothing else."""
    first, _, rest = text.partition(" ")
    if rest and is_day_of_week(first.strip(".,，、")):
        text = rest.strip(" ,")
    text = _ASIAN_DAY.sub("", text)
    whole = _YEAR_FIRST.fullmatch(text)
    if whole:
        return int(whole[1]), int(whole[2]), int(whole[3])
    last = _YEAR_LAST.fullmatch(text)
    if last:
        one, two = int(last[1]), int(last[2])
        if "/" not in last.group() and "-" not in last.group():
            month_first = False  # with dots the day is always first
        if two > 12 or (month_first and one <= 12):
            one, two = two, one
        return _year(last[3]), two, one
    return _named_date(text, language)


def _named_date(text: str, language: str) -> tuple[int, int, int] | None:
    """`30 November 2026`, `November 30th, 2026`, `2026 Nov 30`, with a day of the week and connecting words."""
    numbers: list[str] = []
    months: list[int] = []
    for place, part in enumerate(_PART.finditer(text)):
        if place > 9:
            return None
        if part["number"]:
            numbers.append(part["number"])
            continue
        word = part["word"]
        if word.casefold() in CONNECTORS:
            continue
        month = month_of(word, language)
        # "Mar" is Tuesday in Spanish and March in English: what comes before the numbers is the day of the week.
        if month is not None and not (months or (not numbers and _names_month_later(text[part.end() :], language))):
            months.append(month)
        elif not is_day_of_week(word):
            return None
    if re.sub(_PART, "", text).strip(" ,./-'’，、") or len(numbers) != 2 or len(months) != 1:
        return None
    month = months[0]
    day, year = (numbers[1], numbers[0]) if len(numbers[0]) == 4 else (numbers[0], numbers[1])
    if len(day) > 2 or len(year.lstrip("'’")) not in (2, 4):
        return None
    return _year(year), month, int(day)


def _names_month_later(text: str, language: str) -> bool:
    words = [part["word"] for part in _PART.finditer(text) if part["word"]]
    return any(month_of(word, language) is not None for word in words if word.casefold() not in CONNECTORS)


def _year(text: str) -> int:
    digits = text.lstrip("'’")
    if len(digits) > 2:
        year = int(digits)
        return year - _BUDDHIST if 2450 < year < 2700 else year
    return int(digits) + (2000 if int(digits) < 69 else 1900)  # RFC 2822, 4.3, and POSIX
