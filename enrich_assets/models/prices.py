"""What a model call costs: the endpoint's own prices, else litellm's local price list, else unknown (None)."""

from __future__ import annotations

from typing import Any

from enrich_assets.models.lite import litellm_offline
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint


def cost_of(endpoint: ModelEndpoint, tokens_in: int, tokens_out: int, response: Any = None) -> float | None:
    """USD for the tokens; None where no price is known, and never 0 for that.

    With litellm's `response` its price list also counts what the provider discounts (cached input tokens).
    """
    if endpoint.model == EXTRACTIVE:
        return 0.0
    own = endpoint.usd_per_million_input, endpoint.usd_per_million_output
    if own != (None, None):
        if (own[0] is None and tokens_in) or (own[1] is None and tokens_out):
            return None
        return (tokens_in * (own[0] or 0.0) + tokens_out * (own[1] or 0.0)) / 1_000_000
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
