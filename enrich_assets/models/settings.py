"""Settings of models: named endpoints with their keys, parameters and prices."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from enrich_assets.core.settings import Env, Settings

EXTRACTIVE = "extractive"
"""The embedded model: plain text methods, no key, no cost."""

# Their request has other parameters (max_completion_tokens, no temperature), which litellm knows model by model.
_OTHER_PARAMETERS = re.compile(r"(?:^|/)(?:o\d|gpt-5|gpt-6|gpt-4o-(?:audio|search))")


class ModelEndpoint(Settings):
    """How a model is reached. Phases choose one by its name under `models`, or write a litellm name directly."""

    model: str
    """litellm's name, `provider/model`."""
    base_url: str | None = None
    """Another endpoint than the provider's own."""
    allow_private: bool = False
    """Whether the host of `base_url` may be a name that stands for addresses of a private network, or of this machine.
    An address written out, and localhost, need no permission."""
    api_key: Env | None = None
    """Reference to the key, `{env: NAME}`; without it the provider's usual variable is read."""
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    """Sampling temperature; null leaves it to the provider."""
    max_output_tokens: int = Field(default=2000, ge=1)
    """Longest answer in tokens."""
    timeout_seconds: float = Field(default=120.0, gt=0, le=86_400)
    """Deadline of one request."""
    usd_per_million_input: float | None = Field(default=None, ge=0)
    """Own price of a million input tokens in USD; without it litellm's price list decides."""
    usd_per_million_output: float | None = Field(default=None, ge=0)
    """Own price of a million output tokens in USD."""
    context_tokens: int | None = Field(default=None, ge=1)
    """The model's context window in tokens: a prompt that is longer is refused before it is sent. Without it litellm's
    price list decides, and for models that it does not know the endpoint."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Most requests that all processes together send to the endpoint in a minute."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Most tokens, in and out, that all processes together may use of the endpoint in a minute."""
    concurrency: int | None = Field(default=None, ge=1)
    """Most requests that all processes together have on the wire to the endpoint."""
    path: Literal["auto", "litellm", "direct"] = "auto"
    """How requests travel: `direct` speaks the OpenAI protocol itself (one's own `base_url` and a model `openai/…`),
    at a tenth of litellm's CPU time; `auto` takes it where it applies."""

    response_format: Literal["auto", "json_schema", "json_object", "words"] = "auto"
    """How the form of the answer is asked for: by its JSON schema, by `json_object` with the schema in the prompt, or
    in the prompt alone; `auto` begins with the schema and goes on with what the endpoint takes."""
    token_parameter: Literal["auto", "max_tokens", "max_completion_tokens"] = "auto"
    """The parameter that carries `max_output_tokens`; `auto` begins with `max_tokens` and goes on with what the
    endpoint takes."""

    @property
    def is_direct(self) -> bool:
        """Whether requests go straight to the endpoint, without litellm."""
        return self.path != "litellm" and self.is_compatible

    @property
    def is_compatible(self) -> bool:
        """Whether it is one's own endpoint and takes the plain OpenAI protocol, whichever way requests travel."""
        if self.base_url is None or not self.model.startswith("openai/"):
            return False
        return self.path == "direct" or not _OTHER_PARAMETERS.search(self.model.removeprefix("openai/"))

    @model_validator(mode="after")
    def _direct_needs_an_address(self) -> ModelEndpoint:
        if self.path == "direct" and not self.is_direct:
            raise ValueError("the direct path needs a base_url and a model named openai/…")
        return self
