"""What a model call costs: the endpoint's own prices, else litellm's local price list, else unknown (None).

The list is read as the file that it is, because importing litellm takes five seconds.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from enrich_assets.models.lite import litellm_offline
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint

_TOKEN_PRICES = (
    "input_cost_per_token",
    "cache_creation_input_token_cost",
    "output_cost_per_token",
    "output_cost_per_reasoning_token",
)
_ABOVE = re.compile(r"above_(\d+)k")


def cost_of(endpoint: ModelEndpoint, tokens_in: int, tokens_out: int, response: Any = None) -> float | None:
    """USD for the tokens; None where no price is known, and never 0 for that.

    With litellm's `response` its price list also counts what the provider discounts (cached input tokens).
    """
    if endpoint.model == EXTRACTIVE:
        return 0.0
    if has_own_prices(endpoint):
        return own_cost(endpoint, tokens_in, tokens_out)
    if endpoint.is_compatible:
        return listed_cost(endpoint.model, tokens_in, tokens_out, _cached_tokens(response))
    if not _has_prices(listed(endpoint.model)):
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


def are_told(tokens_in: int, tokens_out: int, text: str) -> bool:
    """Whether an endpoint told the tokens of its answer. A prompt has some, and so has a text; many servers say 0 or
    nothing, and what nobody counted is not free."""
    return tokens_in > 0 and (tokens_out > 0 or not text)


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
    """USD for the tokens of a model by the price list; None where it names no price. `cached` of the input tokens were
    read from the provider's cache."""
    entry = listed(model)
    if not _has_prices(entry):
        return None
    price = float(entry["input_cost_per_token"])
    price_cached = float(entry.get("cache_read_input_token_cost") or price)
    return (tokens_in - cached) * price + cached * price_cached + tokens_out * float(entry["output_cost_per_token"])


def most_cost(endpoint: ModelEndpoint, tokens_in: int, tokens_out: int) -> float | None:
    """The most USD that so many tokens can cost, whichever tier and cache the provider bills; None where no price is
    known."""
    if endpoint.model == EXTRACTIVE:
        return 0.0
    if has_own_prices(endpoint):
        return own_cost(endpoint, tokens_in, tokens_out)
    rates = _highest_rates(endpoint.model)
    if not rates:
        return None
    price_in = max(rate for threshold, rate, _ in rates if tokens_in > threshold)
    price_out = max(rate for threshold, _, rate in rates if tokens_in > threshold)
    return tokens_in * price_in + tokens_out * price_out


@lru_cache(maxsize=64)
def _highest_rates(model: str) -> tuple[tuple[int, float, float], ...]:
    """From how many input tokens on (exclusive) which highest prices of an input and an output token count."""
    entry = listed(model)
    if not _has_prices(entry):
        return ()
    highest: dict[int, list[float]] = {-1: [0.0, 0.0]}
    for name, price in _token_prices(entry):
        threshold = _ABOVE.search(name)
        rates = highest.setdefault(int(threshold[1]) * 1000 if threshold else -1, [0.0, 0.0])
        rates[name.startswith("output")] = max(rates[name.startswith("output")], price)
    # A processing region can cost a share more than the list price.
    factor = max([1.0, *(float(value) for name, value in entry.items() if "uplift_multiplier" in name)])
    return tuple(
        (threshold, factor * price_in, factor * price_out) for threshold, (price_in, price_out) in highest.items()
    )


def _token_prices(entry: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for tier in (entry, *(entry.get("tiered_pricing") or ())):
        for name, value in tier.items():
            # What is kept for an hour has to be asked for, and is not.
            if name.startswith(_TOKEN_PRICES) and "above_1hr" not in name and isinstance(value, (int, float)):
                yield name, float(value)


@lru_cache(maxsize=64)
def listed(model: str) -> Mapping[str, Any]:
    """What litellm's price list says of a model; empty where it does not know it. Reading takes about 50 ms, once."""
    provider, bare = model.split("/", 1) if "/" in model else ("", model)
    package = importlib.util.find_spec("litellm")  # finds, and does not import
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder) / "model_prices_and_context_window_backup.json"
        if file.is_file():
            raw = file.read_bytes()
            names = [name for name in (model, bare) if f'"{name}"'.encode() in raw]
            # Most models of one's own are not in it, which is found out in a fifth of the time.
            entries = json.loads(raw) if names else {}
            for name in names:
                entry = entries.get(name)
                if entry and (not provider or _same_provider(str(entry.get("litellm_provider", "")), provider)):
                    return dict(entry)
    return {}


def _same_provider(listed_provider: str, provider: str) -> bool:
    return listed_provider.split("-")[0] == provider.split("-")[0]


def _has_prices(entry: Mapping[str, Any]) -> bool:
    return "input_cost_per_token" in entry and "output_cost_per_token" in entry


def _cached_tokens(response: Any) -> int:
    details = getattr(getattr(response, "usage", None), "prompt_tokens_details", None)
    return int(getattr(details, "cached_tokens", 0) or 0)
