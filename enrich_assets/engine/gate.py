"""Slots on the wire to one endpoint: few until it has answered once, then as many as the settings allow."""

from __future__ import annotations

import asyncio
from types import TracebackType

from enrich_assets.core.errors import FinalError, MalformedAnswer

_UNTIL_ANSWERED = 8


class Gate:
    """An async context manager around one request.

    A wrong key or an unknown model is told by the first answers; until one came that was none of these, only a
    handful of requests are on the wire.
    """

    def __init__(self, slots: int) -> None:
        first = min(slots, _UNTIL_ANSWERED)
        self._closed_slots = slots - first
        self._free = asyncio.Semaphore(first)

    async def __aenter__(self) -> None:
        await self._free.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, (MalformedAnswer, FinalError)):
            self._open()
        self._free.release()

    def _open(self) -> None:
        while self._closed_slots:
            self._closed_slots -= 1
            self._free.release()
