"""Stopping a phase: a wish that is heard between rows, so that nothing committed is lost and nothing more is paid.

A handler that raises wherever code happens to run is of no use here: among many tasks the exception ends up as the
outcome of one row, and the phase goes on. So signals only set a wish while rows are worked on.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from enrich_assets.core.errors import Stopped

GRACE_SECONDS = 6.0
"""Time for what is on the wire to land and be committed."""
PAUSED = "paused"
"""The reason of a stop that a person asked for with `enrich pause`."""


def stopped(phase: str, how_far: str, reason: str, run_id: str) -> Stopped:
    """What ends a phase that was asked to stop for a reason; `how_far`: `after 3 of 40 rows`."""
    is_pause = reason == PAUSED
    error = Stopped(
        f"paused {how_far}." if is_pause else f"stopped {how_far} ({reason}).",
        where=phase,
        fix=f"Every answer so far is kept. Go on with: enrich resume {run_id}",
    )
    error.is_pause = is_pause
    return error


class Stop:
    """A wish to stop, with its reason. Belongs to one running event loop."""

    def __init__(self) -> None:
        self.reason = ""
        self._asked = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self.reason)

    def ask(self, reason: str) -> None:
        """Asks for the stop; the first reason counts."""
        self.reason = self.reason or reason
        self._asked.set()

    async def wait(self) -> None:
        """Returns when a stop was asked for."""
        await self._asked.wait()


@contextmanager
def signals_heard(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM become the wish to stop, and get their former handlers back at the end.

    Only the main thread can hear signals; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = []
    for number in former:
        with suppress(NotImplementedError, RuntimeError, ValueError):  # no signals on this platform or loop
            loop.add_signal_handler(number, stop.ask, number.name)
            heard.append(number)
    try:
        yield
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
            signal.signal(number, former[number])
