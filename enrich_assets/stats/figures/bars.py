"""The figure of a column's values: how often each occurs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enrich_assets.stats.figures.charts import bars
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import SPARK_BARS, spark_columns
from enrich_assets.stats.figures.values import column_of, counted, items_of
from enrich_assets.stats.figures.words import capital, label_of, unit_of


@dataclass(frozen=True)
class Bars(Drawn):
    """How often each value of a column occurs, most frequent first; every item of a list counts.

    `item` names the field that counts where the values are structs. The `top` values have a bar each, the others are
    told in a note. `label` is what is counted: "articles per source".
    """

    column: str
    top: int = 12
    label: str = ""
    item: str = ""

    @property
    def name(self) -> str:
        """`<column>_bars`, `<column>_<item>_bars`."""
        return f"{self.column}_{self.item}_bars" if self.item else f"{self.column}_bars"

    @property
    def title(self) -> str:
        """For people."""
        return capital(self.label or f"rows per {label_of('', self.item or self.column)}")

    def picture(self, table: pa.Table, outcome: Any) -> Picture:
        """A bar a value."""
        pairs, others, rows = self._counted(table)
        note = f"and {others:,} others, {rows:,} together" if others else ""
        return bars(self.title, [n for n, _ in pairs], [c for _, c in pairs], unit_of(self.label), note=note)

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """The counts as small columns; '' without rows."""
        return spark_columns([count for _, count in self._counted(table)[0]][:SPARK_BARS], self.title)

    def _counted(self, table: pa.Table) -> tuple[list[tuple[str, int]], int, int]:
        return counted(items_of(column_of(table, self.column), self.item), self.top)
