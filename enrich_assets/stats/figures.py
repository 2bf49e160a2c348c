"""The figure types that a phase can name: what is counted and how it is called. Drawing stands beside.

Each makes `<name>.svg` and `<name>.png` (at most 30 KB), and a spark: an SVG of at most 700 characters, so that it
still has less than 1,000 as a base64 data URI. Equal tables give equal bytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from enrich_assets.stats.figures_drawing import Chart, draw_chart
from enrich_assets.stats.figures_spark import spark_columns, spark_stack

# The longest span, in days, of each bin; more would be columns too thin to see.
_LONGEST = {"day": 62, "week": 400, "month": 4_000, "year": 40_000}
# Days from the first of a bin that end in the next one.
_LEAST_STEP = {"day": 1, "week": 7, "month": 31, "year": 366, "decade": 3_660}
_SPARK_BARS = 24


@dataclass(frozen=True)
class Histogram:
    """How the numbers of a column are distributed. `label` names the quantity with its unit."""

    column: str
    bins: int = 20
    label: str = ""

    @property
    def name(self) -> str:
        """`<column>_histogram`."""
        return f"{self.column}_histogram"

    @property
    def title(self) -> str:
        """For people, without the unit."""
        return _capital(_label(self.label, self.column).split(",", 1)[0])

    def draw(self, table: pa.Table, outcome: Any) -> dict[str, bytes]:
        """The figure's files by name; nulls and numbers that are not finite are counted in a note."""
        numbers, missing = _numbers(table, self.column)
        edges, counts = histogram(numbers, self.bins)
        note = f"n = {len(numbers):,}" + (f", {missing:,} without a value" if missing else "")
        if numbers:
            note += f" · median {_short(sorted(numbers)[(len(numbers) - 1) // 2])}"
        return draw_chart(
            Chart("columns", self.name, self.title, _label(self.label, self.column), "rows", counts, edges, note=note)
        )

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """The distribution as small columns; '' without numbers."""
        numbers, _ = _numbers(table, self.column)
        return spark_columns(histogram(numbers, min(self.bins, _SPARK_BARS))[1], self.title)


@dataclass(frozen=True)
class Bars:
    """How often each value of a column occurs, most frequent first; every item of a list counts.

    `top` values have a bar of their own, the others share one. `label` is what is counted: "articles per source".
    """

    column: str
    top: int = 12
    label: str = ""

    @property
    def name(self) -> str:
        """`<column>_bars`."""
        return f"{self.column}_bars"

    @property
    def title(self) -> str:
        """For people."""
        return _capital(self.label or f"rows per {_label('', self.column)}")

    def draw(self, table: pa.Table, outcome: Any) -> dict[str, bytes]:
        """The figure's files by name."""
        names, counts, others = self._counted(table)
        unit = self.label.split(" per ", 1)[0] if " per " in self.label else "rows"
        return draw_chart(Chart("bars", self.name, self.title, unit, "", counts, names, muted=others))

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """The counts as small columns; '' without rows."""
        return spark_columns(self._counted(table)[1][:_SPARK_BARS], self.title)

    def _counted(self, table: pa.Table) -> tuple[list[str], list[int], tuple[int, ...]]:
        counts: Counter[str] = Counter()
        for value in _values(table, self.column):
            for item in value if isinstance(value, list) else [value]:
                counts["(no value)" if item is None or item == "" else str(item)] += 1
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        names = [name for name, _ in ordered[: self.top]]
        numbers = [number for _, number in ordered[: self.top]]
        rest = ordered[self.top :]
        if rest:
            names.append(f"({len(rest):,} others)")
            numbers.append(sum(number for _, number in rest))
        return names, numbers, (len(names) - 1,) if rest else ()


@dataclass(frozen=True)
class Timeline:
    """Rows per day (UTC) of a datetime column; per week above 62 days, per month above 400, then per year or decade."""

    column: str
    label: str = ""

    @property
    def name(self) -> str:
        """`<column>_timeline`."""
        return f"{self.column}_timeline"

    @property
    def title(self) -> str:
        """For people."""
        return _capital(self.label or f"rows by {_label('', self.column)}")

    def draw(self, table: pa.Table, outcome: Any) -> dict[str, bytes]:
        """The figure's files by name."""
        starts, counts, unit, missing = per_day(_values(table, self.column))
        note = f"n = {sum(counts):,}" + (f", {missing:,} without a date" if missing else "")
        return draw_chart(
            Chart("days", self.name, self.title, "date (UTC)", f"rows per {unit}", counts, starts, note=note)
        )

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """The days as small columns, neighbours joined; '' without dates."""
        counts = per_day(_values(table, self.column))[1]
        width = max(1, math.ceil(len(counts) / _SPARK_BARS))
        return spark_columns([sum(counts[i : i + width]) for i in range(0, len(counts), width)], self.title)


