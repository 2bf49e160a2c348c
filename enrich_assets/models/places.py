"""Where requests go, as a name that all processes give to the same endpoint, and what may go there."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from enrich_assets.engine.clients import EndpointLimits
from enrich_assets.models.prices import listed
from enrich_assets.models.settings import EXTRACTIVE, ModelEndpoint

_PORTS = {"http": 80, "https": 443}


def limits_of(endpoint: ModelEndpoint) -> EndpointLimits:
    """What the endpoint allows. The key names address or provider, account and model; of the account it tells a hash of
    the variable's name that holds its key, and nothing of the key."""
    return EndpointLimits(
        key=_key_of(endpoint),
        requests_per_minute=endpoint.requests_per_minute,
        tokens_per_minute=endpoint.tokens_per_minute,
        concurrency=endpoint.concurrency,
    )


def _key_of(endpoint: ModelEndpoint) -> str:
    if endpoint.model == EXTRACTIVE:
        return EXTRACTIVE
    provider, slash, name = endpoint.model.partition("/")
    if not slash:
        provider, name = str(listed(endpoint.model).get("litellm_provider", "")), endpoint.model
    # Without a reference litellm reads the provider's usual variable; an endpoint of one's own gets no key then.
    usual = "" if endpoint.base_url else f"{provider.upper()}_API_KEY"
    variable = usual if endpoint.api_key is None else endpoint.api_key.env
    account = hashlib.sha256(variable.encode()).hexdigest()[:12] if variable else "-"
    return f"{_normalised(endpoint.base_url) if endpoint.base_url else provider} {account} {name}"


def _normalised(base_url: str) -> str:
    parts = urlsplit(base_url)
    try:
        port = parts.port
    except ValueError:
        return base_url  # no address; the request will say so
    host = parts.hostname or ""
    if port is not None and port != _PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
