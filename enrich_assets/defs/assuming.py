"""What settings and declarations say of a phase that no run has shown: limits, prices, lengths; and what to warn of.

Conventions of the graphs that are read here: a setting `keep` is the most rows that a phase lets pass, `per_source` and
its like the most of each source, `max_items` of a first row the most that it brings, `x_per_y` how many of one a row
phase looks up. The constants are in `engine.typical`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from enrich_assets.defs.past_runs import asked_model
from enrich_assets.engine.answer_schema import schema_of
from enrich_assets.engine.estimate import Estimate
from enrich_assets.engine.graph import Graph
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.phase import Phase
from enrich_assets.engine.plans import Assumed, Plan
from enrich_assets.engine.settings import Budget
from enrich_assets.engine.spending import scopes_of
from enrich_assets.engine.typical import (
    ANSWER_CHARACTERS,
    CHARACTERS_A_TOKEN,
    SURVIVE,
    TEXT_CHARACTERS,
    answer_characters,
    is_sieve,
    typical_prompt,
)
from enrich_assets.models.prices import has_own_prices, listed_cost, own_cost
from enrich_assets.models.settings import ModelEndpoint


def limit_of(phase: Phase, resolved: Mapping[str, Any], first_rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The most rows that leave a phase; None where the settings name no limit."""
    settings = resolved.get(phase.name, {})
    limits = [float(settings["keep"])] if "keep" in settings else []
    for name, value in settings.items():
        groups = resolved.get(_plural(name.removeprefix("per_"))) if name.startswith("per_") else None
        if isinstance(groups, list) and isinstance(value, int):
            limits.append(float(value * len(groups)))
    if phase.creates and first_rows and all("max_items" in row for row in first_rows):
        limits.append(float(sum(row["max_items"] for row in first_rows)))
    return min(limits) if limits else None


def assumed_of(
    graph: Graph, phase: Phase, resolved: Mapping[str, Any], first_rows: Sequence[Mapping[str, Any]]
) -> Assumed:
    """What is assumed of a phase, from its settings, prompts and answers."""
    settings = resolved.get(phase.name, {})
    passes = SURVIVE if is_sieve(settings) and not phase.creates else 1.0
    if phase.creates and first_rows:
        passes = sum(float(row.get("max_items", 1)) for row in first_rows) / len(first_rows)
    lookups = [float(value) for name, value in settings.items() if "_per_" in name and isinstance(value, int)]
    searches = lookups[0] if lookups else 0.0
    pages = passes if phase.creates else searches * (lookups[1] if len(lookups) > 1 else 1.0)
    model = asked_model(phase, resolved)
    if not model:
        return Assumed(passes=passes, searches=searches, pages=pages)
    if phase.shape == "ask" and phase.answer is not None:
        batch = int(settings.get("batch", 1)) if phase.batched else 1
        own = graph.settings_of(phase, resolved)
        _, characters = typical_prompt(phase, graph.columns(phase), own, batch=batch)
        tokens_out = batch * answer_characters(schema_of(phase.answer_for(own))) / CHARACTERS_A_TOKEN
        return Assumed(passes=passes, tokens_in=characters / CHARACTERS_A_TOKEN, tokens_out=tokens_out)
    texts = [float(value) for name, value in settings.items() if name.endswith("_characters")]
    length = _prompt_characters(phase) + (max(texts) if texts else TEXT_CHARACTERS)
    return Assumed(
        passes=passes,
        calls=1.0 + searches,
        searches=searches,
        pages=pages,
        tokens_in=length / CHARACTERS_A_TOKEN,
        tokens_out=ANSWER_CHARACTERS / CHARACTERS_A_TOKEN,
    )


def token_prices(endpoint: ModelEndpoint) -> tuple[float, float] | None:
    """USD of a token in and of one out: the endpoint's own prices, else listed ones; None where one is unknown."""
    million = 1_000_000
    if has_own_prices(endpoint):
        prices = own_cost(endpoint, million, 0), own_cost(endpoint, 0, million)
    else:
        prices = listed_cost(endpoint.model, million, 0), listed_cost(endpoint.model, 0, million)
    price_in, price_out = prices
    return None if price_in is None or price_out is None else (price_in / million, price_out / million)


def said(found: Estimate, plans: Sequence[Plan]) -> str:
    """What was assumed, in words; empty where nothing was."""
    assumed = {one.phase: one.assumed for one in found.phases}
    parts = [
        f"{one.phase} makes {one.rows_out.likely / max(1.0, one.rows_in.likely):.0f} rows of each of its "
        f"{one.rows_in.likely:,.0f} on average (at most {plan.assumed.passes:.4g})"
        for plan, one in zip(plans, found.phases, strict=True)
        if plan.creates and "passes" in one.assumed
    ]
    sieves = [plan.phase for plan in plans if not plan.creates and "passes" in assumed[plan.phase]]
    if sieves:
        parts.append(f"half of the rows survive {_listed(sieves)} each")
    parts += [
        f"{plan.assumed.calls:.2g} calls a row in {plan.phase}" for plan in plans if "calls" in assumed[plan.phase]
    ]
    parts += [
        f"{plan.assumed.tokens_in:,.0f} tokens in and {plan.assumed.tokens_out:,.0f} out a call in {plan.phase}"
        for plan in plans
        if "tokens" in assumed[plan.phase]
    ]
    return "; ".join(parts)


def warnings_of(found: Estimate, budget: Budget, ledger: Ledger, run_id: str) -> tuple[str, ...]:
    """Budgets that the likely cost would pass, or that no cost can be held against. A cap set by hand goes first.

    `run_id` is empty for a run that is not claimed yet.
    """
    day, month = ledger.spent_today()
    held = [
        ("the run", ledger.spent(run_id), budget.run_usd, found.usd),
        ("the day", day, None, found.usd),
        ("the month", month, None, found.usd),
    ]
    each = ledger.totals([scopes_of(run_id, one.phase)[1] for one in found.phases])
    held += [(one.phase, spent, budget.phase_usd, one.usd) for one, spent in zip(found.phases, each, strict=True)]
    told = []
    for whose, spent, in_settings, usd in held:
        cap = in_settings if spent.cap is None else spent.cap
        if cap is None:
            continue
        if usd is None:
            return ("A budget is set, and a price is unknown: the run would stop at the first request of it.",)
        taken = spent.spent + spent.reserved
        if usd.likely > cap - taken:
            left = f", of which {taken:.2f} USD are spent" if taken else ""
            told.append(
                f"The budget of {whose}, {cap:.2f} USD{left}, is below the likely cost of {usd.likely:.2f} USD."
            )
    return tuple(told)


def _prompt_characters(phase: Phase) -> float:
    folder = Path(inspect.getfile(phase.function)).parent
    sizes = [file.stat().st_size for file in sorted(folder.glob(f"{phase.name}_*.md"))]
    return sum(sizes) / len(sizes) if sizes else 0.0


def _plural(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
