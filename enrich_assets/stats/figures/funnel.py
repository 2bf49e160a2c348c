"""The figure of a whole run: how many rows each phase passed on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enrich_assets.stats.figures.charts import bars
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import spark_columns


@dataclass(frozen=True)
class Funnel(Drawn):
    """Rows that each phase before this one passed on, before the pale bar of those that came into it.

    Phases without rows, which publish a document, are left out. From `outcome.history`.
    """

    unit: str = "articles"

    @property
    def name(self) -> str:
        """`funnel`."""
        return "funnel"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.unit.capitalize()} that each phase passed on"

    def picture(self, table: pa.Table | None, outcome: Any) -> Picture:
        """A bar a phase, in their order."""
        steps = _steps(outcome)
        names = [name for name, _, _ in steps]
        out = [rows_out for _, _, rows_out in steps]
        came = [rows_in for _, rows_in, _ in steps]
        texts = [f"{rows_out:,} of {rows_in:,}" if rows_in else f"{rows_out:,}" for _, rows_in, rows_out in steps]
        return bars(self.title, names, out, self.unit, texts=texts, behind=came, note="pale: came in")

    def spark(self, table: pa.Table | None, outcome: Any) -> str:
        """What each phase passed on as small columns; '' without rows."""
        return spark_columns([rows_out for _, _, rows_out in _steps(outcome)], self.title)


def _steps(outcome: Any) -> list[tuple[str, int, int]]:
    """Phase, rows in, rows out. What comes into a phase that fans out are no rows of the same kind: they are left out
    as 0, and so is what the phases count."""
    return [
        (name, 0 if envelope.counts.created else envelope.counts.rows_in, envelope.counts.rows_out)
        for name, envelope in outcome.history.items()
        if envelope.columns
    ]
