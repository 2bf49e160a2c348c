"""The figure of a side table: a bar for each of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enrich_assets.stats.figures.charts import bars
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import SPARK_BARS, spark_columns
from enrich_assets.stats.figures.words import capital, unit_of


@dataclass(frozen=True)
class SideBars(Drawn):
    """A number of each row of a side table, largest first; rows whose `status` is failed say so.

    `side` has the columns `name`, `status` and `number`. `top` rows have a bar of their own, the others share one.
    `label` is what is shown: "articles per source".
    """

    side: str
    number: str
    label: str
    top: int = 24

    @property
    def name(self) -> str:
        """`<side>_<number>`."""
        return f"{self.side}_{self.number}"

    @property
    def title(self) -> str:
        """For people."""
        return capital(self.label)

    def picture(self, table: pa.Table, outcome: Any) -> Picture:
        """A bar a row."""
        rows = self._rows(outcome)
        names = [f"{name} (failed)" if is_failed else name for name, _, is_failed in rows]
        kinds = ["failed" if is_failed else "rest" if name.startswith("(") else "kept" for name, _, is_failed in rows]
        return bars(self.title, names, [number for _, number, _ in rows], unit_of(self.label), kinds=kinds)

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """The numbers as small columns; '' without rows."""
        return spark_columns([number for _, number, _ in self._rows(outcome)][:SPARK_BARS], self.title)

    def _rows(self, outcome: Any) -> list[tuple[str, int, bool]]:
        rows = [
            (str(row["name"]), int(row[self.number] or 0), row["status"] == "failed")
            for row in outcome.sides[self.side].select(["name", "status", self.number]).to_pylist()
        ]
        # What failed is what people must see: it never disappears in the rest.
        rows.sort(key=lambda row: (not row[2], -row[1], row[0]))
        shown, rest = rows[: self.top], rows[self.top :]
        shown.sort(key=lambda row: (-row[1], row[0]))
        return shown + ([(f"({len(rest):,} others)", sum(row[1] for row in rest), False)] if rest else [])
