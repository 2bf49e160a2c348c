"""A sliding window over work: as one unit ends, the next begins; there is no barrier between batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from enrich_assets.engine.stopping import Stop

U = TypeVar("U")


async def gather_window(
    units: Iterable[U], work: Callable[[U], Awaitable[None]], *, concurrency: int, stop: Stop | None = None
) -> None:
    """Runs `work(unit)` for every unit of an iterator, `concurrency` at a time, taking the next as one ends.

    The first exception stops the admission, cancels what is in flight, and is raised. An iterator that raises does
    the same. When a stop is asked for, the work in flight is cancelled and this returns; what a request of it brings
    after that is still committed by `Calls.close`.
    """
    waiting = iter(units)

    async def worker() -> None:
        # So many workers share one iterator: a task for every unit, and a look at all of them whenever one ends,
        # would cost more than most units' own work.
        for unit in waiting:
            await work(unit)

    workers = [asyncio.ensure_future(worker()) for _ in range(concurrency)]
    ended = asyncio.gather(*workers)
    asked = asyncio.ensure_future(stop.wait() if stop is not None else asyncio.Event().wait())
    try:
        await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
    finally:
        ended.cancel()
        for task in (*workers, asked):
            task.cancel()
        # Gathered, so that what they raise while they end counts as seen.
        await asyncio.gather(*workers, ended, asked, return_exceptions=True)
