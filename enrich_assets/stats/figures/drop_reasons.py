"""The figure of what became of a phase's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enrich_assets.stats.figures.charts import bars
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import spark_stack
from enrich_assets.stats.figures.words import capital


@dataclass(frozen=True)
class DropReasons(Drawn):
    """What became of the input rows: kept, dropped by each reason, failed by each kind. From `outcome.counts`."""

    label: str = "what became of the rows"
    unit: str = "articles"

    @property
    def name(self) -> str:
        """`drop_reasons`."""
        return "drop_reasons"

    @property
    def title(self) -> str:
        """For people."""
        return capital(self.label)

    def picture(self, table: pa.Table, outcome: Any) -> Picture:
        """A bar a fate: kept blue, dropped orange, failed purple."""
        counts = outcome.counts
        rows = [("kept", counts.kept, "kept")]
        for kind, reasons in (("dropped", counts.dropped_by_reason), ("failed", counts.failed_by_kind)):
            ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
            rows += [(f"{kind}: {name.replace('_', ' ')}", number, kind) for name, number in ordered]
        names, numbers, kinds = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
        return bars(self.title, names, numbers, self.unit, kinds=kinds, note=f"{counts.rows_in:,} came in")

    def spark(self, table: pa.Table, outcome: Any) -> str:
        """Kept, dropped and failed as one divided bar, whose title tells them; '' without rows."""
        counts = outcome.counts
        fates = {"kept (blue)": counts.kept, "dropped (orange)": counts.dropped, "failed (purple)": counts.failed}
        return spark_stack(list(fates.values()), ", ".join(f"{n:,} {fate}" for fate, n in fates.items() if n))
