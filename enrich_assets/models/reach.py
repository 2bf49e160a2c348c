"""Which addresses models may be reached at: the address guard for endpoints of one's own.

An address that is written out in `base_url`, and `localhost`, is what the operator means, and nobody else can change
it: a model server on one's own machine needs no further word. A name is different: whoever answers for it decides
where prompts and key go. So it has to stand for public addresses alone, unless the endpoint says `allow_private`.
Redirects of the direct path are not followed at all. The providers' own endpoints are litellm's matter.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from urllib.parse import urlsplit

from enrich_assets.core.errors import AddressRefused, CallError, EndpointError
from enrich_assets.models.settings import ModelEndpoint
from enrich_assets.web.guard import DEFAULT_PORTS, AddressGuard, GuardedResolver
from enrich_assets.web.spelling import literal_address

_LOCAL = ("localhost", "localhost.")
_SECONDS = 10.0
"""How long a name that was judged counts as judged; as long as aiohttp keeps its addresses."""

_judged: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], float]] = (
    weakref.WeakKeyDictionary()
)


def guard_of(endpoints: Iterable[ModelEndpoint]) -> AddressGuard:
    """A guard that lets requests out to exactly the hosts and ports that the endpoints may have."""
    return AddressGuard([allowed for endpoint in endpoints for allowed in _exceptions(endpoint)])


async def check_reach(endpoint: ModelEndpoint, *, model: str) -> None:
    """Looks where the host of `base_url` is, before somebody else connects to it; raises EndpointError if inside.

    What cannot be resolved passes: the connection will say so.
    """
    place = _place(endpoint)
    if place is None or not endpoint.base_url or list(_exceptions(endpoint)):
        return
    loop = asyncio.get_running_loop()
    judged = _judged.setdefault(loop, {})
    if judged.get(place, -_SECONDS) + _SECONDS > loop.time():
        return
    try:
        await GuardedResolver(guard_of([endpoint])).resolve(*place)
    except AddressRefused as error:
        raise refused_endpoint(error, model=model) from None
    except CallError:
        return
    judged[place] = loop.time()


def refused_endpoint(error: AddressRefused, *, model: str) -> EndpointError:
    """The error for an endpoint whose name leads inside."""
    return EndpointError(
        f"Its base_url was {error.what}",
        where=model,
        fix="If the model is meant to be reached there, set allow_private: true for it under models.",
    )


def _exceptions(endpoint: ModelEndpoint) -> Iterable[str]:
    place = _place(endpoint)
    if place is None:
        return
    host, port = place
    try:
        is_written_out = host in _LOCAL or literal_address(host) is not None
    except ValueError:
        return  # no address and no name; the request will say so
    if is_written_out or endpoint.allow_private:
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _place(endpoint: ModelEndpoint) -> tuple[str, int] | None:
    try:
        parts = urlsplit(endpoint.base_url or "")
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None
