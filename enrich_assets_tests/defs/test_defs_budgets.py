"""A budget is refused where a price is unknown, and only for what it holds for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enrich_assets.core.errors import SettingsError
from enrich_assets.defs.assuming import warnings_of
from enrich_assets.defs.budgets import check_budget
from enrich_assets.engine.estimate import estimate
from enrich_assets.engine.ledger import Ledger
from enrich_assets.engine.plans import Assumed, Plan
from enrich_assets.engine.settings import Budget
from enrich_assets.graphs.catalog import GRAPHS

GRAPH = GRAPHS["intelligence"]
RUN = "20260131_093000"
ENDPOINT = {"model": "openai/own", "base_url": "http://127.0.0.1:9/v1", "path": "direct", "context_tokens": 9000}
PRICED = {**ENDPOINT, "usd_per_million_input": 1, "usd_per_million_output": 2}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def resolved(**further: Any) -> dict[str, Any]:
    """Settings in which tier2 asks a model without a price, and tier3 one that has one."""
    models = {"free_of_price": ENDPOINT, "priced": PRICED}
    values = {"models": models, "tier2": {"model": "free_of_price"}, "tier3": {"model": "priced"}, **further}
    return GRAPH.resolve(values, where="test")


def test_without_a_budget_a_price_may_be_unknown(ledger: Ledger) -> None:
    check_budget(GRAPH, RUN, resolved(), ledger)


@pytest.mark.parametrize(
    ("scope", "named"),
    [("day", "of a day"), ("month", "of a month"), (f"run/{RUN}", "of the run"), (f"phase/{RUN}/tier2", "of tier2")],
)
def test_a_budget_by_hand_is_refused_where_it_holds_for_a_model_without_a_price(
    ledger: Ledger, scope: str, named: str
) -> None:
    ledger.set_cap(scope, 1.0)
    with pytest.raises(SettingsError, match="the price of the model 'free_of_price' is unknown") as refused:
        check_budget(GRAPH, RUN, resolved(), ledger)
    assert f"({named})" in refused.value.what
    ledger.set_cap(scope, None)
    check_budget(GRAPH, RUN, resolved(), ledger)


def test_a_budget_of_another_phase_or_run_is_no_reason_to_refuse(ledger: Ledger) -> None:
    ledger.set_cap(f"phase/{RUN}/tier3", 1.0)
    ledger.set_cap("run/20260101_000000", 1.0)
    check_budget(GRAPH, RUN, resolved(), ledger)


@pytest.mark.parametrize("key", ["run_usd", "phase_usd"])
def test_a_budget_of_the_settings_is_refused_too_and_nothing_is_an_amount_like_any_other(
    ledger: Ledger, key: str
) -> None:
    with pytest.raises(SettingsError, match=f"budget.{key}"):
        check_budget(GRAPH, RUN, resolved(budget={key: 0}), ledger)


def test_searches_need_a_price_as_well(ledger: Ledger) -> None:
    search = {"provider": "serper", "api_key": {"env": "A_KEY"}}
    priced = {"tier2": {"model": "priced"}, "budget": {"run_usd": 1}}
    with pytest.raises(SettingsError, match="the price of a search is unknown") as refused:
        check_budget(GRAPH, RUN, resolved(**priced, search=search), ledger)
    assert refused.value.where == "search.usd_per_search"
    check_budget(GRAPH, RUN, resolved(**priced, search={**search, "usd_per_search": 0.001}), ledger)


def test_an_estimate_is_held_against_the_budget_that_holds(ledger: Ledger) -> None:
    plan = Plan(1, "tier2", "ask", model="m", usd=(0.001, 0.002), assumed=Assumed(tokens_in=100, tokens_out=10))
    found, in_settings = estimate([plan], 10), Budget(phase_usd=0.5)
    (told,) = warnings_of(found, in_settings, ledger, RUN)
    assert told == "The budget of tier2, 0.50 USD, is below the likely cost of 1.20 USD."
    ledger.set_cap(f"phase/{RUN}/tier2", 2.0)
    assert warnings_of(found, in_settings, ledger, RUN) == ()
    assert warnings_of(found, in_settings, ledger, "") == (told,)
