"""The figure of two columns against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from enrich_assets.stats.figures.charts import grid, number_text, points
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import spark_columns
from enrich_assets.stats.figures.values import column_of
from enrich_assets.stats.figures.words import capital

MOST_DOTS = 600
"""More would hide each other: then cells are shaded by how many fall into them."""
_CELLS = 12


@dataclass(frozen=True)
class Scatter(Drawn):
    """A dot a row by two numbers, above 600 rows shaded cells. `x_label` and `y_label` name them with their units.

    Rows that lack one of them are counted in a note, beside the rank correlation (Spearman 1904).
    """

    x: str
    y: str
    x_label: str
    y_label: str
    unit: str = "articles"

    @property
    def name(self) -> str:
        """`<y>_by_<x>`: short enough to stand whole beside its picture in the Dagster UI."""
        return f"{self.y}_by_{self.x}"

    @property
    def title(self) -> str:
        """For people, without the units."""
        return capital(f"{self.y_label.split(',', 1)[0]} against {self.x_label.split(',', 1)[0]}")

    def picture(self, table: pa.Table, outcome: Any) -> Picture:
        """Dots or shaded cells."""
        xs, ys, missing = self._pairs(table)
        note = f"n = {len(xs):,}" + (f", {missing:,} without both" if missing else "")
        agreement = rank_correlation(xs, ys)
        note += "" if agreement is None else f" · rank correlation {agreement:.2f}"
        if len(xs) <= MOST_DOTS:
            return points(self.title, xs.tolist(), ys.tolist(), self.x_label, self.y_label, note=note)
        found, across, up = np.histogram2d(xs, ys, bins=_CELLS)
        rows = [f"{number_text(float(round(low, 3)))} –" for low in up[:-1]][::-1]
        starts = [f"{number_text(float(round(low, 3)))} –" for low in across[:-1]]
        counts = found.T[::-1].astype(np.int64).tolist()
        return grid(f"{self.title} (down)", rows, starts, counts, self.x_label, self.unit, note=note)

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """The mean of y over twelve bins of x as small columns; '' without pairs."""
        xs, ys, _ = self._pairs(table)
        if len(xs) < 2 or xs.min() == xs.max():
            return ""
        places = np.minimum(_CELLS - 1, ((xs - xs.min()) / (xs.max() - xs.min()) * _CELLS).astype(np.int64))
        sums, counts = np.bincount(places, ys, _CELLS), np.bincount(places, minlength=_CELLS)
        means = np.divide(sums, counts, out=np.zeros(_CELLS), where=counts > 0)
        return spark_columns([round(max(0.0, mean) * 100) for mean in means.tolist()], self.title)

    def _pairs(self, table: pa.Table) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
        if self.x not in table.column_names or self.y not in table.column_names:
            return np.empty(0), np.empty(0), table.num_rows
        xs, ys = (column_of(table, name).cast(pa.float64()).to_numpy() for name in (self.x, self.y))
        there = np.isfinite(xs) & np.isfinite(ys)
        return xs[there], ys[there], len(xs) - int(there.sum())


def rank_correlation(xs: np.ndarray[Any, Any], ys: np.ndarray[Any, Any]) -> float | None:
    """Spearman's coefficient, −1 to 1, equal values sharing their mean rank; None where one of them never varies."""
    if len(xs) < 3:
        return None
    first, second = _ranks(xs), _ranks(ys)
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean: np.ndarray[Any, Any] = ends - (counts - 1) / 2
    ranked: np.ndarray[Any, Any] = mean[place]
    return ranked
