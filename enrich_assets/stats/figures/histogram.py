"""The figure of a column's numbers: how they are distributed, against bounds where settings name some."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from enrich_assets.stats.figures.charts import columns, number_text
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import SPARK_BARS, spark_columns
from enrich_assets.stats.figures.values import column_of, finite_numbers
from enrich_assets.stats.figures.words import capital, label_of


@dataclass(frozen=True)
class Histogram(Drawn):
    """How the numbers of a column are distributed. `label` names the quantity with its unit.

    `bounds` are names of the phase's settings whose values are marked: least and most, or a threshold. Nulls and
    numbers that are not finite are counted in a note.
    """

    column: str
    bins: int = 20
    label: str = ""
    bounds: tuple[str, ...] = ()
    unit: str = "articles"

    @property
    def name(self) -> str:
        """`<column>_histogram`."""
        return f"{self.column}_histogram"

    @property
    def title(self) -> str:
        """For people, without the unit."""
        return capital(label_of(self.label, self.column).split(",", 1)[0])

    def picture(self, table: pa.Table, outcome: Any) -> Picture:
        """Columns over the numbers' range."""
        numbers, missing = finite_numbers(column_of(table, self.column))
        edges, counts = histogram(numbers, self.bins)
        note = f"n = {len(numbers):,}" + (f", {missing:,} without a value" if missing else "")
        if len(numbers):
            note += f" · median {number_text(float(np.partition(numbers, middle := (len(numbers) - 1) // 2)[middle]))}"
        settings = getattr(outcome, "settings", None)
        values = [(name, getattr(settings, name, None)) for name in self.bounds]
        marks = [(float(value), f"{name} {number_text(value)}") for name, value in values if value is not None]
        label = label_of(self.label, self.column)
        return columns(self.title, edges, counts, label, self.unit, note=note, marks=marks)

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """The distribution as small columns; '' without numbers."""
        numbers, _ = finite_numbers(column_of(table, self.column))
        return spark_columns(histogram(numbers, min(self.bins, SPARK_BARS))[1], self.title)


def histogram(given: Sequence[float] | np.ndarray[Any, Any], bins: int) -> tuple[list[float], list[int]]:
    """Edges and counts. Whole numbers in a small range get a bin each, centred on the number; others equal widths."""
    numbers = np.asarray(given, np.float64)
    if not len(numbers):
        return [], []
    low, high = float(numbers.min()), float(numbers.max())
    if high - low < max(bins, 11) and bool(np.all(numbers == np.floor(numbers))):
        counts = np.bincount((numbers - low).astype(np.int64), minlength=int(high - low) + 1)
        return [low - 0.5 + i for i in range(len(counts) + 1)], [int(count) for count in counts]
    if high == low or not math.isfinite(high - low):
        spread = abs(low) / 2 or 0.5
        return ([low - spread, low + spread] if high == low else [low, high]), [len(numbers)]
    width = (high - low) / bins
    places = np.minimum(bins - 1, ((numbers - low) / width).astype(np.int64))
    found = np.bincount(places, minlength=bins)
    return [low + width * i for i in range(bins)] + [high], [int(count) for count in found]
