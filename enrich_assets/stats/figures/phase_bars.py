"""The figure of what the phases of a run took: seconds or money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from enrich_assets.core.units import money
from enrich_assets.stats.figures.charts import bars, number_text
from enrich_assets.stats.figures.picture import Drawn, Picture
from enrich_assets.stats.figures.sparks import spark_columns


@dataclass(frozen=True)
class PhaseBars(Drawn):
    """Seconds or USD of each phase before this one, in their order. From `outcome.history`.

    A cost that is unknown has no bar and says so.
    """

    what: Literal["duration", "cost"]

    @property
    def name(self) -> str:
        """`phase_duration` or `phase_cost`."""
        return f"phase_{self.what}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.what.capitalize()} by phase"

    def picture(self, table: pa.Table | None, outcome: Any) -> Picture:
        """A bar a phase."""
        taken = self._taken(outcome)
        numbers = [number or 0.0 for _, number in taken]
        if self.what == "duration":
            texts = [number_text(round(number, 2)) for number in numbers]
            note = f"all phases {number_text(round(sum(numbers), 1))} s"
            return bars(self.title, [n for n, _ in taken], numbers, "seconds", texts=texts, note=note)
        texts = ["unknown" if number is None else money(number) for _, number in taken]
        is_known = all(number is not None for _, number in taken)
        note = f"all phases {money(sum(numbers))}" if is_known else "some costs are unknown"
        nothing = "nothing was paid" if is_known else "the costs are unknown"
        return bars(self.title, [n for n, _ in taken], numbers, "USD", texts=texts, note=note, nothing=nothing)

    def spark(self, table: pa.Table | None, outcome: Any) -> str:
        """The same as small columns; '' where all of them are nothing."""
        numbers = [number or 0.0 for _, number in self._taken(outcome)]
        highest = max(numbers, default=0.0)
        return spark_columns([round(1000 * number / highest) for number in numbers], self.title) if highest else ""

    def _taken(self, outcome: Any) -> list[tuple[str, float | None]]:
        return [
            (name, envelope.duration_seconds if self.what == "duration" else envelope.usage.paid)
            for name, envelope in outcome.history.items()
        ]
