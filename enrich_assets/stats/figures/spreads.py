"""The figure of several columns on one scale: how each of them spreads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from enrich_assets.stats.figures.charts import spreads
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import spark_columns
from enrich_assets.stats.figures.values import column_of, finite_numbers
from enrich_assets.stats.figures.words import capital


@dataclass(frozen=True)
class Spreads(Drawn):
    """Least, lower quartile, median, upper quartile and largest of several columns that share a scale.

    `label` names what they measure, with the unit; `called` is the name of the files.
    """

    columns: tuple[str, ...]
    label: str
    called: str

    @property
    def name(self) -> str:
        """As it is called."""
        return self.called

    @property
    def title(self) -> str:
        """For people, without the unit."""
        return capital(self.label.split(",", 1)[0])

    def picture(self, table: pa.Table, outcome: Any) -> Picture:
        """A line a column; the middle half of its rows is a bar, the median a mark."""
        found = self._quantiles(table)
        unit = self.label.split(",", 1)[-1].strip()
        names = [name.replace("_", " ") for name in found]
        note = f"n = {table.num_rows:,} · bars: the middle half"
        return spreads(self.title, names, list(found.values()), unit, note=note)

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """The medians as small columns; '' without numbers."""
        return spark_columns([round(100 * max(0.0, five[2])) for five in self._quantiles(table).values()], self.title)

    def _quantiles(self, table: pa.Table) -> dict[str, list[float]]:
        found = {}
        for name in self.columns:
            numbers, _ = finite_numbers(column_of(table, name))
            if len(numbers):
                found[name] = [float(value) for value in np.quantile(numbers, (0, 0.25, 0.5, 0.75, 1))]
        return found
