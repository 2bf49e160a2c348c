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
    running: set[asyncio.Task[None]] = set()
    try:
        for unit in units:
            if len(running) >= concurrency:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                _raise_first(done)
            running.add(asyncio.ensure_future(work(unit)))
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            _raise_first(done)
    finally:
        for task in running:
            task.cancel()
        # Gathered, so that what they raise while they end counts as seen.
        await asyncio.gather(*running, return_exceptions=True)


def _raise_first(done: set[asyncio.Task[None]]) -> None:
    errors = [task.exception() for task in done if not task.cancelled()]
    for error in errors:
        if error is not None:
            raise error
    for task in done:
        task.result()
