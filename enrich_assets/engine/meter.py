"""What a phase asked for, counted while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from enrich_assets.core.envelope import Usage


@dataclass
class Meter:
    """Counts what one phase asked for."""

    model_calls: int = 0
    page_requests: int = 0
    search_requests: int = 0
    answers_reused: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    spent: float | None = 0.0
    unsettled: int = 0
    models: set[str] = field(default_factory=set)

    def usage(self) -> Usage:
        """The counts as an envelope records them."""
        values = {name: getattr(self, name) for name in Usage.model_fields if name != "models"}
        return Usage(**values, models=tuple(sorted(self.models)))
