"""Runs a phase's declared checks on its result."""

from __future__ import annotations

from typing import Any

from enrich_assets.core.envelope import CheckOutcome
from enrich_assets.core.result import PhaseResult
from enrich_assets.engine.phase import Phase


def run_checks(phase: Phase, result: PhaseResult, settings: Any) -> tuple[CheckOutcome, ...]:
    """The outcome of every check that the phase declares. A check that raises has failed, and says so."""
    return tuple(_run(check.name, check.function, check.blocking, result, settings) for check in phase.checks)


def _run(name: str, function: Any, blocking: bool, result: PhaseResult, settings: Any) -> CheckOutcome:
    try:
        problem = function(result, settings)
    except Exception as error:  # a check's own defect must not lose the phase's work: it is recorded as a failure
        problem = f"the check itself failed: {type(error).__name__}: {error}"
    return CheckOutcome(name=name, passed=problem is None, blocking=blocking, message=problem or "")
