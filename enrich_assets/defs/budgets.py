"""Whether a budget can be kept at all: it cannot where a price is unknown. No Dagster here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enrich_assets.core.errors import CallError, SettingsError
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint
from enrich_assets.models.transport import Models


def check_budget(graph: Graph, run_id: str, resolved: Mapping[str, Any], ledger: Ledger) -> None:
    """Raises SettingsError where a budget holds for the run and the price of a model or a search is unknown."""
    named = _budget_of(graph, run_id, resolved, ledger)
    if not named:
        return
    endpoints = {name: ModelEndpoint.model_validate(value) for name, value in resolved.get("models", {}).items()}
    transport = Models(endpoints)
    for model in sorted({resolved[phase.name]["model"] for phase in graph.phases if phase.asks_a_model}):
        if model != EXTRACTIVE and not _has_price(transport, model):
            raise SettingsError(
                f"there is a budget ({named}), and the price of the model {model!r} is unknown.",
                where="models",
                fix="Give usd_per_million_input and usd_per_million_output of the model, or lift the budget.",
            )
    search = resolved.get("search", {})
    if search.get("provider") == "serper" and search.get("usd_per_search") is None:
        raise SettingsError(
            f"there is a budget ({named}), and the price of a search is unknown.",
            where="search.usd_per_search",
            fix="Give it, 0.001 for a tenth of a cent, or lift the budget.",
        )


def _budget_of(graph: Graph, run_id: str, resolved: Mapping[str, Any], ledger: Ledger) -> str:
    budget = resolved.get("budget", {})
    phases = [f"phase/{run_id}/{phase.name}" for phase in graph.phases]
    day, month, run, *each = ledger.totals(["day", "month", f"run/{run_id}", *phases])
    found = {
        "budget.run_usd": budget.get("run_usd"),
        "budget.phase_usd": budget.get("phase_usd"),
        "of a day": day.cap,
        "of a month": month.cap,
        "of the run": run.cap,
        "of a phase": next((phase.cap for phase in each if phase.cap is not None), None),
    }
    return ", ".join(name for name, cap in found.items() if cap is not None)


def _has_price(transport: Models, model: str) -> bool:
    try:
        return transport.weigh(model, [], {}).usd is not None
    except CallError:
        return True  # it says so itself when it is asked
