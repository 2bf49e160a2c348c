"""The settings that the engine itself reads. Every graph's shared settings extend them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, field_validator

from enrich_assets.core.settings import Settings


class Budget(Settings):
    """The most that may be spent, in USD; what is on its way counts at its upper bound.

    `enrich budget` raises the budget of a run that stopped at it, and sets those of a day and a month for all runs.
    """

    run_usd: float | None = Field(default=None, ge=0)
    """The whole run."""
    phase_usd: float | None = Field(default=None, ge=0)
    """Each phase of it."""


class EngineSettings(Settings):
    """Settings of a run that the engine reads."""

    preset: str = ""
    """The preset these settings started from."""
    title: str = ""
    """Title of the run, shown in lists and on the report."""
    as_of: datetime | None = None
    """The moment that counts as now for ages and dates, UTC; by default the start of the run."""
    concurrency: int = Field(default=16, ge=1, le=1000)
    """Rows in flight in a phase."""
    attempts: int = Field(default=4, ge=1, le=20)
    """Times a request is sent, or a malformed answer asked again, before it is given up."""
    first_delay_seconds: float = Field(default=0.5, ge=0, le=60)
    """Wait before the first retry in seconds; it doubles with each further one."""
    max_failed_fraction: float = Field(default=0.5, ge=0, le=1)
    """A phase with a larger share of failed rows fails as a whole."""
    max_failed_pages: float = Field(default=0.5, ge=0, le=1)
    """`scraped`, and every phase that makes rows out of rows, fails as a whole when a larger share of the rows that it
    tried to make failed: articles whose page could not be read. A smaller share is a finding."""
    row_seconds: float = Field(default=900.0, gt=0, le=86_400)
    """Deadline of one row of a phase, retries included and waits for its turn not; one that misses it waits for the
    next resume."""
    sample: int | None = Field(default=None, ge=1)
    """Phases that ask a model look at so many rows at most, the first ones. A later run pays nothing for them again."""
    budget: Budget = Budget()
    """The most that may be spent."""

    def lacking(self) -> str:
        """What a run cannot begin without and these settings lack, with its key; empty where nothing is."""
        return ""

    @field_validator("as_of")
    @classmethod
    def _in_utc(cls, moment: datetime | None) -> datetime | None:
        # Without a zone it is meant in UTC, not in the zone of the machine that happens to read it.
        if moment is None:
            return None
        if not 1970 <= moment.year <= 2200:
            raise ValueError("as_of is a moment of the years 1970 to 2200")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def engine_settings(resolved: Mapping[str, Any]) -> EngineSettings:
    """The part of a run's resolved settings that the engine reads."""
    return EngineSettings.model_validate({k: v for k, v in resolved.items() if k in EngineSettings.model_fields})
