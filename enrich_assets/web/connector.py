"""The connections on which requests leave: to checked addresses alone, and none after the phase's lease was lost."""

from __future__ import annotations

from typing import Any

import aiohttp

from enrich_assets.engine.leases import refuse_without_lease
from enrich_assets.web.guard import AddressGuard, GuardedResolver


class GuardedConnector(aiohttp.TCPConnector):
    """As many connections as are asked for, to addresses that the guard allows.

    A process that is stopped while it connects, and wakes when another one has taken over its phase, sends nothing:
    `connect` raises LeaseLost then. Nothing comes between its return and the first byte of the request.
    """

    def __init__(self, guard: AddressGuard, **options: Any) -> None:
        super().__init__(resolver=GuardedResolver(guard), limit=0, **options)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> aiohttp.connector.Connection:
        """A connection that the request may leave on now."""
        connection = await super().connect(req, traces, timeout)
        try:
            await refuse_without_lease()
        except BaseException:
            connection.close()
            raise
        return connection
