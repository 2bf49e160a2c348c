"""The figure of a list in a document: how often each value of a field occurs in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enrich_assets.stats.figures.charts import bars
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import SPARK_BARS, spark_columns
from enrich_assets.stats.figures.values import NO_VALUE
from enrich_assets.stats.figures.words import capital, unit_of


@dataclass(frozen=True)
class DocumentBars(Drawn):
    """How often each value of `field` occurs among the objects of the list `key` of a document.

    `label` is what is counted: "sources per kind".
    """

    key: str
    field: str
    label: str
    top: int = 12

    @property
    def name(self) -> str:
        """`<key>_<field>_bars`."""
        return f"{self.key}_{self.field}_bars"

    @property
    def title(self) -> str:
        """For people."""
        return capital(self.label)

    def picture(self, table: pa.Table | None, outcome: Any) -> Picture:
        """A bar a value."""
        pairs = self._counted(outcome)
        return bars(self.title, [n for n, _ in pairs], [c for _, c in pairs], unit_of(self.label))

    def spark(self, table: pa.Table | None, outcome: Any) -> str:
        """The counts as small columns; '' where the list is empty."""
        return spark_columns([count for _, count in self._counted(outcome)][:SPARK_BARS], self.title)

    def _counted(self, outcome: Any) -> list[tuple[str, int]]:
        listed = (outcome.document or {}).get(self.key) or []
        counts = Counter(str(item.get(self.field) or NO_VALUE) for item in listed)
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        rest = ordered[self.top :]
        return ordered[: self.top] + ([(f"({len(rest):,} others)", sum(c for _, c in rest))] if rest else [])
