"""What a phase hands over to be published: tables, counts, usage, checks. Between engine and store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from enrich_assets.core.envelope import CheckOutcome, Counts, InputRef, Usage


@dataclass(frozen=True)
class PhaseResult:
    """Outcome of one phase of one run, not yet published.

    Exactly one of `table` (Arrow, `row_id` first) and `document` (JSON-able dict) is set. `dropped` has the columns
    row_id, title, url, drop_reason, drop_value, drop_detail; `failed` has row_id, title, url, failure_kind,
    failure_message, attempts. `sides` are the declared side tables by name. `figures` are files by name,
    `sparks` SVGs under 1,000 characters by figure name. `reports` are files for people
    by name. `log` is one dict a line. `refused` are answers that broke a rule and were asked for again: row_id,
    problem, attempt. `processing` are numbers of how it was made and `processing_tables` tables of that, for `etl/`;
    `profile` is a table of what it looks like, a row a column, and `profile_text` the same to be read, for `eda/`.
    `completes` names all phases of the graph where this one is its last.
    """

    graph: str
    run_id: str
    phase: str
    number: int
    started_at: datetime
    duration_seconds: float
    counts: Counts
    usage: Usage
    settings_fingerprint: str
    code_fingerprint: str
    dropped: pa.Table
    failed: pa.Table
    table: pa.Table | None = None
    document: Mapping[str, Any] | None = None
    volatile: tuple[str, ...] = ()
    inputs: tuple[InputRef, ...] = ()
    sides: Mapping[str, pa.Table] = field(default_factory=dict)
    checks: tuple[CheckOutcome, ...] = ()
    figures: Mapping[str, bytes] = field(default_factory=dict)
    sparks: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    reports: Mapping[str, bytes] = field(default_factory=dict)
    log: tuple[Mapping[str, Any], ...] = ()
    refused: tuple[Mapping[str, Any], ...] = ()
    processing: Mapping[str, Any] = field(default_factory=dict)
    processing_tables: Mapping[str, pa.Table] = field(default_factory=dict)
    profile: pa.Table | None = None
    profile_text: bytes = b""
    completes: tuple[str, ...] = ()

    @property
    def is_blocked(self) -> bool:
        """Whether a blocking check failed."""
        return any(check.blocking and not check.passed for check in self.checks)

    def with_checks(self, checks: tuple[CheckOutcome, ...]) -> PhaseResult:
        """This result with the outcomes of its checks."""
        return replace(self, checks=checks)

    def with_log(self, log: tuple[Mapping[str, Any], ...]) -> PhaseResult:
        """This result with its log."""
        return replace(self, log=log)

    def with_reports(self, reports: Mapping[str, bytes]) -> PhaseResult:
        """This result with its rendered reports."""
        return replace(self, reports=reports)

    def described(
        self,
        *,
        processing: Mapping[str, Any],
        processing_tables: Mapping[str, pa.Table],
        notes: Mapping[str, Any],
        profile: pa.Table,
        profile_text: bytes,
    ) -> PhaseResult:
        """This result with what is said of its making and of its looks; `notes` go into the envelope beside others."""
        return replace(
            self,
            processing=processing,
            processing_tables=processing_tables,
            notes={**self.notes, **notes},
            profile=profile,
            profile_text=profile_text,
        )

    def with_figures(
        self, figures: Mapping[str, bytes], sparks: Mapping[str, str], log: tuple[Mapping[str, Any], ...] = ()
    ) -> PhaseResult:
        """This result with its drawn figures, and lines that its log gains by them."""
        return replace(self, figures=figures, sparks=sparks, log=(*self.log, *log))