@dataclass(frozen=True)
class DropReasons:
    """What became of the input rows: kept, dropped by each reason, failed by each kind. From `outcome.counts`."""

    label: str = "what became of the rows"

    @property
    def name(self) -> str:
        """`drop_reasons`."""
        return "drop_reasons"

    @property
    def title(self) -> str:
        """For people."""
        return _capital(self.label)

    def draw(self, table: pa.Table, outcome: Any) -> dict[str, bytes]:
        """The figure's files by name."""
        names, counts, colours = _fates(outcome)
        if not sum(counts):
            names, counts, colours = [], [], []
        return draw_chart(Chart("bars", self.name, self.title, "rows", "", counts, names, colours=colours))

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """Kept, dropped and failed as one divided bar, whose title tells them; '' without rows."""
        counts = outcome.counts
        fates = {"kept (blue)": counts.kept, "dropped (orange)": counts.dropped, "failed (purple)": counts.failed}
        return spark_stack(list(fates.values()), ", ".join(f"{n:,} {fate}" for fate, n in fates.items() if n))


def histogram(numbers: Sequence[float], bins: int) -> tuple[list[float], list[int]]:
    """Edges and counts. Whole numbers in a small range get a bin each, centred on the number; others equal widths."""
    if not numbers:
        return [], []
    low, high = min(numbers), max(numbers)
    if all(float(n).is_integer() for n in numbers) and high - low < max(bins, 11):
        counts = Counter(int(n) for n in numbers)
        values = range(int(low), int(high) + 1)
        return [v - 0.5 for v in values] + [high + 0.5], [counts[v] for v in values]
    if high == low or not math.isfinite(high - low):
        spread = abs(low) / 2 or 0.5
        return ([low - spread, low + spread] if high == low else [low, high]), [len(numbers)]
    width = (high - low) / bins
    found = [0] * bins
    for number in numbers:
        found[min(bins - 1, int((number - low) / width))] += 1
    return [low + width * i for i in range(bins)] + [high], found


def per_day(values: Sequence[Any]) -> tuple[list[date], list[int], str, int]:
    """First days of the bins without a gap, their counts, the bin (day … decade), and how many had no date."""
    days = [_day(value) for value in values if value is not None]
    missing = len(values) - len(days)
    if not days:
        return [], [], "day", missing
    span = (max(days) - min(days)).days
    unit = next((unit for unit, most in _LONGEST.items() if span <= most), "decade")
    counts = Counter(_bin(day, unit) for day in days)
    starts, last = [min(counts)], max(counts)
    while starts[-1] < last:  # no step beyond the last bin, which may end after the last day that there is
        starts.append(_bin(starts[-1] + timedelta(days=_LEAST_STEP[unit]), unit))
    return starts, [counts[start] for start in starts], unit, missing


def _fates(outcome: Any) -> tuple[list[str], list[int], list[str]]:
    counts = outcome.counts
    rows = [("kept", counts.kept, "kept")]
    for kind, reasons in (("dropped", counts.dropped_by_reason), ("failed", counts.failed_by_kind)):
        ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
        rows += [(f"{kind}: {name.replace('_', ' ')}", number, kind) for name, number in ordered]
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]


def _values(table: pa.Table, column: str) -> list[Any]:
    found: list[Any] = table.column(column).to_pylist() if column in table.column_names else []
    return found


def _numbers(table: pa.Table, column: str) -> tuple[list[float], int]:
    values = _values(table, column)
    numbers = [float(v) for v in values if v is not None and math.isfinite(v)]
    return numbers, len(values) - len(numbers)


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    day: date = value
    return day


def _bin(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(days=min(day.weekday(), day.toordinal() - 1))
    if unit == "day":
        return day
    month = day.replace(day=1)
    if unit == "month":
        return month
    return month.replace(month=1, year=day.year if unit == "year" else max(1, day.year // 10 * 10))


def _label(label: str, column: str) -> str:
    return label or column.replace("_", " ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _short(number: float) -> str:
    return f"{number:,.0f}" if number.is_integer() else f"{number:,.3g}"
