"""Reading: pages as the evidence loop knows them, out of the page client and the extraction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from enrich_assets.core.errors import CallError, EndpointError
from enrich_assets.engine.clients import Clients
from enrich_assets.evidence.memo import memo_of
from enrich_assets.web.urls import canonicalize


@dataclass(frozen=True)
class ReadPage:
    """A page that was read: its text as extracted, every URL it is known by, the key of its raw document."""

    url: str
    addresses: frozenset[str]
    sha256: str
    title: str
    text: str


async def read(clients: Clients, urls: Sequence[str]) -> list[ReadPage]:
    """The pages at these addresses, in their order, each document once; those that cannot be read are left out.

    A page is read once as long as `clients` live. Raises EndpointError.
    """
    pages = await asyncio.gather(*(_read(clients, url) for url in urls))
    first: dict[str, ReadPage] = {}
    for page in pages:
        if page is not None:
            first.setdefault(page.sha256, page)
    return list(first.values())


async def _read(clients: Clients, url: str) -> ReadPage | None:
    async def read() -> ReadPage | None:
        try:
            page = await clients.pages.get(url)
            found = await clients.texts.of(page)
        except EndpointError:
            raise
        except CallError:
            return None
        addresses = frozenset(map(canonicalize, (url, page.final_url, found.canonical_url)))
        return ReadPage(url, addresses, page.sha256, found.title, found.text)

    return await memo_of(clients).once(("page", url), read)
