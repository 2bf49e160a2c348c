"""Stopping a phase: a wish that is heard between rows, so that nothing committed is lost and nothing more is paid.

A handler that raises wherever code happens to run is of no use here: among many tasks the exception ends up as the
outcome of one row, and the phase goes on. So signals only set a wish while rows are worked on.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from types import FrameType

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


class _Relay:
    """Signals that the main thread receives while it waits for a loop in another thread."""

    def __init__(self) -> None:
        self.unheard: list[int] = []
        self._hearer: tuple[asyncio.AbstractEventLoop, Stop] | None = None

    def receive(self, number: int, _frame: FrameType | None = None) -> None:
        """The handler: asks whoever listens to stop, else remembers the signal."""
        if self._hearer is None:
            self.unheard.append(number)
        else:
            loop, stop = self._hearer
            loop.call_soon_threadsafe(stop.ask, signal.Signals(number).name)

    @contextmanager
    def heard_by(self, stop: Stop) -> Iterator[None]:
        """Hands what comes, and what came before, to a stop of the running loop."""
        self._hearer = (asyncio.get_running_loop(), stop)
        try:
            while self.unheard:
                self.receive(self.unheard.pop(0))
            yield
        finally:
            self._hearer = None


_relay: ContextVar[_Relay | None] = ContextVar("enrich_signals", default=None)


@contextmanager
def signals_relayed() -> Iterator[None]:
    """SIGINT and SIGTERM are handed to `signals_heard` in a thread that the block starts with a copy of its context.

    A signal that nobody heard there is raised again at the end, for the handlers of before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    relay = _Relay()
    token = _relay.set(relay)
    former = {number: signal.signal(number, relay.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        _relay.reset(token)
        for number, handler in former.items():
            # None is a handler that was not set from Python, and cannot be set from there.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for unheard in relay.unheard:
            signal.raise_signal(unheard)


@contextmanager
def signals_heard(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM become the wish to stop, and get their former handlers back at the end.

    Only the main thread can hear signals; a loop in another thread hears those that are relayed to it, if any.
    """
    if threading.current_thread() is not threading.main_thread():
        relay = _relay.get()
        with nullcontext() if relay is None else relay.heard_by(stop):
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
