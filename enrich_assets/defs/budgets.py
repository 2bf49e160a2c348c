"""Whether a budget can be kept at all: it cannot where a price is unknown. No Dagster here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enrich_assets.core.errors import CallError, SettingsError
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.models.llm import endpoints_of
from enrich_assets.models.settings import EXTRACTIVE
from enrich_assets.models.transport import Models
from enrich_assets.web.settings import FREE_PROVIDERS


def check_budget(graph: Graph, run_id: str, resolved: Mapping[str, Any], ledger: Ledger) -> None:
    """Raises SettingsError where a budget holds for a phase and the price of what it asks is unknown.

    `run_id` is empty for a run that is not claimed yet.
    """
    held = _budgets(graph, run_id, resolved, ledger)
    if not held:
        return
    transport = Models(endpoints_of(resolved))
    asking = [phase for phase in graph.phases if phase.asks_a_model and phase.name in held]
    asked = {resolved[phase.name]["model"]: held[phase.name] for phase in asking}
    for model, named in sorted(asked.items()):
        if model != EXTRACTIVE and not _has_price(transport, model):
            raise SettingsError(
                f"there is a budget ({named}), and the price of the model {model!r} is unknown.",
                where="models",
                fix="Give usd_per_million_input and usd_per_million_output of the model, or lift the budget.",
            )
    search = resolved.get("search", {})
    searching = next((held[phase.name] for phase in graph.phases if phase.shape == "row" and phase.name in held), "")
    if searching and search.get("provider", "embedded") not in FREE_PROVIDERS and search.get("usd_per_search") is None:
        raise SettingsError(
            f"there is a budget ({searching}), and the price of a search is unknown.",
            where="search.usd_per_search",
            fix="Give it, 0.001 for a tenth of a cent, or lift the budget.",
        )


def _budgets(graph: Graph, run_id: str, resolved: Mapping[str, Any], ledger: Ledger) -> dict[str, str]:
    """The budgets that hold for each phase, in words; phases that none holds for are not in it."""
    budget = resolved.get("budget", {})
    phases = [f"phase/{run_id}/{phase.name}" for phase in graph.phases]
    day, month, run, *each = ledger.totals(["day", "month", f"run/{run_id}", *phases])
    for_all = {
        "budget.run_usd": budget.get("run_usd"),
        "budget.phase_usd": budget.get("phase_usd"),
        "of a day": day.cap,
        "of a month": month.cap,
        "of the run": run.cap,
    }
    held = {}
    for phase, own in zip(graph.phases, each, strict=True):
        caps = {**for_all, f"of {phase.name}": own.cap}
        named = ", ".join(name for name, cap in caps.items() if cap is not None)
        if named:
            held[phase.name] = named
    return held


def _has_price(transport: Models, model: str) -> bool:
    try:
        return transport.weigh(model, [], {}).usd is not None
    except CallError:
        return True  # it says so itself when it is asked
