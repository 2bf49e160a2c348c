"""The figure of a column's values over days: how many rows each value has on each day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from enrich_assets.stats.figures.charts import grid
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import SPARK_BARS, spark_columns
from enrich_assets.stats.figures.timeline import bin_of, bin_text, bins_between
from enrich_assets.stats.figures.values import column_of, counted, utc_days
from enrich_assets.stats.figures.words import capital

_MOST_BINS = 31
_DAYS = {"day": 1, "week": 7, "month": 31, "year": 366, "decade": 3_660}


@dataclass(frozen=True)
class ByDay(Drawn):
    """Rows of each value of a column by day (UTC): the last 31 days, or longer bins where these hold less than half.

    The `top` values that have most rows have a line each. Rows that are older, of other values or without a date are
    counted in a note. `label` is what is shown.
    """

    column: str
    at: str
    label: str
    top: int = 12
    unit: str = "articles"

    @property
    def name(self) -> str:
        """`<column>_by_day`."""
        return f"{self.column}_by_day"

    @property
    def title(self) -> str:
        """For people."""
        return capital(self.label)

    def picture(self, table: pa.Table, outcome: Any) -> Picture:
        """A shaded cell for each value and bin."""
        names, starts, counts, unit, left_out = self._counted(table)
        note = f"{left_out:,} not shown" if left_out else ""
        return grid(
            self.title, names, [bin_text(start, unit) for start in starts], counts.tolist(), f"{unit} (UTC)",
            self.unit, note=note,
        )  # fmt: skip

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """Rows by bin, of all these values, as small columns; '' without dates."""
        counts = self._counted(table)[2]
        return spark_columns([int(n) for n in counts.sum(axis=0)[-SPARK_BARS:]], self.title) if counts.size else ""

    def _counted(self, table: pa.Table) -> tuple[list[str], list[Any], np.ndarray[Any, Any], str, int]:
        nothing: tuple[list[str], list[Any], np.ndarray[Any, Any], str, int]
        nothing = [], [], np.zeros((0, 0), np.int64), "day", table.num_rows
        if self.column not in table.column_names or self.at not in table.column_names:
            return nothing
        dated = table.select([self.column, self.at]).filter(pc.is_valid(table.column(self.at)))
        if not dated.num_rows:
            return nothing
        days, _ = utc_days(column_of(dated, self.at))
        # The newer half decides: a page that says it is of 1970 must not make the bins decades.
        last, middle = int(days.max()), float(np.median(days))
        unit = next((unit for unit, length in _DAYS.items() if middle > last - _MOST_BINS * length), "decade")
        first = max(int(days.min()), last - (_MOST_BINS + 1) * _DAYS[unit])
        distinct, place = np.unique(days, return_inverse=True)
        bins = [bin_of(int(day), unit) for day in distinct]
        starts = bins_between(bin_of(first, unit), max(bins), unit)[-_MOST_BINS:]
        at = {start: number for number, start in enumerate(starts)}
        column_places = np.array([at.get(start, -1) for start in bins])[place]
        names = [name for name, _ in counted(dated.column(self.column), self.top)[0]]
        values = pc.index_in(dated.column(self.column).cast(pa.string()), value_set=pa.array(names, pa.string()))
        rows = pc.fill_null(values, -1).to_numpy().astype(np.int64)
        shown = (rows >= 0) & (column_places >= 0)
        counts = np.bincount(rows[shown] * len(starts) + column_places[shown], minlength=len(names) * len(starts))
        return names, starts, counts.reshape(len(names), len(starts)), unit, table.num_rows - int(shown.sum())
