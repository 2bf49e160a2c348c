"""Settings of models: named endpoints with their keys, parameters and prices."""

from __future__ import annotations

from pydantic import Field

from enrich_assets.core.settings import Env, Settings

EXTRACTIVE = "extractive"
"""The embedded model: plain text methods, no key, no cost."""


class ModelEndpoint(Settings):
    """How a model is reached. Phases choose one by its name under `models`, or write a litellm name directly."""

    model: str
    """litellm's name, `provider/model`."""
    base_url: str | None = None
    """Another endpoint than the provider's own."""
    api_key: Env | None = None
    """Reference to the key, `{env: NAME}`; without it the provider's usual variable is read."""
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    """Sampling temperature; null leaves it to the provider."""
    max_output_tokens: int = Field(default=2000, ge=1)
    """Longest answer in tokens."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """Deadline of one request."""
    usd_per_million_input: float | None = Field(default=None, ge=0)
    """Own price of a million input tokens in USD; without it litellm's price list decides."""
    usd_per_million_output: float | None = Field(default=None, ge=0)
    """Own price of a million output tokens in USD."""
