"""The figure of a column of dates: rows per day, or per longer bin."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from enrich_assets.stats.figures.charts import columns
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import SPARK_BARS, spark_columns
from enrich_assets.stats.figures.values import column_of, utc_days
from enrich_assets.stats.figures.words import capital, label_of

# The longest span, in days, of each bin; more would be columns too thin to see.
_LONGEST = {"day": 62, "week": 400, "month": 4_000, "year": 40_000}
# Days from the first of a bin that end in the next one.
_LEAST_STEP = {"day": 1, "week": 7, "month": 31, "year": 366, "decade": 3_660}
_DAY_ZERO = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Timeline(Drawn):
    """Rows per day (UTC) of a datetime column; per week above 62 days, per month above 400, then per year or decade.

    `unit` is what a row is.
    """

    column: str
    label: str = ""
    unit: str = "articles"

    @property
    def name(self) -> str:
        """`<column>_timeline`."""
        return f"{self.column}_timeline"

    @property
    def title(self) -> str:
        """For people."""
        return capital(self.label or f"{self.unit} by {label_of('', self.column)}")

    def picture(self, table: pa.Table, outcome: Any) -> Picture:
        """A column a bin."""
        starts, counts, unit, missing = per_day(column_of(table, self.column))
        note = f"n = {sum(counts):,}" + (f", {missing:,} without a date" if missing else "")
        edges = [float(place) for place in range(len(starts) + 1)]
        places = [(place + 0.5, bin_text(start, unit)) for place, start in enumerate(starts)]
        return columns(self.title, edges, counts, f"{unit} (UTC)", f"{self.unit} per {unit}", note=note, places=places)

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """The days as small columns, neighbours joined; '' without dates."""
        counts = per_day(column_of(table, self.column))[1]
        width = max(1, math.ceil(len(counts) / SPARK_BARS))
        return spark_columns([sum(counts[i : i + width]) for i in range(0, len(counts), width)], self.title)


def per_day(values: pa.ChunkedArray) -> tuple[list[date], list[int], str, int]:
    """First days of the bins without a gap, their counts, the bin (day … decade), and how many had no date."""
    days, missing = utc_days(values)
    if not len(days):
        return [], [], "day", missing
    unit = bin_unit(int(days.min()), int(days.max()))
    found, times = np.unique(days, return_counts=True)
    counts: Counter[date] = Counter()
    for day, count in zip(found.tolist(), times.tolist(), strict=True):
        counts[bin_of(day, unit)] += count
    starts = bins_between(min(counts), max(counts), unit)
    return starts, [counts[start] for start in starts], unit, missing


def bin_unit(first: int, last: int) -> str:
    """The bin for days since 1970 between two."""
    return next((unit for unit, most in _LONGEST.items() if last - first <= most), "decade")


def bin_of(day_number: int, unit: str) -> date:
    """First day of the bin of a day since 1970."""
    return _bin(date.fromordinal(day_number + _DAY_ZERO), unit)


def bins_between(first: date, last: date, unit: str) -> list[date]:
    """Every bin from one to another."""
    starts = [first]
    while starts[-1] < last:  # no step beyond the last bin, which may end after the last day that there is
        starts.append(_bin(starts[-1] + timedelta(days=_LEAST_STEP[unit]), unit))
    return starts


def bin_text(start: date, unit: str) -> str:
    """A bin as a label."""
    if unit in ("year", "decade"):
        return f"{start.year:04}"
    return start.isoformat()[:7] if unit == "month" else start.isoformat()


def _bin(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(days=min(day.weekday(), day.toordinal() - 1))
    if unit == "day":
        return day
    month = day.replace(day=1)
    if unit == "month":
        return month
    return month.replace(month=1, year=day.year if unit == "year" else max(1, day.year // 10 * 10))
