"""A sliding window over work: as one unit ends, the next begins; there is no barrier between batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

U = TypeVar("U")


async def gather_window(units: Iterable[U], work: Callable[[U], Awaitable[None]], *, concurrency: int) -> None:
    """Runs `work(unit)` for every unit of an iterator, `concurrency` at a time, taking the next as one ends.

    The first exception stops the admission, cancels what is in flight, and is raised. An iterator that raises does
    the same.
    """
    waiting = iter(units)

    async def worker() -> None:
        # So many workers share one iterator: a task for every unit, and a look at all of them whenever one ends,
        # would cost more than most units' own work.
        for unit in waiting:
            await work(unit)

    workers = [asyncio.ensure_future(worker()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        # Gathered, so that what they raise while they end counts as seen.
        await asyncio.gather(*workers, return_exceptions=True)
