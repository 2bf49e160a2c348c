"""What a model call costs: the endpoint's own prices, else litellm's local price list, else unknown (None)."""

from __future__ import annotations

import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from enrich_assets.models.lite import litellm_offline
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint


def cost_of(endpoint: ModelEndpoint, tokens_in: int, tokens_out: int, response: Any = None) -> float | None:
    """USD for the tokens; None where no price is known, and never 0 for that.

    With litellm's `response` its price list also counts what the provider discounts (cached input tokens).
    """
    if endpoint.model == EXTRACTIVE:
        return 0.0
    if has_own_prices(endpoint):
        return own_cost(endpoint, tokens_in, tokens_out)
    if not _is_listed(endpoint.model):
        return None
    litellm = litellm_offline()
    try:
        if response is not None:
            return float(litellm.completion_cost(completion_response=response, model=endpoint.model))
        cost_in, cost_out = litellm.cost_per_token(
            model=endpoint.model, prompt_tokens=tokens_in, completion_tokens=tokens_out
        )
        return float(cost_in + cost_out)
    except Exception:  # the price list raises bare Exceptions for names that it does not know
        return None


def has_own_prices(endpoint: ModelEndpoint) -> bool:
    """Whether the settings give the endpoint a price."""
    return (endpoint.usd_per_million_input, endpoint.usd_per_million_output) != (None, None)


def own_cost(endpoint: ModelEndpoint, tokens_in: int, tokens_out: int) -> float | None:
    """USD for the tokens by the endpoint's own prices; None where a price that is needed is not given."""
    price_in, price_out = endpoint.usd_per_million_input, endpoint.usd_per_million_output
    if (price_in is None and (tokens_in or price_out is None)) or (price_out is None and tokens_out):
        return None
    return (tokens_in * (price_in or 0.0) + tokens_out * (price_out or 0.0)) / 1_000_000


def listed_cost(model: str, tokens_in: int, tokens_out: int, cached: int = 0) -> float | None:
    """USD for the tokens of a model `openai/…` by litellm's price list, without importing litellm; None where it
    names no price. `cached` of the input tokens were read from the provider's cache."""
    prices = _listed_prices(model.removeprefix("openai/"))
    if prices is None:
        return None
    price_in, price_cached, price_out = prices
    return (tokens_in - cached) * price_in + cached * price_cached + tokens_out * price_out


@lru_cache(maxsize=64)
def _listed_prices(name: str) -> tuple[float, float, float] | None:
    """USD per input token, cached input token and output token."""
    package = importlib.util.find_spec("litellm")  # finds, and does not import
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder) / "model_prices_and_context_window_backup.json"
        if file.is_file():
            listed = json.loads(file.read_bytes())
            for key in (f"openai/{name}", name):
                entry = listed.get(key, {})
                if entry.get("litellm_provider") == "openai" and "output_cost_per_token" in entry:
                    price = float(entry["input_cost_per_token"])
                    cached = float(entry.get("cache_read_input_token_cost") or price)
                    return price, cached, float(entry["output_cost_per_token"])
    return None


def _is_listed(name: str) -> bool:
    """Whether the price list itself holds prices for the model; defaults that litellm fills in do not count."""
    litellm = litellm_offline()
    try:
        bare, provider, _, _ = litellm.get_llm_provider(model=name)
    except Exception:  # litellm.BadRequestError for an unknown provider; other kinds for malformed names
        return False
    for key in (name, f"{provider}/{bare}", bare):
        entry = litellm.model_cost.get(key)
        if entry is not None and entry.get("litellm_provider", "").split("-")[0] == provider.split("-")[0]:
            return "input_cost_per_token" in entry and "output_cost_per_token" in entry
    return False
