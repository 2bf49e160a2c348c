"""The envelope: an artifact's record of itself. It travels inside the artifact."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from enrich_assets.core.fingerprint import fingerprint

ENVELOPE_FORMAT = 1


class Frozen(BaseModel):
    """Base of small frozen records."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Counts(Frozen):
    """Rows of a phase. Every input row is kept, dropped or failed: `rows_in == kept + dropped + failed`.

    A fan-out phase (`scraped`: articles of sources) also loses rows on their way. People are shown `rows_dropped` and
    `rows_failed`, which count these too, so that every place shows the same numbers.
    """

    rows_in: int = 0
    kept: int = 0
    dropped: int = 0
    failed: int = 0
    created: int = 0
    """Rows that a fan-out phase made of its kept rows; 0 elsewhere."""
    rows_out: int = 0
    """Rows of the artifact: `created` of a fan-out phase, else `kept`."""
    waiting: int = 0
    """Failed rows whose call may succeed later (transient errors): resume asks them again."""
    dropped_by_reason: dict[str, int] = Field(default_factory=dict)
    failed_by_kind: dict[str, int] = Field(default_factory=dict)

    @property
    def rows_dropped(self) -> int:
        """Rows of the table of dropped rows."""
        return sum(self.dropped_by_reason.values())

    @property
    def rows_failed(self) -> int:
        """Rows of the table of failed rows."""
        return sum(self.failed_by_kind.values())

    @property
    def failed_on_the_way(self) -> int:
        """Rows that a fan-out phase tried to create and could not."""
        return self.rows_failed - self.failed

    @property
    def tried_on_the_way(self) -> int:
        """Rows that a fan-out phase tried to create; 0 elsewhere."""
        return self.created + self.rows_dropped - self.dropped + self.failed_on_the_way

    @property
    def rows_judged(self) -> int:
        """Rows that have an outcome: those of the artifact, the dropped and the failed ones."""
        return self.rows_out + self.rows_dropped + self.rows_failed

    @property
    def quality_score(self) -> float | None:
        """Share of the judged rows that pass every rule of the phase, 0–1; None where there were none."""
        return self.rows_out / self.rows_judged if self.rows_judged else None

    def shown(self) -> dict[str, Any]:
        """The counts under the names and in the numbers that people are shown."""
        numbers = {"dropped": self.rows_dropped, "failed": self.rows_failed, "judged": self.rows_judged}
        return {**self.model_dump(), **numbers}


class Usage(Frozen):
    """What a phase asked for. Costs in USD; `cost` is None where a price is unknown."""

    model_calls: int = 0
    page_requests: int = 0
    search_requests: int = 0
    answers_reused: int = 0
    """Calls that were not made because the ledger already held the answer."""
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    spent: float | None = 0.0
    """What the run has spent on the phase, attempts that were cut short included; `cost` is that of this making."""
    unsettled: int = 0
    """Requests in `spent` whose outcome nobody knows; each counts at the most that it can have cost."""
    models: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        """Calls of models, requests of pages and of searches together."""
        return self.model_calls + self.page_requests + self.search_requests

    @property
    def paid(self) -> float | None:
        """What people are shown as the phase's cost: `spent`, or `cost` in an envelope of before it was recorded."""
        return self.cost if self.spent == 0 and self.cost != 0 else self.spent


LAUNCHES = "in_all_launches"
"""Note of an envelope: what the phase asked for in all launches of the run, where that is more than in the last."""


def in_all_launches(usage: Usage, notes: Mapping[str, Any]) -> Usage:
    """The usage that people are shown: its requests and tokens belong to the same launches as its cost, all of them."""
    return usage.model_copy(update=dict(notes.get(LAUNCHES, {})))


class CheckOutcome(Frozen):
    """Outcome of one check on the artifact."""

    name: str
    passed: bool
    blocking: bool = False
    message: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)


class InputRef(Frozen):
    """An artifact that this one was made from."""

    run_id: str
    phase: str
    data_sha256: str


class Envelope(Frozen):
    """Everything an artifact says of itself."""

    format: int = ENVELOPE_FORMAT
    package_version: str
    graph: str
    run_id: str
    phase: str
    number: int
    artifact_id: str
    """Unique name of this one publication."""
    status: Literal["complete", "blocked"] = "complete"
    """`blocked` where a blocking check failed: later phases refuse the artifact."""
    started_at: datetime
    duration_seconds: float
    counts: Counts = Counts()
    usage: Usage = Usage()
    checks: tuple[CheckOutcome, ...] = ()
    settings_fingerprint: str
    code_fingerprint: str
    inputs: tuple[InputRef, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict)
    volatile: tuple[str, ...] = ()
    """Columns that `data_sha256` leaves out."""
    data_sha256: str
    content_sha256: str
    """Covers every column in stored order, volatile ones too: finds a damaged file."""
    files: dict[str, str] = Field(default_factory=dict)
    """Side files of this publication: path below the run's folder → SHA-256 of its bytes."""
    notes: dict[str, Any] = Field(default_factory=dict)
    envelope_sha256: str = ""

    @property
    def asked(self) -> Usage:
        """What the run asked for in all launches of the phase; `usage` is that of the launch which published it."""
        return in_all_launches(self.usage, self.notes)

    def sealed(self) -> Envelope:
        """This envelope with its own hash filled in."""
        return self.model_copy(update={"envelope_sha256": self._own_hash()})

    def is_intact(self) -> bool:
        """Whether no field changed since it was sealed."""
        return self.envelope_sha256 == self._own_hash()

    def blocking_failures(self) -> tuple[CheckOutcome, ...]:
        """The blocking checks that failed."""
        return tuple(check for check in self.checks if check.blocking and not check.passed)

    def _own_hash(self) -> str:
        return fingerprint(self.model_dump(mode="json", exclude={"envelope_sha256"}))
