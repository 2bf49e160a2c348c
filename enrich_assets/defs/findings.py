"""Findings as an asset check: one a phase, a warning that never stops a run.

One and not one a kind: every check of every launch costs time and room in the event log. What stands out is named in
the check's description and metadata. What a finding is belongs to `reports.findings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.job import Input
from enrich_assets.engine.phase import Phase
from enrich_assets.reports.findings.kinds import kinds_of
from enrich_assets.reports.findings.looking import findings_of_result
from enrich_assets.store.store import Store

NOTHING_STANDS_OUT = "nothing_stands_out"


def what_would_stand_out(phase: Phase) -> list[str]:
    """The check's description, alone in a list; an empty list for a phase that no kind of finding concerns."""
    kinds = kinds_of(phase)
    return [" ".join(kind.description for kind in kinds)] if kinds else []


def findings_check(
    graph: Graph, phase: Phase, result: PhaseResult, store: Store, loaded: Mapping[str, Input]
) -> list[dg.AssetCheckResult]:
    """The outcome of the check on a phase's result, alone in a list; an empty list where the phase has none."""
    if not kinds_of(phase):
        return []
    first = loaded.get(graph.first.name)
    stated = (first.document or {}).get("as_of") if first is not None else None
    as_of = datetime.fromisoformat(str(stated)) if stated else datetime.now(UTC)
    found = findings_of_result(graph, phase, result, as_of, store)
    metadata: dict[str, Any] = {}
    for finding in found:
        named = f"{finding.kind}/{sum(name.startswith(finding.kind) for name in metadata) + 1}"
        metadata[named if finding.kind in metadata else finding.kind] = f"{finding.sentence} {finding.advice}"
    return [
        dg.AssetCheckResult(
            check_name=NOTHING_STANDS_OUT,
            passed=not found,
            description=" ".join(finding.sentence for finding in found) or None,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=metadata,
        )
    ]
